/* Percent-decoding and query parameters. Decoded values are NUL-terminated UTF-8 in the arena;
 * bytes that are not UTF-8, or a NUL, are refused with M_INVALID_PARAM. A '%' that is not followed
 * by two hex digits is literal, as in browsers. */
#ifndef HTTP_QUERY_H
#define HTTP_QUERY_H

#include "base/str.h"

enum { QUERY_PAIRS_MAX = 1000 };

struct query_pair {
    const char *name, *value;
};

struct url_query {
    struct query_pair *pairs;
    size_t n;
};

const struct err *query_decode(struct arena *a, struct str raw, bool plus_is_space,
                               const char **ret);

/* name=value pairs joined by '&', as they are after the '?'. NULL counts as empty. */
const struct err *query_parse(struct arena *a, const char *text, struct url_query *ret);

/* Decodes the raw bytes into memory of raw.n bytes; returns the length. */
size_t query_decode_bytes(struct str raw, bool plus_is_space, char *ret);

#endif
