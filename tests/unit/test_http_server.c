/* The HTTP server from outside: requests, replies, errors and limits. Waiting, streaming and
 * stopping are in test_http_wait.c. */
#include "http/rate.h"

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

static const struct err *reply_address(struct request *rq, struct reply *rp)
{
    return reply_json(rp, 200, "{s:s,s:b}", "address", rq->remote_address, "secure",
                      request_is_secure(rq));
}

static const struct err *redirect(struct request *rq, struct reply *rp)
{
    reply_header(rp, "Access-Control-Allow-Origin", "https://one.example");
    reply_header(rp, "Location", "https://elsewhere.example/");
    return reply_body(rp, 302);
}

static const struct route routes[] = {
    {GET, "/_matrix/client/v3/echo/{id}", echo, .also = "/unstable/echo/{id}"},
    {POST, "/object", take_object, .body = BODY_JSON},
    {POST, "/maybe", take_object, .body = BODY_MAYBE},
    {PUT, "/raw", take_raw, .body = BODY_RAW},
    {PUT, "/small", take_raw, .body = BODY_RAW, .body_max = 10},
    {POST, "/ignored", say_nothing, .body = BODY_NONE},
    {GET, "/fails", fail_inside, .who = WHO_ANYONE},
    {GET, "/refuses", refuse, .who = WHO_ANYONE},
    {GET, "/busy", be_busy, .who = WHO_ANYONE},
    {GET, "/limited", reply_address, .rate = RATE_LOGIN},
    {GET, "/address", reply_address, .who = WHO_ANYONE},
    {GET, "/redirect", redirect, .who = WHO_ANYONE},
    {0}};

static struct rate_table *rates;

static int start_server(void **state)
{
    struct http_config config = fixture_config();
    static const char *const proxies[] = {"127.0.0.0/8", "10.0.0.0/8"};
    config.trusted_proxies = proxies;
    config.trusted_proxies_n = 2;
    config.rates[RATE_LOGIN] = (struct rate_limit){0.1, 2};
    config.rate_table = rates = rate_table_create(NULL);
    *state = fixture_start(&config, routes);
    return 0;
}

