#include "check.h"

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
    ROW(GET, "/_matrix/client/versions"),
    ROW(GET, "/_matrix/client/v3/rooms/{room}/state"),
    ROW(GET, "/_matrix/client/v3/rooms/{room}/state/{type}"),
    ROW(GET, "/_matrix/client/v3/rooms/{room}/state/{type}/{key}"),
    ROW(PUT, "/_matrix/client/v3/rooms/{room}/state/{type}/{key}"),
    ROW(GET, "/_matrix/client/v3/rooms/{room}/members"),
    ROW(POST, "/_matrix/client/v3/rooms/{room}/{membership}"),
    ROW(POST, "/_matrix/client/v3/rooms/{room}/members"),
    ROW(GET, "/_matrix/client/r0/special"),
    ROW(GET, "/_matrix/client/v3/special"),
    ROW(GET, "/_matrix/media/v3/download/{server}/{id}"),
    ROW(GET, "/admin/{rest...}"),
    ROW(GET, "/admin/users/{user}"),
    {DELETE, "/_matrix/client/v1/thing/{a}", nothing, .who = WHO_ANYONE,
     .also = "/_matrix/client/unstable/org.example/thing/{a}"},
    ROW(HEAD, "/head"),
    {0}};

static const struct router_row {
    const char *proves;
    enum http_method method;
    const char *path;
    int route;         /* the row above, -1: none */
    bool other_method; /* 405 rather than 404 */
    const char *values[3];
} rows[] = {
    {"the root", GET, "/", 0, false, {0}},
    {"literals", GET, "/_matrix/client/versions", 1, false, {0}},
    {"a parameter in the middle", GET, "/_matrix/client/v3/rooms/!a:b/state", 2, false, {"!a:b"}},
    {"values stay undecoded",
     GET,
     "/_matrix/client/v3/rooms/%21a%2Fb/state/x",
     3,
     false,
     {"%21a%2Fb", "x"}},
    {"an empty state key", GET, "/_matrix/client/v3/rooms/r/state/x/", 4, false, {"r", "x", ""}},
    {"a state key", PUT, "/_matrix/client/v3/rooms/r/state/x/k", 5, false, {"r", "x", "k"}},
    {"r0 is v3", PUT, "/_matrix/client/r0/rooms/r/state/x/k", 5, false, {"r", "x", "k"}},
    {"media's r0 is v3", GET, "/_matrix/media/r0/download/s/i", 11, false, {"s", "i"}},
    {"a row of its own for r0 wins", GET, "/_matrix/client/r0/special", 9, false, {0}},
    {"v3 beside it", GET, "/_matrix/client/v3/special", 10, false, {0}},
    {"a literal before a parameter", POST, "/_matrix/client/v3/rooms/r/members", 8, false, {"r"}},
    {"a parameter when the literal differs",
     POST,
     "/_matrix/client/v3/rooms/r/join",
     7,
     false,
     {"r", "join"}},
    {"a literal in percent-encoding", GET, "/_matrix/client/v3/r%6Foms/r/members", 6, false, {"r"}},
    {"a path is more than its literals' methods",
     POST,
     "/_matrix/client/v3/rooms/r/state",
     7,
     false,
     {"r", "state"}},
    {"a trailing slash is forgiven", GET, "/_matrix/client/versions/", 1, false, {0}},
    {"two are not", GET, "/_matrix/client/versions//", -1, false, {0}},
    {"unknown path", GET, "/_matrix/client/v4/sync", -1, false, {0}},
    {"a prefix is no match", GET, "/_matrix/client", -1, false, {0}},
    {"longer than a route", GET, "/_matrix/client/versions/x", -1, false, {0}},
    {"another method", POST, "/_matrix/client/versions", -1, true, {0}},
    {"another method behind a parameter",
     DELETE,
     "/_matrix/client/v3/rooms/r/state/x/k",
     -1,
     true,
     {0}},
    {"the rest of a path", GET, "/admin/a/b%2F/c", 12, false, {"a/b%2F/c"}},
    {"a parameter before the rest", GET, "/admin/users/u", 13, false, {"u"}},
    {"the rest when the parameter does not fit", GET, "/admin/users/u/x", 12, false, {"users/u/x"}},
    {"the other spelling",
     DELETE,
     "/_matrix/client/unstable/org.example/thing/1",
     14,
     false,
     {"1"}},
    {"HEAD is GET", HEAD, "/_matrix/client/versions", 1, false, {0}},
    {"HEAD of its own", HEAD, "/head", 15, false, {0}},
    {"GET is not HEAD", GET, "/head", -1, true, {0}},
    {"no leading slash", GET, "_matrix/client/versions", -1, false, {0}},
    {"nothing", GET, "", -1, false, {0}},
    {"very many segments",
     GET,
     "/admin/1/1/1/1/1/1/1/1/1/1/1/1/1/1/1/1/1/1/1/1/1/1/1/1/1/1/1/1/1/1/1/1/1/1/1/1/1/1/1",
     -1,
     false,
     {0}},
};

