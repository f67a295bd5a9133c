/* Inflected words: what PostgreSQL's stemmers (snowball) of the configured languages make of them.
 *
 * A word is asked for with its accents, which the stemmers know, and without, for people leave them
 * out; what comes back is folded. So any two of "mangées", "mangees" and "manger" have a stem in
 * common. */
#ifndef STORAGE_ROOMS_SEARCH_STEMS_H
#define STORAGE_ROOMS_SEARCH_STEMS_H

#include "base/config.h"
#include "base/words.h"
#include "storage/db/db.h"

enum { STEMS_MAX = 8 };

struct word_stems {
    struct str forms[STEMS_MAX]; /* folded; none is the word itself */
    size_t n;
    bool is_stop; /* too frequent in one of the languages to say anything ("the", "de") */
};

struct search_stems;
struct search_stems *search_stems_create(struct arena *a); /* in the arena */

/* Names a word that will be asked for. */
void search_stems_want(struct search_stems *s, const struct word *w);
/* Reads the stems of those that were named. languages: names of snowball dictionaries without
 * `_stem`. */
const struct err *search_stems_read(struct tx *tx, const struct config_list *languages,
                                    struct search_stems *s);
/* Nothing for words that were not named. `into` is room for what must be put together. */
const struct word_stems *search_stems_of(const struct search_stems *s, const struct word *w,
                                         struct word_stems *into);

#endif