static int stop_server(void **state)
{
    http_server_stop(*state, 1000);
    rate_table_destroy(rates);
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
    {"a missing body", "POST /object" HOST "Content-Length: 0\r\n\r\n", 400, NOT_JSON_START},
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
    {"other members of an error", "GET /refuses" HOST "\r\n", 401,
     "{\"errcode\":\"M_UNKNOWN_TOKEN\",\"error\":\"Not \\\"you\\\"\",\"soft_logout\":true}"},
    {"the cause stays inside", "GET /fails" HOST "\r\n", 500,
     "{\"errcode\":\"M_UNKNOWN\",\"error\":\"Internal server error\"}"},
    {"a handler without a reply", "POST /ignored" HOST "Content-Length: 2\r\n\r\nxx", 500,
     "{\"errcode\":\"M_UNKNOWN\""},
    {"a whole URI", "GET http://x/unstable/echo/a?n=3" HOST "\r\n", 200, "{\"id\":\"a\""},
    {"a whole URI without a path", "GET http://x" HOST "\r\n", 404, "{\"errcode\""},
    {"two lengths", "PUT /raw" HOST "Content-Length: 3\r\nContent-Length: 5\r\n\r\nabcde", 400,
     "{\"errcode\":\"M_UNKNOWN\""},
    {"a length and chunks",
     "PUT /raw" HOST "Content-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", 400,
     "{\"errcode\":\"M_UNKNOWN\""},
    {"unknown encoding", "PUT /raw" HOST "Transfer-Encoding: gzip\r\n\r\nabc", 400,
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

/* Heads that fill the connection's memory are answered, or the connection ends; it never hangs. */
static void test_large_heads(void **state)
{
    struct fixture_reply r = {0};
    static char ask[20000];
    for (size_t n = 500; n < 9500; n += 250) {
        size_t at = (size_t)sprintf(ask, "GET /address?");
        for (size_t i = 0; i < n; i += 4, at += 4)
            memcpy(ask + at, "a=b&", 5);
        strcpy(ask + at, HOST "\r\n");
        int status = fixture_ask(*state, &r, ask);
        assert_int_equal(status, n < 4000 ? 200 : n < 7500 ? 400 : status);
        at = (size_t)sprintf(ask, "GET /address" HOST "X: %*s", (int)n, "x");
        strcpy(ask + at, "\r\n\r\n");
        status = fixture_ask(*state, &r, ask);
        assert_int_equal(status, n < 7500 ? 200 : status);
    }
    fixture_forget(&r);
}

static void test_cors(void **state)
{
    struct fixture_reply r = {0};
    fixture_ask(*state, &r, "OPTIONS /object HTTP/1.1\r\nHost: x\r\n\r\n");
    assert_string_equal(fixture_header(&r, "Access-Control-Allow-Methods"),
                        "GET, POST, PUT, DELETE, OPTIONS");
    assert_string_equal(fixture_header(&r, "Access-Control-Allow-Headers"),
                        "X-Requested-With, Content-Type, Authorization");
    assert_int_equal(fixture_ask(*state, &r, "GET /redirect HTTP/1.1\r\nHost: x\r\n\r\n"), 302);
    assert_string_equal(fixture_header(&r, "Location"), "https://elsewhere.example/");
    assert_string_equal(fixture_header(&r, "Access-Control-Allow-Origin"), "https://one.example");
    fixture_forget(&r);
}

static void test_errors_say_when_to_come_back(void **state)
{
    struct fixture_reply r = {0};
    assert_int_equal(fixture_ask(*state, &r, "GET /busy HTTP/1.1\r\nHost: x\r\n\r\n"), 503);
    assert_string_equal(fixture_header(&r, "Retry-After"), "2");
    const char *limited = "GET /limited HTTP/1.1\r\nHost: x\r\nX-Forwarded-For: 192.0.2.1\r\n\r\n";
    assert_int_equal(fixture_ask(*state, &r, limited), 200);
    assert_int_equal(fixture_ask(*state, &r, limited), 200);
    assert_int_equal(fixture_ask(*state, &r, limited), 429);
    assert_string_equal(fixture_header(&r, "Retry-After"), "10");
    assert_non_null(strstr(r.body.p, "\"errcode\":\"M_LIMIT_EXCEEDED\""));
    assert_non_null(strstr(r.body.p, "\"retry_after_ms\":"));
    const char *other = "GET /limited HTTP/1.1\r\nHost: x\r\nX-Forwarded-For: 192.0.2.2\r\n\r\n";
    assert_int_equal(fixture_ask(*state, &r, other), 200);
    assert_int_equal(fixture_ask(*state, &r, "GET /fails HTTP/1.1\r\nHost: x\r\n\r\n"), 500);
    assert_string_equal(fixture_header(&r, "X-Lost"), "");
    fixture_forget(&r);
}

static void test_client_addresses(void **state)
{
    struct fixture_reply r = {0};
    fixture_ask(*state, &r, "GET /address HTTP/1.1\r\nHost: x\r\n\r\n");
    BODY_IS(r, "{\"address\":\"127.0.0.1\",\"secure\":false}");
    fixture_ask(*state, &r,
                "GET /address HTTP/1.1\r\nHost: x\r\nX-Forwarded-For: 6.6.6.6\r\n"
                "X-Forwarded-For: 192.0.2.7, 10.1.1.1\r\nX-Forwarded-Proto: https\r\n\r\n");
    BODY_IS(r, "{\"address\":\"192.0.2.7\",\"secure\":true}");
    fixture_forget(&r);
}

static void test_keep_alive_and_pipelining(void **state)
{
    struct fixture_reply r = {0};
    int fd = fixture_connect(*state);
    for (int i = 0; i < 50; i++)
        fixture_sendf(fd,
                      "PUT /raw HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n%.*s"
                      "GET /unstable/echo/%d HTTP/1.1\r\nHost: x\r\n\r\n",
                      i % 10, i % 10, "0123456789", i);
    for (int i = 0; i < 50; i++) {
        char wanted[32];
        assert_true(fixture_read(fd, true, &r));
        snprintf(wanted, sizeof wanted, "%d", i % 10);
        BODY_IS(r, wanted);
        assert_true(fixture_read(fd, true, &r));
        snprintf(wanted, sizeof wanted, "{\"id\":\"%d\"", i);
        assert_int_equal(strncmp(r.body.p, wanted, strlen(wanted)), 0);
    }
    close(fd);
    fixture_forget(&r);
}

static void test_errors_keep_the_connection(void **state)
{
    struct fixture_reply r = {0};
    int fd = fixture_connect(*state);
    for (int i = 0; i < 3; i++) {
        fixture_send(fd, "PUT /small HTTP/1.1\r\nHost: x\r\nContent-Length: 11\r\n\r\n12345678901"
                         "POST /nowhere HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\n\r\nabc");
        assert_true(fixture_read(fd, true, &r));
        assert_int_equal(r.status, 413);
        assert_true(fixture_read(fd, true, &r));
        assert_int_equal(r.status, 404);
    }
    close(fd);
    fixture_forget(&r);
}

static void test_head(void **state)
{
    struct fixture_reply r = {0};
    assert_int_equal(fixture_ask(*state, &r, "HEAD /address HTTP/1.1\r\nHost: x\r\n\r\n"), 200);
    assert_string_equal(fixture_header(&r, "Content-Length"), "38");
    fixture_forget(&r);
}

/* A client that sends a far too large body before it reads must still get the error. */
static void test_refused_upload_hears_why(void **state)
{
    struct fixture_reply r = {0};
    size_t n = 2 * 1024 * 1024;
    char *bytes = calloc(1, n);
    for (int i = 0; i < 5; i++) {
        int fd = fixture_connect(*state);
        fixture_sendf(fd, "PUT /raw HTTP/1.1\r\nHost: x\r\nContent-Length: %zu\r\n\r\n", n);
        fixture_send_bytes(fd, bytes, n);
        assert_true(fixture_read(fd, true, &r));
        assert_int_equal(r.status, 413);
        assert_true(fixture_is_closed(fd, 5000));
        close(fd);
    }
    free(bytes);
    fixture_forget(&r);
}

static void test_expect_continue(void **state)
{
    struct fixture_reply r = {0};
    int fd = fixture_connect(*state);
    fixture_send(fd, "PUT /raw HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\n"
                     "Expect: 100-continue\r\n\r\n");
    assert_true(fixture_read(fd, false, &r));
    assert_int_equal(r.status, 100);
    fixture_send(fd, "abc");
    assert_true(fixture_read(fd, true, &r));
    BODY_IS(r, "3");
    close(fd);
    fd = fixture_connect(*state);
    fixture_send(fd, "PUT /raw HTTP/1.1\r\nHost: x\r\nContent-Length: 99999999\r\n"
                     "Expect: 100-continue\r\n\r\n");
    assert_true(fixture_read(fd, true, &r));
    assert_int_equal(r.status, 413); /* without 100 Continue */
    close(fd);
    fixture_forget(&r);
}

static void test_metrics(void **state)
{
    buf_auto struct buf out = {0};
    http_server_add_metrics(*state, &out);
    assert_non_null(strstr(out.p, "concorde_http_requests_total{method=\"GET\",route=\"/busy\","
                                  "status=\"5xx\"} 1\n"));
    assert_non_null(strstr(out.p, "concorde_http_requests_total{method=\"\",route=\"\","
                                  "status=\"4xx\"}"));
    assert_non_null(strstr(out.p, "concorde_http_handler_seconds_count "));
    assert_non_null(strstr(out.p, "concorde_http_queue_depth{pool=\"client\"} 0\n"));
}

/* Slow heads, slow bodies, idle and half-closed connections all end. */
static void test_slow_clients_are_cut(void **state)
{
    struct http_config config = fixture_config();
    config.idle_timeout_s = 1;
    struct http_server *s = fixture_start(&config, routes);
    int idle = fixture_connect(s), head = fixture_connect(s), body = fixture_connect(s),
        half = fixture_connect(s);
    fixture_send(head, "GET /address HTTP/1.1\r\n");
    fixture_send(body, "PUT /raw HTTP/1.1\r\nHost: x\r\nContent-Length: 1000\r\n\r\n");
    fixture_send(half, "GET /address HTTP/1.1\r\nHost:");
    shutdown(half, SHUT_WR);
    int64_t from = mono_ms(), until = from + 8000;
    bool head_cut = false, body_cut = false;
    while (!(head_cut && body_cut) && mono_ms() < until) { /* one byte at a time */
        fixture_send(head, "X");
        fixture_send(body, "x");
        head_cut = head_cut || fixture_is_closed(head, 100);
        body_cut = body_cut || fixture_is_closed(body, 100);
    }
    assert_true(fixture_is_closed(half, 3000));
    assert_true(mono_ms() - from > 1500); /* not by the idle timeout */
    assert_true(head_cut);
    assert_true(body_cut);
    assert_true(fixture_is_closed(idle, 5000));
    close(idle);
    close(head);
    close(body);
    close(half);
    http_server_stop(s, 0);
}

/* Over the limit connections wait in the kernel until others end; idle ones are closed for them. */
static void test_connection_limit(void **state)
{
    struct http_config config = fixture_config();
    struct fixture_reply r = {0};
    config.connections_max = 3;
    struct http_server *s = fixture_start(&config, routes);
    int fds[5];
    for (int i = 0; i < 5; i++) {
        fds[i] = fixture_connect(s);
        fixture_send(fds[i], "GET /address HTTP/1.1\r\nHost: x\r\n\r\n");
    }
    for (int i = 0; i < 5; i++) {
        assert_true(fixture_read(fds[i], true, &r));
        assert_true(fixture_metric(s, "concorde_http_connections") <= 3);
    }
    for (int i = 0; i < 5; i++)
        close(fds[i]);
    http_server_stop(s, 0);
    fixture_forget(&r);
}

static void check_refused(const struct http_config *config, const struct route *table,
                          const char *says)
{
    struct http_server *s = NULL;
    const struct err *e = http_server_start(config, &table, 1, &s);
    if (!e || !strstr(e->cause, says))
        fail_msg("%s: %s", says, e ? e->cause : "started");
    assert_null(s);
}

static void test_settings_refused_at_start(void **state)
{
    struct http_config config = fixture_config();
    struct http_listener l = {.address = "127.0.0.1:1", .tls_certificate = "/nowhere"};
    static const struct route twice[] = {
        {GET, "/a/{b}", reply_address, .who = WHO_ANYONE},
        {GET, "/a/{c}", reply_address, .who = WHO_ANYONE},
        {0},
    };
    check_refused(&config, twice, "twice");
    config.listeners = &l;
    check_refused(&config, routes, "certificate and a key");
    l.tls_key = "/nowhere";
    l.address = "127.0.0.1:0";
    check_refused(&config, routes, "/nowhere");
    l = (struct http_listener){.address = "192.0.2.1:0"};
    check_refused(&config, routes, "listener 192.0.2.1:0: ");
    l.address = "8008";
    check_refused(&config, routes, "expected address:port");
    char taken[32];
    snprintf(taken, sizeof taken, "127.0.0.1:%d", http_server_port(*state, 0));
    l.address = taken;
    check_refused(&config, routes, "in use");
    static const char *const proxies[] = {"10.0.0.0/33"};
    config.trusted_proxies = proxies;
    config.trusted_proxies_n = 1;
    check_refused(&config, routes, "10.0.0.0/33");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_parameters_are_decoded),
        cmocka_unit_test(test_rules),
        cmocka_unit_test(test_large_heads),
        cmocka_unit_test(test_cors),
        cmocka_unit_test(test_errors_say_when_to_come_back),
        cmocka_unit_test(test_client_addresses),
        cmocka_unit_test(test_keep_alive_and_pipelining),
        cmocka_unit_test(test_errors_keep_the_connection),
        cmocka_unit_test(test_head),
        cmocka_unit_test(test_refused_upload_hears_why),
        cmocka_unit_test(test_expect_continue),
        cmocka_unit_test(test_metrics),
        cmocka_unit_test(test_slow_clients_are_cut),
        cmocka_unit_test(test_connection_limit),
        cmocka_unit_test(test_settings_refused_at_start),
    };
    return cmocka_run_group_tests(tests, start_server, stop_server);
}
