/* http/: accepted heads of requests (RFC 9112), and the refusal of others. */
#include "http_fixture.h"

static const struct err *say_size(struct request *rq, struct reply *rp)
{
    buf_add_int(&rp->body, (int64_t)rq->raw.n);
    return reply_body(rp, 200);
}

static const struct route routes[] = {
    {.method = GET, .path = "/get", .handler = say_size, .spec = "-"},
    {.method = PUT, .path = "/put", .handler = say_size, .body = BODY_RAW, .spec = "-"},
    {.path = NULL},
};

struct row {
    const char *rule, *bytes;
    size_t n;
    int status;
};

/* The bytes that a proxy may take for a body are a second request: it must not be answered. */
#define HIDDEN "GET /get HTTP/1.1\r\nHost: x\r\nX: "
#define ROW(rule, status, bytes)                                                                   \
    {                                                                                              \
        rule, bytes, sizeof bytes - 1, status                                                      \
    }

static const struct row rows[] = {
    ROW("a space before the colon", 400,
        "PUT /put HTTP/1.1\r\nHost: x\r\nTransfer-Encoding : chunked\r\n\r\n0\r\n\r\n" HIDDEN),
    ROW("a tab before the colon", 400,
        "PUT /put HTTP/1.1\r\nHost: x\r\nContent-Length\t: 5\r\n\r\nabcde"),
    ROW("a bare LF after the request line", 400, "GET /get HTTP/1.1\nHost: x\r\n\r\n"),
    ROW("a bare LF after a header", 400,
        "PUT /put HTTP/1.1\r\nHost: x\r\nX: a\nContent-Length: 5\r\n\r\nabcde"),
    ROW("a bare LF at the end", 400, "GET /get HTTP/1.1\r\nHost: x\r\n\n" HIDDEN),
    ROW("a bare CR in a value", 400, "GET /get HTTP/1.1\r\nHost: x\r\nX: a\rY: b\r\n\r\n"),
    ROW("NUL in a value", 400,
        "PUT /put HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\0x\r\n\r\n0\r\n\r\n"),
    ROW("two NUL in a value", 400,
        "GET /get HTTP/1.1\r\nHost: x\r\nX: a\0\0Content-Length\0 5\r\n\r\nabcde"),
    ROW("NUL in a name", 400, "GET /get HTTP/1.1\r\nHost: x\r\nX\0Y: a\r\n\r\n"),
    ROW("NUL at the start of a line", 400, "GET /get HTTP/1.1\r\nHost: x\r\n\0X: a\r\n\r\n"),
    ROW("NUL in the target", 400, "GET /get\0/x HTTP/1.1\r\nHost: x\r\n\r\n"),
    ROW("a control character in the target", 400, "GET /get\x01 HTTP/1.1\r\nHost: x\r\n\r\n"),
    ROW("two spaces in the request line", 400, "GET  /get HTTP/1.1\r\nHost: x\r\n\r\n"),
    ROW("a folded line", 400, "GET /get HTTP/1.1\r\nHost: x\r\nX: a\r\n b\r\n\r\n"),
    ROW("an empty name", 400, "GET /get HTTP/1.1\r\nHost: x\r\n: a\r\n\r\n"),
    ROW("a name that is no token", 400, "GET /get HTTP/1.1\r\nHost: x\r\nX(): a\r\n\r\n"),
    ROW("a line without a colon", 400, "GET /get HTTP/1.1\r\nHost: x\r\nnonsense\r\n\r\n"),
    ROW("no Host", 400, "GET /get HTTP/1.1\r\n\r\n"),
    ROW("no Host in a later version", 400, "GET /get HTTP/1.2\r\n\r\n"),
    ROW("two Hosts", 400, "GET /get HTTP/1.1\r\nHost: x\r\nHost: y\r\n\r\n"),
    ROW("two lengths", 400,
        "PUT /put HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\nContent-Length: 5\r\n\r\nabcde"),
    ROW("a list of lengths", 400,
        "PUT /put HTTP/1.1\r\nHost: x\r\nContent-Length: 5, 5\r\n\r\nabcde"),
    ROW("a length with a sign", 400,
        "PUT /put HTTP/1.1\r\nHost: x\r\nContent-Length: +5\r\n\r\nabcde"),
    ROW("a negative length", 400,
        "PUT /put HTTP/1.1\r\nHost: x\r\nContent-Length: -5\r\n\r\nabcde"),
    ROW("an empty length", 400, "PUT /put HTTP/1.1\r\nHost: x\r\nContent-Length:\r\n\r\nabcde"),
    ROW("a length and chunks", 400,
        "PUT /put HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n"
        "0\r\n\r\n"),
    ROW("chunked twice", 400,
        "PUT /put HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\nTransfer-Encoding: "
        "chunked\r\n\r\n0\r\n\r\n"),
    ROW("chunks in HTTP/1.0", 400,
        "PUT /put HTTP/1.0\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n"),
    ROW("a control character in the version", 400, "GET /get HTTP/1.1\x0b\r\nHost: x\r\n\r\n"),
};

/* Every refusal is the spec's JSON with CORS headers, and ends the connection. */
static void check_refusal(int fd, const char *rule, int status, const char *errcode)
{
    struct fixture_reply r = {0};
    if (!fixture_read(fd, true, &r) || r.status != status)
        fail_msg("%s: %d", rule, r.status);
    if (!strstr(r.body.p, errcode) ||
        strcmp(fixture_header(&r, "Content-Type"), "application/json") != 0 ||
        strcmp(fixture_header(&r, "Access-Control-Allow-Origin"), "*") != 0)
        fail_msg("%s: %s %s", rule, r.head, r.body.p);
    if (!fixture_is_closed(fd, 20000))
        fail_msg("%s: the connection lives on", rule);
    fixture_forget(&r);
    close(fd);
}