static struct router *make_router(void)
{
    const struct route *tables[] = {routes};
    struct router *r = NULL;
    check_error("the table is good", router_create(tables, 1, &r), NULL);
    return r;
}

static void check_row(const struct router *r, const struct router_row *row)
{
    struct router_match m;
    router_find(r, row->method, str_of(row->path), &m);
    int found = m.pattern ? (int)(m.pattern->route - routes) : -1;
    if (found != row->route)
        fail_msg("%s: found row %d", row->proves, found);
    if (!m.pattern) {
        check_bool(row->proves, row->path, m.other_method, row->other_method);
        return;
    }
    for (size_t i = 0; i < 3; i++) {
        if (!row->values[i])
            check_bool(row->proves, "parameters",
                       m.pattern->params_n == i || i > m.pattern->params_n, true);
        else
            check_text(row->proves, m.values[i], row->values[i]);
        if (!row->values[i])
            return;
    }
}

static void test_routes_are_found(void **state)
{
    struct router *r = make_router();
    for (size_t i = 0; i < COUNT(rows); i++)
        check_row(r, &rows[i]);
    assert_int_equal(router_routes_n(r), COUNT(routes) - 1);
    router_destroy(r);
}

static void test_parameters_have_names(void **state)
{
    struct router *r = make_router();
    struct router_match m;
    router_find(r, GET, STR("/_matrix/client/r0/rooms/r/state/t/k"), &m);
    assert_int_equal(m.pattern->params_n, 3);
    check_text("first", m.pattern->params[0], "room");
    check_text("second", m.pattern->params[1], "type");
    check_text("third", m.pattern->params[2], "key");
    router_find(r, GET, STR("/admin/x"), &m);
    check_text("the rest", m.pattern->params[0], "rest");
    router_destroy(r);
}

static void test_bad_tables_are_refused(void **state)
{
    static const struct {
        const char *says;
        struct route table[3];
    } bad[] = {
        {"listed twice", {ROW(GET, "/a/{b}"), ROW(GET, "/a/{c}"), {0}}},
        {"listed twice", {ROW(GET, "/a"), {GET, "/b", nothing, .also = "/a"}, {0}}},
        {"malformed", {ROW(GET, "a"), {0}}},
        {"malformed", {ROW(GET, "/{}"), {0}}},
        {"malformed", {ROW(GET, "/{a"), {0}}},
        {"malformed", {ROW(GET, "/{a...}/b"), {0}}},
        {"malformed", {ROW(GET, "/{a}/{b}/{c}/{d}/{e}/{f}/{g}/{h}/{i}"), {0}}},
        {"no handler", {{GET, "/a", NULL, .who = WHO_ANYONE}, {0}}},
    };
    for (size_t i = 0; i < COUNT(bad); i++) {
        const struct route *tables[] = {bad[i].table};
        struct router *r = NULL;
        const struct err *e = router_create(tables, 1, &r);
        if (!e || !strstr(e->cause, bad[i].says))
            fail_msg("%zu should say \"%s\": %s", i, bad[i].says, e ? e->cause : "accepted");
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_routes_are_found),
        cmocka_unit_test(test_parameters_have_names),
        cmocka_unit_test(test_bad_tables_are_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
