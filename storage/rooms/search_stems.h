/* Stems of words, by PostgreSQL's stemmers (snowball) of the configured languages.
 *
 * A word is stemmed with its accents, which the stemmers know, and without, since people leave them
 * out; stems are folded. So any two of "mangées", "mangees" and "manger" have a stem in common. */
#ifndef STORAGE_ROOMS_SEARCH_STEMS_H
#define STORAGE_ROOMS_SEARCH_STEMS_H

#include "base/config/config.h"
#include "base/words.h"
#include "storage/db/db.h"

enum { STEMS_MAX = 8 };

struct word_stems {
    struct str forms[STEMS_MAX]; /* folded; without the word itself */
    size_t n;
    bool is_stop; /* a stop word of one of the languages ("the", "de") */
};

struct search_stems;
struct search_stems *search_stems_create(struct arena *a); /* in the arena */

/* Adds a word whose stems will be needed. */
void search_stems_want(struct search_stems *s, const struct word *w);
/* Reads the stems of the added words. languages: names of snowball dictionaries without `_stem`. */
const struct err *search_stems_read(struct tx *tx, const struct config_list *languages,
                                    struct search_stems *s);
/* Empty for words that were not added. `into`: space for the result, if it must be assembled. */
const struct word_stems *search_stems_of(const struct search_stems *s, const struct word *w,
                                         struct word_stems *into);

#endif
