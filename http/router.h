/* From a method and a path to a route: a trie of path segments, built once from the route tables.
 *
 * A literal segment wins over a {param}, which wins over {param...}. An unmatched path is tried
 * again without its trailing slash. HEAD falls back to GET. Matching allocates nothing; the
 * parameters' values are undecoded slices of the path. */
#ifndef HTTP_ROUTER_H
#define HTTP_ROUTER_H

#include "base/str.h"
#include "http/route.h"

enum { ROUTER_PARAMS_MAX = 8, ROUTER_SEGMENTS_MAX = 32 };

/* One path of a route: its own, its alias of older versions, or `also`. */
struct router_pattern {
    const struct route *route;
    size_t index; /* of the route over all tables */
    size_t params_n;
    struct str params[ROUTER_PARAMS_MAX]; /* their names */
};

struct router_match {
    const struct router_pattern *pattern; /* NULL: nothing matches */
    bool other_method;                    /* the path exists, with other methods */
    struct str values[ROUTER_PARAMS_MAX];
};

struct router;

/* Refuses two rows with one method and path, malformed paths, and rows without a handler. */
const struct err *router_create(const struct route *const *tables, size_t tables_n,
                                struct router **ret);
void router_destroy(struct router *r); /* NULL-safe */

void router_find(const struct router *r, enum http_method method, struct str path,
                 struct router_match *ret);

size_t router_routes_n(const struct router *r);
const struct route *router_route(const struct router *r, size_t index);

#endif
