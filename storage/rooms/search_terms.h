/* Search terms and texts in the form of the index.
 *
 * A text is kept as its words (base/words.h), folded, at their positions with weight A, and as
 * their stems (storage/rooms/search_stems.h) at the same positions with weight D. In a term:
 *     budget report          both words, in any inflection; stop words ("the", "de") only count
 *                            if there are no others
 *     "the budget report"    exactly these words in this order; also « » and curly quotes
 *     budget-2024.xlsx       one thing, such as a link or an address: its parts in this order
 *     -draft                 without this word
 *     invoice OR bill        one or the other; binds less than words side by side
 *     budg*                  words that begin so
 * If a French word follows an elided one (l', d', qu'), only the word counts. Case, accents and
 * Unicode form never matter. */
#ifndef STORAGE_ROOMS_SEARCH_TERMS_H
#define STORAGE_ROOMS_SEARCH_TERMS_H

#include "storage/rooms/search_stems.h"

enum {
    SEARCH_WORDS_MAX = 24,          /* of a term; further ones are left out */
    SEARCH_VECTOR_MAX = 384 * 1024, /* bytes of an indexed text, as PostgreSQL reads it */
};

/* A tsvector as text. */
const char *search_vector(struct arena *a, const struct word *words, size_t n,
                          const struct search_stems *stems);

/* A part of a term: one word, or several that must follow each other. */
struct search_part {
    const struct word *words;
    size_t n;
    bool exact, excluded, begins; /* begins: the last word is a prefix */
    bool or_before;               /* it begins an alternative (OR) */
};

struct search_terms {
    struct search_part parts[SEARCH_WORDS_MAX];
    size_t n;
};

void search_terms_parse(struct arena *a, struct str term, struct search_terms *ret);
void search_terms_want_stems(const struct search_terms *t, struct search_stems *stems);

/* A tsquery as text; NULL when nothing can be found. */
const char *search_terms_query(struct arena *a, const struct search_terms *t,
                               const struct search_stems *stems);

/* Does this word of a text match the term? stems: of both. */
bool search_terms_match(const struct search_terms *t, const struct search_stems *stems,
                        const struct word *w);

#endif
