/* Reading JSON with jansson: bounded parsing and typed member access that yields the spec's errors.
 *
 * Ownership follows jansson's: `const json_t *` is borrowed, `json_auto_t *` is owned. A value
 * parsed with json_read belongs to the arena and dies with it. */
#ifndef BASE_JSON_H
#define BASE_JSON_H

#include "base/arena.h"
#include "base/str.h"

#include <jansson.h>
#include <stdbool.h>

enum {
    JSON_DEPTH_MAX = 100,
    /* The maximum size of a tree: a fixed part, and a part for each byte of the document. */
    JSON_TREE_LEAST = 16 << 20,
    JSON_TREE_RATIO = 8,
    JSON_TREE_MAX = 32 << 20,
    JSON_TREES_FREE = 256 << 10 /* an arena's first need no memory of base/json_trees.h */
};

/* How much a document will take, measured in one pass before it is parsed. */
struct json_measure {
    int depth;
    size_t tree_bytes; /* from malloc; rather too many */
};
struct json_measure json_measure(struct str bytes);

/* Parses one JSON value. M_NOT_JSON when malformed, not UTF-8 or nested deeper than JSON_DEPTH_MAX,
 * M_BAD_JSON for integers beyond 64 bits and floats beyond doubles, M_TOO_LARGE when the tree would
 * be too large; duplicate keys take the last value, as browsers do. A large tree waits for others
 * to be freed, and finally fails with ERR_UNAVAILABLE. Trees count together when their arenas have
 * the same source. */
const struct err *json_read(struct arena *a, struct str bytes, json_t **ret);
/* The same for stored or checked documents, which are never refused because of other trees: their
 * readers cannot do without. */
const struct err *json_read_own(struct arena *a, struct str bytes, json_t **ret);
/* The same for an arena that lives in a cache, which has a bound of its own. */
const struct err *json_read_to_keep(struct arena *a, struct str bytes, json_t **ret);

/* The arena drops the reference when it is reset. Returns its argument. */
json_t *json_keep(struct arena *a, json_t *owned);

/* Typed members. `need` functions: M_MISSING_PARAM when absent, M_BAD_JSON when of another type.
 * `want` functions: absent gives the default. A JSON null counts as absent. */
const struct err *json_need_string(const json_t *o, const char *key, const char **ret);
const struct err *json_need_int(const json_t *o, const char *key, int64_t *ret);
const struct err *json_need_object(const json_t *o, const char *key, const json_t **ret);
const struct err *json_need_array(const json_t *o, const char *key, const json_t **ret);
const struct err *json_want_string(const json_t *o, const char *key, const char *def,
                                   const char **ret);
const struct err *json_want_int(const json_t *o, const char *key, int64_t def, int64_t *ret);
const struct err *json_want_bool(const json_t *o, const char *key, bool def, bool *ret);
const struct err *json_want_object(const json_t *o, const char *key, const json_t **ret);
const struct err *json_want_array(const json_t *o, const char *key, const json_t **ret);

/* Lenient access for data that was checked already: NULL when absent or of another type. A text
 * with NUL in it counts as absent, since C would read "public\u0000" as "public". */
const char *json_text(const json_t *o, const char *key);
const char *json_string_text(const json_t *v); /* the same of a value itself */

/* Follows keys down nested objects: json_at(ev, "content", "m.relates_to", NULL). */
const json_t *json_at(const json_t *o, ...) __attribute__((sentinel));

/* Compact text of a value, appended; nothing for NULL. Sorted keys; for canonical JSON see
 * matrix/canonical_json.h. */
void buf_add_json(struct buf *b, const json_t *v);
char *json_write(struct arena *a, const json_t *v);

/* A finite float in the fewest digits that read back the same, written as Python's json module
 * writes it: 0.1, 1.0, 1e-07, 1e+16. Servers that parse and encode again come to these bytes. */
void buf_add_real(struct buf *b, double v);

#endif
