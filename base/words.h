/* The words of a text, for searching.
 *
 * A word is a run of letters and digits with their marks; everything else is between words. So
 * parts of file names, hosts, links and addresses are words of their own, and text without white
 * space is one `chunk` of consecutive words. Scripts that are written without spaces (Chinese,
 * Japanese, Thai), and Korean, whose words carry endings, give pairs of characters instead: each
 * character with the next, and the last one of a run alone.
 *
 * Bounded: at most WORDS_MAX words of at most WORD_BYTES_MAX bytes; the rest is left out. */
#ifndef BASE_WORDS_H
#define BASE_WORDS_H

#include "base/str.h"

enum { WORDS_MAX = 16000, WORD_BYTES_MAX = 128 };

enum word_kind {
    WORD_WHOLE,
    WORD_PAIR, /* two characters of a run */
    WORD_LAST  /* the last character of a run */
};

struct word {
    struct str written; /* in the text; for a run: all of it */
    struct str folded;  /* by text_fold() */
    enum word_kind kind;
    uint32_t chunk; /* words with the same number have no white space between them */
};

/* In the arena, in the order of the text. */
const struct word *words_of(struct arena *a, struct str text, size_t *ret_n);

#endif
