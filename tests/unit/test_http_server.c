/* The HTTP server from outside: requests, replies, errors and limits. Waiting, streaming and
 * stopping are in test_http_wait.c. */
#include "http_fixture.h"

static const struct err *echo(struct request *rq, struct reply *rp)
{
    int64_t n = 0;
    bool yes = false;
    TRY(request_query_int(rq, "n", -1, -1, 100, &n));
    TRY(request_query_bool(rq, "yes", false, &yes));
    const char *const *via;
    size_t vias = request_query_all(rq, "via", &via);
    const char *q = request_query(rq, "q");
    return reply_json(rp, 200, "{s:s,s:s,s:I,s:b,s:I,s:s}", "id", request_param(rq, "id"), "q",
                      q ? q : "(none)", "n", (json_int_t)n, "yes", yes, "vias", (json_int_t)vias,
                      "last", vias ? via[vias - 1] : "");
}

static const struct err *take_object(struct request *rq, struct reply *rp)
{
    return reply_tree(rp, 200, json_incref(rq->body));
}

static const struct err *take_raw(struct request *rq, struct reply *rp)
{
    buf_add_int(&rp->body, (int64_t)rq->raw.n);
    return reply_body(rp, 200);
}

static const struct err *fail_inside(struct request *rq, struct reply *rp)
{
    reply_header(rp, "X-Lost", "1");
    return err_internal("a secret cause");
}

static const struct err *refuse(struct request *rq, struct reply *rp)
{
    return err_with_fields(err(ERR_UNKNOWN_TOKEN, "Not \"you\""), "\"soft_logout\":true");
}

static const struct err *be_busy(struct request *rq, struct reply *rp)
{
    return err(ERR_UNAVAILABLE, "Later");
}

static const struct err *say_nothing(struct request *rq, struct reply *rp)
{
    return NULL;
}

static const struct err *tell_address(struct request *rq, struct reply *rp)
{
    return reply_json(rp, 200, "{s:s,s:b}", "address", rq->remote_address, "secure",
                      request_is_secure(rq));
}

static const struct err *redirect(struct request *rq, struct reply *rp)
{
    reply_header(rp, "Access-Control-Allow-Origin", "https://one.example");
    return reply_redirect(rp, 302, "https://elsewhere.example/");
}

static const struct route routes[] = {
    {GET, "/_matrix/client/v3/echo/{id}", echo, .also = "/unstable/echo/{id}"},
    {POST, "/object", take_object, .body = BODY_JSON},
    {POST, "/maybe", take_object, .body = BODY_MAYBE},
    {PUT, "/raw", take_raw, .body = BODY_RAW},
    {PUT, "/small", take_raw, .body = BODY_RAW, .body_max = 10},
    {POST, "/ignored", say_nothing, .body = BODY_NONE},
    {GET, "/fails", fail_inside, .who = WHO_ANYBODY},
    {GET, "/refuses", refuse, .who = WHO_ANYBODY},
    {GET, "/busy", be_busy, .who = WHO_ANYBODY},
    {GET, "/limited", tell_address, .rate = RATE_LOGIN},
    {GET, "/address", tell_address, .who = WHO_ANYBODY},
    {GET, "/redirect", redirect, .who = WHO_ANYBODY},
    {0}};

static int start_server(void **state)
{
    struct http_config config = fixture_config();
    static const char *const proxies[] = {"127.0.0.0/8", "10.0.0.0/8"};
    config.trusted_proxies = proxies;
    config.trusted_proxies_n = 2;
    config.rates[RATE_LOGIN] = (struct rate_limit){0.1, 2};
    *state = fixture_start(&config, routes);
    return 0;
}

static int stop_server(void **state)
{
    http_server_stop(*state, 1000);
    return 0;
}

static void test_parameters_are_decoded(void **state)
{
    struct fixture_reply r = {0};
    const char *ask = "GET /_matrix/client/v3/echo/%21a%2Fb%20c?q=x%26y+z&n=7&yes=true&via=1&via=2 "
                      "HTTP/1.1\r\nHost: x\r\n\r\n";
    assert_int_equal(fixture_ask(*state, &r, ask), 200);
    BODY_IS(r,
            "{\"id\":\"!a/b c\",\"last\":\"2\",\"n\":7,\"q\":\"x&y z\",\"vias\":2,\"yes\":true}");
    assert_string_equal(fixture_header(&r, "Content-Type"), "application/json");
    fixture_forget(&r);
}

struct row {
    const char *rule, *ask;
    int status;
    const char *body;
};

#define HOST " HTTP/1.1\r\nHost: x\r\n"
#define NOT_JSON_START "{\"errcode\":\"M_NOT_JSON\""

