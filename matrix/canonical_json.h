/* Canonical JSON (appendices, "Canonical JSON"): UTF-8, no white space, keys sorted by code point,
 * integers within +-(2^53 - 1), no floats. */
#ifndef MATRIX_CANONICAL_JSON_H
#define MATRIX_CANONICAL_JSON_H

#include "base/json.h"

/* -0 becomes 0 in all modes. Without the strict rules a whole number within the range that has an
 * exponent becomes an integer (the 1e10 of the appendices' example), and only numbers that no
 * double can hold are refused: most servers could not even read them. */
enum canonical_mode {
    CANONICAL_LENIENT,  /* room versions 1-5, as received: numbers stay as written */
    CANONICAL_SHORTEST, /* bodies to sign: floats as written by servers that parse and encode again
                           before they check the signature */
    CANONICAL_STRICT    /* room versions 6 and later, and all content of local users: M_BAD_JSON for
                           floats and large integers */
};

#define CANONICAL_INT_MAX INT64_C(9007199254740991)

/* The canonical form of a raw JSON value (validated here), appended. M_NOT_JSON when malformed,
 * M_BAD_JSON when the strict rules are broken or an object has a key twice (strict only; lenient
 * keeps the last), M_TOO_LARGE for objects of 100,000 members. The byte writer is the hot path: it
 * must not build a jansson tree. */
const struct err *canonical_json_add(struct buf *b, enum canonical_mode mode, struct str raw);

/* M_BAD_JSON unless a local user's tree obeys the strict rules. For all content that may become
 * part of an event, an EDU or a signed request. */
const struct err *canonical_json_check_tree(const json_t *v);

/* The canonical form of a tree. A tree no longer has the original spelling of floats: they get the
 * shortest. */
const struct err *canonical_json_add_tree(struct buf *b, enum canonical_mode mode, const json_t *v);

#endif
