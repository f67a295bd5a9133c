/* Input: a digit for the method, then a URI: path, and perhaps '?' and a query. */
#include "fuzz.h"

#include "http/query.h"
#include "http/router.h"

static const struct err *nothing(struct request *rq, struct reply *rp)
{
    return NULL;
}

#define ROW(m, p)                                                                                  \
    {                                                                                              \
        m, p, nothing, .who = WHO_ANYONE                                                           \
    }

static const struct route routes[] = {
    ROW(GET, "/"),
    ROW(GET, "/_matrix/client/v3/sync"),
    ROW(PUT, "/_matrix/client/v3/rooms/{room}/state/{type}/{key}"),
    ROW(GET, "/_matrix/client/v3/rooms/{room}/state/{type}"),
    ROW(POST, "/_matrix/client/v3/rooms/{room}/{membership}"),
    ROW(GET, "/a/{b}/c/{d}"),
    ROW(GET, "/a/b/{c}/d"),
    ROW(GET, "/a/{rest...}"),
    ROW(HEAD, "/%/{x}"),
    {0}};

static void check_values(const struct router_match *m, struct str path)
{
    arena_auto struct arena *a = arena_create();
    for (size_t i = 0; i < m->pattern->params_n; i++) {
        struct str v = m->values[i];
        HOLDS(v.p >= path.p && v.p + v.n <= path.p + path.n);
        const char *text;
        if (query_decode(a, v, false, &text))
            continue;
        HOLDS(strlen(text) <= v.n);
        HOLDS(utf8_valid(str_of(text)));
    }
}

static void check_query(const char *text)
{
    arena_auto struct arena *a = arena_create();
    struct url_query q;
    if (query_parse(a, text, &q))
        return;
    HOLDS(q.n <= QUERY_PAIRS_MAX);
    for (size_t i = 0; i < q.n; i++) {
        HOLDS(utf8_valid(str_of(q.pairs[i].name)));
        HOLDS(utf8_valid(str_of(q.pairs[i].value)));
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct router *router;
    static const struct route *const tables[] = {routes};
    if (!router)
        HOLDS(!router_create(tables, 1, &router));
    if (!size)
        return 0;
    char *uri = malloc(size);
    memcpy(uri, data + 1, size - 1);
    uri[size - 1] = '\0';
    char *question = strchr(uri, '?');
    if (question)
        *question = '\0';
    struct str path = str_of(uri);
    struct router_match m;
    router_find(router, (enum http_method)(data[0] % METHOD_COUNT), path, &m);
    if (m.pattern)
        check_values(&m, path);
    if (question)
        check_query(question + 1);
    free(uri);
    return 0;
}