static const struct row rows[] = {
    {"r0 is served as v3", "GET /_matrix/client/r0/echo/a" HOST "\r\n", 200, "{\"id\":\"a\""},
    {"the other spelling", "GET /unstable/echo/a" HOST "\r\n", 200, "{\"id\":\"a\""},
    {"a trailing slash", "GET /address/" HOST "\r\n", 200, "{\"address\""},
    {"unknown path", "GET /nowhere" HOST "\r\n", 404, "{\"errcode\":\"M_UNRECOGNIZED\""},
    {"unknown path with a body", "POST /nowhere" HOST "Content-Length: 2\r\n\r\n{}", 404,
     "{\"errcode\":\"M_UNRECOGNIZED\""},
    {"wrong method", "DELETE /object" HOST "\r\n", 405, "{\"errcode\":\"M_UNRECOGNIZED\""},
    {"unknown method", "BREW /object" HOST "\r\n", 405, "{\"errcode\":\"M_UNRECOGNIZED\""},
    {"NUL in the path", "GET /unstable/echo/a%00b" HOST "\r\n", 400,
     "{\"errcode\":\"M_INVALID_PARAM\""},
    {"not UTF-8 in the path", "GET /unstable/echo/%ff" HOST "\r\n", 400,
     "{\"errcode\":\"M_INVALID_PARAM\""},
    {"not UTF-8 in the query", "GET /unstable/echo/a?q=%c3" HOST "\r\n", 400,
     "{\"errcode\":\"M_INVALID_PARAM\""},
    {"not an integer", "GET /unstable/echo/a?n=7x" HOST "\r\n", 400,
     "{\"errcode\":\"M_INVALID_PARAM\""},
    {"integer out of bounds", "GET /unstable/echo/a?n=101" HOST "\r\n", 400,
     "{\"errcode\":\"M_INVALID_PARAM\""},
    {"not a boolean", "GET /unstable/echo/a?yes=1" HOST "\r\n", 400,
     "{\"errcode\":\"M_INVALID_PARAM\""},
    {"an object", "POST /object" HOST "Content-Length: 9\r\n\r\n{\"a\": 1 }", 200, "{\"a\":1}"},
    {"a chunked object",
     "POST /object" HOST "Transfer-Encoding: chunked\r\n\r\n4\r\n{\"a\"\r\n3\r\n:1}\r\n0\r\n\r\n",
     200, "{\"a\":1}"},
    {"malformed JSON", "POST /object" HOST "Content-Length: 2\r\n\r\n{x", 400, NOT_JSON_START},
    {"no body where one must be", "POST /object" HOST "Content-Length: 0\r\n\r\n", 400,
     NOT_JSON_START},
    {"not an object", "POST /object" HOST "Content-Length: 2\r\n\r\n[]", 400,
     "{\"errcode\":\"M_BAD_JSON\""},
    {"an empty body counts as {}", "POST /maybe" HOST "Content-Length: 0\r\n\r\n", 200, "{}"},
    {"raw bytes", "PUT /raw" HOST "Content-Length: 3\r\n\r\nxyz", 200, "3"},
    {"announced too large", "PUT /small" HOST "Content-Length: 11\r\n\r\n12345678901", 413,
     "{\"errcode\":\"M_TOO_LARGE\""},
    {"announced far too large", "PUT /raw" HOST "Content-Length: 99999999999\r\n\r\n", 413,
     "{\"errcode\":\"M_TOO_LARGE\""},
    {"chunked and too large",
     "PUT /small" HOST "Transfer-Encoding: chunked\r\n\r\nb\r\n12345678901\r\n0\r\n\r\n", 413,
     "{\"errcode\":\"M_TOO_LARGE\""},
    {"exactly at the limit", "PUT /small" HOST "Content-Length: 10\r\n\r\n1234567890", 200, "10"},
    {"an error's further members", "GET /refuses" HOST "\r\n", 401,
     "{\"errcode\":\"M_UNKNOWN_TOKEN\",\"error\":\"Not \\\"you\\\"\",\"soft_logout\":true}"},
    {"the cause stays inside", "GET /fails" HOST "\r\n", 500,
     "{\"errcode\":\"M_UNKNOWN\",\"error\":\"Internal server error\"}"},
    {"a handler without a reply", "POST /ignored" HOST "Content-Length: 2\r\n\r\nxx", 500,
     "{\"errcode\":\"M_UNKNOWN\""},
    {"preflight", "OPTIONS /_matrix/client/v3/echo/a" HOST "\r\n", 200, "{}"},
    {"preflight of an unknown path", "OPTIONS /nowhere" HOST "\r\n", 200, "{}"},
};

static void test_rules(void **state)
{
    struct fixture_reply r = {0};
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        const struct row *row = &rows[i];
        int status = fixture_ask(*state, &r, row->ask);
        if (status != row->status ||
            strncmp(r.body.p ? r.body.p : "", row->body, strlen(row->body)))
            fail_msg("%s: %d %s", row->rule, status, r.body.p);
        if (strcmp(fixture_header(&r, "Access-Control-Allow-Origin"), "*") != 0)
            fail_msg("%s: no CORS header", row->rule);
    }
    fixture_forget(&r);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_parameters_are_decoded),
        cmocka_unit_test(test_rules),
    };
    return cmocka_run_group_tests(tests, start_server, stop_server);
}
