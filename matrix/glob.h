/* Glob matching (appendices, "Glob-style matching"): `*` is any sequence of characters, `?` is one
 * character, everything else is literal. Pure, no allocation.
 *
 * Texts are UTF-8 and `?` takes a whole code point. Time is linear in the text for any pattern:
 * there is no backtracking. A pattern of more than GLOB_LITERALS_MAX characters between its first
 * and its last `*` never matches. */
#ifndef MATRIX_GLOB_H
#define MATRIX_GLOB_H

#include "base/str.h"

enum { GLOB_LITERALS_MAX = 255 };

/* How a pattern is read; 0: both wildcards, case-insensitive. */
enum glob_flag {
    GLOB_CASE = 1,      /* case matters */
    GLOB_STAR_ONLY = 2, /* `?` is an ordinary character */
    GLOB_LITERAL = 4,   /* so is `*` */
};

/* Whether the pattern matches the whole text. */
bool glob_matches(struct str pattern, struct str text, int flags);

/* Whether it matches a part of the text that starts and ends at a word boundary. Boundaries are at
 * the start and the end of the text and beside every character outside [A-Za-z0-9_]. The empty
 * pattern matches nothing. */
bool glob_finds_words(struct str pattern, struct str text, int flags);

/* One code point at *pos, which moves past it; a malformed byte counts as a character of its own
 * that equals no other. */
uint32_t glob_next_char(struct str s, size_t *pos);

/* Lower case by simple folding: Latin, Greek, Cyrillic and Armenian letters. */
uint32_t glob_fold(uint32_t c);

static inline bool glob_is_word_char(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_';
}

#endif