static void test_malformed(void **state)
{
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        int fd = fixture_connect(*state);
        fixture_send_bytes(fd, rows[i].bytes, rows[i].n);
        check_refusal(fd, rows[i].rule, rows[i].status, "\"M_UNKNOWN\"");
    }
}

/* More than any number that libmicrohttpd can hold. */
static void test_huge_length(void **state)
{
    int fd = fixture_connect(*state);
    fixture_send(fd, "PUT /put HTTP/1.1\r\nHost: x\r\nContent-Length: "
                     "99999999999999999999999\r\n\r\nabc");
    check_refusal(fd, "a huge length", 413, "\"M_TOO_LARGE\"");
}

static void test_well_formed(void **state)
{
    static const char *const asks[] = {
        "GET /get?a=b&c HTTP/1.1\r\nHost: x\r\n\r\n",
        "GET /get HTTP/1.1\r\nhost:x\r\nEmpty:\r\nTabs:\t\ta\tb \r\nCookie: a=b; c=d\r\n\r\n",
        "PUT /put HTTP/1.1\r\nHost: x\r\nLatin: \xe9\r\nTransfer-Encoding: chunked\r\n\r\n"
        "3\r\nabc\r\n0\r\n\r\n",
        "\r\nPUT /put HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\n\r\nabc",
        "PUT /put HTTP/1.2\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n",
    };
    struct fixture_reply r = {0};
    int fd = fixture_connect(*state);
    for (int round = 0; round < 3; round++)
        for (size_t i = 0; i < sizeof asks / sizeof *asks; i++) {
            fixture_send(fd, asks[i]);
            if (!fixture_read(fd, true, &r) || r.status != 200)
                fail_msg("%s: %d", asks[i], r.status);
        }
    close(fd);
    fixture_forget(&r);
}

/* A head of `n` bytes: filled up in the target, in one header, or in many. */
enum filling { IN_TARGET, IN_ONE_HEADER, IN_MANY_HEADERS, FILLINGS };

static size_t make_head(char *to, enum filling filling, size_t n)
{
    static const char line[] = "Some-Header: 0123456789012345678901234567890123456789\r\n";
    size_t at = (size_t)sprintf(to, "GET /get");
    size_t rest = n - strlen("GET /get HTTP/1.1\r\nHost: x\r\n\r\n");
    if (filling == IN_TARGET) {
        memset(to + at, 'a', rest);
        to[at] = '?';
        at += rest;
    }
    at += (size_t)sprintf(to + at, " HTTP/1.1\r\nHost: x\r\n");
    for (; filling == IN_MANY_HEADERS && rest > sizeof line + 8; rest -= sizeof line - 1)
        at += (size_t)sprintf(to + at, "%s", line);
    if (filling != IN_TARGET)
        at += (size_t)sprintf(to + at, "X: %0*d\r\n", (int)rest - 5, 0);
    return at + (size_t)sprintf(to + at, "\r\n");
}

static void test_large(void **state)
{
    enum { TAKEN = 16 * 1024 };
    static const size_t sizes[] = {7000, 8192, 12000, TAKEN - 500, TAKEN};
    static const size_t refused[] = {TAKEN + 1, TAKEN + 3000, 25000, 70000, 300000};
    static char head[400000];
    struct fixture_reply r = {0};
    for (enum filling f = 0; f < FILLINGS; f++) {
        int fd = fixture_connect(*state);
        for (size_t i = 0; f != IN_MANY_HEADERS && i < sizeof sizes / sizeof *sizes; i++) {
            size_t n = make_head(head, f, sizes[i]);
            assert_int_equal(n, sizes[i]);
            fixture_send_bytes(fd, head, n);
            if (!fixture_read(fd, true, &r) || r.status != 200)
                fail_msg("%d %zu: %d", f, n, r.status);
        }
        close(fd);
        for (size_t i = 0; i < sizeof refused / sizeof *refused; i++) {
            size_t n = make_head(head, f, refused[i]);
            fd = fixture_connect(*state);
            fixture_send_bytes(fd, head, n);
            check_refusal(fd, "too large", f == IN_TARGET ? 414 : 431, "\"M_TOO_LARGE\"");
        }
    }
    fixture_forget(&r);
}

/* An ordinary browser's head, with a hundred lines, and one request after the other. */
static void test_many_lines(void **state)
{
    static char head[20000];
    struct fixture_reply r = {0};
    int fd = fixture_connect(*state);
    for (size_t n = 500; n <= 8192; n += 500) {
        fixture_send_bytes(fd, head, make_head(head, IN_MANY_HEADERS, n));
        assert_true(fixture_read(fd, true, &r));
        assert_int_equal(r.status, 200);
    }
    close(fd);
    fixture_forget(&r);
}

static int start_server(void **state)
{
    struct http_config config = fixture_config();
    *state = fixture_start(&config, routes);
    return 0;
}

static int stop_server(void **state)
{
    http_server_stop(*state, 0);
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_malformed),   cmocka_unit_test(test_huge_length),
        cmocka_unit_test(test_well_formed), cmocka_unit_test(test_large),
        cmocka_unit_test(test_many_lines),
    };
    return cmocka_run_group_tests(tests, start_server, stop_server);
}
