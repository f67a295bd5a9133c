#include "http/router.h"

#include "base/mem.h"
#include "http/query.h"

enum { LITERAL_MAX = 128 }; /* bytes of a literal segment */

struct route_node {
    struct str text;              /* the literal segment of this node */
    struct route_node **literals; /* children, sorted by text */
    size_t literals_n;
    struct route_node *param, *rest;
    struct router_pattern *patterns[METHOD_COUNT];
};

struct router {
    struct arena *arena; /* nodes and patterns */
    struct route_node root;
    const struct route **routes;
    size_t routes_n;
};

/* The state of a search down the trie. */
struct route_search {
    struct str segments[ROUTER_SEGMENTS_MAX];
    size_t segments_n;
    enum http_method method;
    size_t values_n;
    struct router_match *match;
};

/* Index of the first child whose text is not below the given one. */
static size_t literal_position(const struct route_node *node, struct str text)
{
    size_t low = 0, high = node->literals_n;
    while (low < high) {
        size_t middle = (low + high) / 2;
        if (str_cmp(node->literals[middle]->text, text) < 0)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

static struct route_node *find_literal(const struct route_node *node, struct str text)
{
    size_t at = literal_position(node, text);
    if (at < node->literals_n && str_eq(node->literals[at]->text, text))
        return node->literals[at];
    return NULL;
}

static struct route_node *add_literal(struct router *r, struct route_node *node, struct str text)
{
    struct route_node *child = find_literal(node, text);
    if (child)
        return child;
    size_t at = literal_position(node, text);
    struct route_node **grown = arena_alloc_array(r->arena, node->literals_n + 1, sizeof *grown);
    child = arena_alloc(r->arena, sizeof *child);
    child->text = (struct str){str_dup(r->arena, text), text.n};
    for (size_t i = 0; i < node->literals_n; i++)
        grown[i < at ? i : i + 1] = node->literals[i];
    grown[at] = child;
    node->literals = grown;
    node->literals_n++;
    return child;
}

static struct route_node *add_wildcard(struct router *r, struct route_node **slot)
{
    if (!*slot)
        *slot = arena_alloc(r->arena, sizeof **slot);
    return *slot;
}

/* The next segment of a path that starts with '/'; false at its end. */
static bool next_segment(struct str *path, struct str *ret)
{
    if (!path->n)
        return false;
    const char *start = path->p + 1;
    const char *slash = memchr(start, '/', path->n - 1);
    *ret = (struct str){start, slash ? (size_t)(slash - start) : path->n - 1};
    path->p += ret->n + 1;
    path->n -= ret->n + 1;
    return true;
}

static const struct err *router_malformed(const char *path)
{
    return err_internal("route %s: malformed path", path);
}

/* Finds or makes the node of a path, and stores the parameters' names. */
static const struct err *add_path(struct router *r, const char *path,
                                  struct router_pattern *pattern, struct route_node **ret)
{
    struct str left = str_of(path), segment;
    struct route_node *node = &r->root;
    if (path[0] != '/')
        return router_malformed(path);
    for (size_t depth = 0; next_segment(&left, &segment); depth++) {
        if (depth == ROUTER_SEGMENTS_MAX || segment.n > LITERAL_MAX)
            return router_malformed(path);
        if (!str_starts_with(segment, "{")) {
            node = add_literal(r, node, segment);
            continue;
        }
        bool rest = str_ends_with(segment, "...}");
        size_t tail = rest ? 4 : 1;
        if (!str_ends_with(segment, "}") || segment.n <= tail + 1 || (rest && left.n) ||
            pattern->params_n == ROUTER_PARAMS_MAX)
            return router_malformed(path);
        pattern->params[pattern->params_n++] = (struct str){segment.p + 1, segment.n - 1 - tail};
        node = add_wildcard(r, rest ? &node->rest : &node->param);
    }
    *ret = node;
    return NULL;
}

/* Refuses a path that exists already, or ignores the new one if it is only an alias. */
static const struct err *add_pattern(struct router *r, size_t index, const char *path, bool alias)
{
    const struct route *route = r->routes[index];
    struct router_pattern *pattern = arena_alloc(r->arena, sizeof *pattern);
    pattern->route = route;
    pattern->index = index;
    struct route_node *node = NULL;
    TRY(add_path(r, path, pattern, &node));
    struct router_pattern **slot = &node->patterns[route->method];
    if (*slot && !alias)
        return err_internal("route %s is listed twice (also as %s)", path, (*slot)->route->path);
    if (!*slot)
        *slot = pattern;
    return NULL;
}

/* r0 was the version before v3; clients that old, and many bots, still use it. */
static const struct err *add_r0_alias(struct router *r, size_t index)
{
    static const char *const prefixes[] = {"/_matrix/client/v3/", "/_matrix/media/v3/"};
    const char *path = r->routes[index]->path;
    for (size_t i = 0; i < sizeof prefixes / sizeof *prefixes; i++) {
        size_t n = strlen(prefixes[i]);
        if (strncmp(path, prefixes[i], n) != 0)
            continue;
        char *alias = arena_printf(r->arena, "%.*sr0/%s", (int)n - 3, path, path + n);
        return add_pattern(r, index, alias, true);
    }
    return NULL;
}

static void collect_routes(struct router *r, const struct route *const *tables, size_t tables_n)
{
    size_t n = 0;
    for (size_t t = 0; t < tables_n; t++)
        for (const struct route *row = tables[t]; row->path; row++)
            n++;
    r->routes = arena_alloc_array(r->arena, n, sizeof *r->routes);
    for (size_t t = 0; t < tables_n; t++)
        for (const struct route *row = tables[t]; row->path; row++)
            r->routes[r->routes_n++] = row;
}

static const struct err *router_build(struct router *r)
{
    for (size_t i = 0; i < r->routes_n; i++) {
        const struct route *route = r->routes[i];
        if (!route->handler || (unsigned)route->method >= METHOD_COUNT)
            return err_internal("route %s has no handler or method", route->path);
        TRY(add_pattern(r, i, route->path, false));
        if (route->also)
            TRY(add_pattern(r, i, route->also, false));
    }
    for (size_t i = 0; i < r->routes_n; i++)
        TRY(add_r0_alias(r, i));
    return NULL;
}

const struct err *router_create(const struct route *const *tables, size_t tables_n,
                                struct router **ret)
{
    struct router *r = mem_zalloc(sizeof *r);
    r->arena = arena_create();
    collect_routes(r, tables, tables_n);
    const struct err *e = router_build(r);
    if (e) {
        router_destroy(r);
        return e;
    }
    *ret = r;
    return NULL;
}

void router_destroy(struct router *r)
{
    if (!r)
        return;
    arena_destroy(r->arena);
    free(r);
}

size_t router_routes_n(const struct router *r)
{
    return r->routes_n;
}

const struct route *router_route(const struct router *r, size_t index)
{
    return r->routes[index];
}

static bool search_node(struct route_search *s, const struct route_node *node, size_t depth);

static bool search_end(struct route_search *s, const struct route_node *node)
{
    const struct router_pattern *pattern = node->patterns[s->method];
    if (!pattern && s->method == HEAD)
        pattern = node->patterns[GET];
    for (int m = 0; m < METHOD_COUNT && !pattern; m++)
        s->match->other_method |= node->patterns[m] != NULL;
    s->match->pattern = pattern;
    return pattern;
}

static bool search_literal(struct route_search *s, const struct route_node *node, size_t depth)
{
    struct str segment = s->segments[depth];
    char decoded[LITERAL_MAX];
    if (segment.n <= LITERAL_MAX && memchr(segment.p, '%', segment.n))
        segment = (struct str){decoded, query_decode_bytes(segment, false, decoded)};
    const struct route_node *child = find_literal(node, segment);
    return child && search_node(s, child, depth + 1);
}

static bool search_param(struct route_search *s, const struct route_node *node, size_t depth)
{
    if (!node->param)
        return false;
    s->match->values[s->values_n++] = s->segments[depth];
    if (search_node(s, node->param, depth + 1))
        return true;
    s->values_n--;
    return false;
}

static bool search_rest(struct route_search *s, const struct route_node *node, size_t depth)
{
    if (!node->rest)
        return false;
    const struct str *first = &s->segments[depth], *last = &s->segments[s->segments_n - 1];
    s->match->values[s->values_n] = (struct str){first->p, (size_t)(last->p + last->n - first->p)};
    return search_end(s, node->rest);
}

/* Recursion is bounded by ROUTER_SEGMENTS_MAX, and no node is visited twice. */
static bool search_node(struct route_search *s, const struct route_node *node, size_t depth)
{
    if (depth == s->segments_n)
        return search_end(s, node);
    return search_literal(s, node, depth) || search_param(s, node, depth) ||
           search_rest(s, node, depth);
}

void router_find(const struct router *r, enum http_method method, struct str path,
                 struct router_match *ret)
{
    struct route_search s = {.method = method, .match = ret};
    struct str segment;
    ret->pattern = NULL;
    ret->other_method = false;
    if (!str_starts_with(path, "/"))
        return;
    while (next_segment(&path, &segment)) {
        if (s.segments_n == ROUTER_SEGMENTS_MAX)
            return;
        s.segments[s.segments_n++] = segment;
    }
    if (search_node(&s, &r->root, 0))
        return;
    if (s.segments_n > 1 && !s.segments[s.segments_n - 1].n) {
        s.segments_n--;
        s.values_n = 0;
        search_node(&s, &r->root, 0);
    }
}
