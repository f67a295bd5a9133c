/* Reads a large body with the scanner instead of a tree: members by their names, as jansson would
 * return them. Pure functions; results are in the arena, or bytes of the document. */
#ifndef MATRIX_JSON_NAMED_H
#define MATRIX_JSON_NAMED_H

#include "base/str.h"

struct json_named {
    const char *name; /* without escapes */
    struct str value;
};

/* Checks a body (matrix/json_scan.h) and finds its object with this name: M_NOT_JSON, M_BAD_JSON,
 * M_MISSING_PARAM. */
const struct err *json_body_object(struct str body, const char *key, struct str *ret);
/* An integer of a VALID object; absent or null: def. */
const struct err *json_named_int(struct str object, const char *key, int64_t def, int64_t *ret);

/* The members of a VALID object, in the order in which their names first occur; the last value of a
 * name counts. False: there are more than max. */
bool json_named_list(struct arena *a, struct str object, size_t max, struct json_named **ret,
                     size_t *ret_n);

#endif
