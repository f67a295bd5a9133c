/* A validating JSON scanner for hot paths: it checks a document once and gives byte ranges instead
 * of a tree. Pure functions, no allocation but the caller's arena.
 *
 * Validation is strict RFC 8259 and UTF-8; NUL (\u0000) is allowed in strings; lone surrogate
 * escapes are refused; nesting is bounded by JSON_DEPTH_MAX (base/json.h). As with jansson, NUL is
 * refused in keys. Functions for VALID documents stay within the bytes of invalid ones, too, and
 * then return garbage or nothing. */
#ifndef MATRIX_JSON_SCAN_H
#define MATRIX_JSON_SCAN_H

#include "base/str.h"

/* M_NOT_JSON unless this is one whole valid JSON value (surrounding white space allowed). */
const struct err *json_scan_check(struct str doc);

/* One member of an object, as raw bytes: the key without its quotes but still escaped, and the
 * value exactly as in the document. */
struct json_member {
    struct str key, value;
};

/* The members of the outermost object of a VALID document, in document order; M_BAD_JSON when it is
 * not an object. */
struct json_members {
    const struct json_member *m;
    size_t n;
};
const struct err *json_scan_object(struct arena *a, struct str doc, struct json_members *ret);

/* The raw value of a top-level member of a VALID object document; p == NULL when absent. The
 * document may spell the key with escapes. The last of duplicate keys wins. */
struct str json_scan_get(struct str doc, const char *key);

/* Follows a path: json_scan_path(doc, "content", "m.relates_to", "rel_type", NULL). */
struct str json_scan_path(struct str doc, ...) __attribute__((sentinel));

/* Walks array elements or object members of a VALID document without allocating.
 * Start with pos = 0; false at the end. For arrays ret->key is empty. */
bool json_scan_next(struct str doc, size_t *pos, struct json_member *ret);

/* A raw value that is a string, unescaped into the arena (NUL-terminated); NULL if it is not a
 * string or contains NUL. */
char *json_scan_string(struct arena *a, struct str raw);
/* The same, NULs included; p NULL if it is not a string. */
struct str json_scan_str(struct arena *a, struct str raw);
/* Compares a raw string value with plain text without allocating. */
bool json_scan_string_is(struct str raw, const char *text);
bool json_scan_int(struct str raw, int64_t *ret); /* an integer without fraction or exponent */

/* Unescapes the inside of a valid string into memory of inside.n bytes (it never grows); returns
 * the length. */
size_t json_scan_unescape(struct str inside, char *ret);

#endif
