/* The HTTP server's large bodies (streams, files, uploads) and its other listeners (TLS, unix). */
#include "certificate_fixture.h"
#include "http_fixture.h"
#include "waiting.h"

#include <fcntl.h>
#include <openssl/ssl.h>
#include <pthread.h>
#include <stdatomic.h>
#include <sys/stat.h>
#include <sys/un.h>

enum { STREAM_BYTES = 20 * 1000 * 1000, LINE = 100, BODIES_MAX = 256 * 1024 };

static atomic_size_t largest_piece;
static atomic_int streams_failed, streams_done, handlers_run;

/* Lines of a hundred bytes, numbered. */
static const struct err *stream_lines(struct request *rq, struct reply *rp)
{
    int64_t total;
    TRY(request_query_int(rq, "bytes", STREAM_BYTES, 0, STREAM_BYTES, &total));
    reply_header(rp, "Content-Type", "text/plain");
    for (int64_t i = 0; i < total / LINE; i++) {
        buf_printf(&rp->body, "%099lld\n", (long long)i);
        if (rp->body.size > atomic_load(&largest_piece))
            atomic_store(&largest_piece, rp->body.size);
        const struct err *e = reply_flush(rp);
        if (e) {
            atomic_fetch_add(&streams_failed, 1);
            return e;
        }
    }
    atomic_fetch_add(&streams_done, 1);
    return reply_body(rp, 200);
}

static const struct err *fail_in_the_middle(struct request *rq, struct reply *rp)
{
    while (rp->body.n < 1000 * 1000)
        buf_add_text(&rp->body, "0123456789");
    TRY(reply_flush(rp));
    return err_internal("too late for an error reply");
}

static const struct err *send_file(struct request *rq, struct reply *rp)
{
    char name[] = "/tmp/concorde-test-XXXXXX";
    int fd = mkstemp(name);
    unlink(name);
    assert_int_equal(write(fd, "0123456789", 10), 10);
    return reply_file(rp, fd, 10, "text/plain");
}

static const struct err *take_upload(struct request *rq, struct reply *rp)
{
    char piece[65536];
    uint64_t sum = 0;
    ssize_t n;
    atomic_fetch_add(&handlers_run, 1);
    while ((n = read(rq->upload_fd, piece, sizeof piece)) > 0)
        for (ssize_t i = 0; i < n; i++)
            sum += (unsigned char)piece[i];
    return reply_json(rp, 200, "{s:I,s:I}", "bytes", (json_int_t)rq->upload_bytes, "sum",
                      (json_int_t)sum);
}

static const struct err *who_is_secure(struct request *rq, struct reply *rp)
{
    return reply_json(rp, 200, "{s:b,s:s}", "secure", request_is_secure(rq), "address",
                      rq->remote_address);
}

static const struct err *take_raw(struct request *rq, struct reply *rp)
{
    return reply_json(rp, 200, "{s:I}", "bytes", (json_int_t)rq->raw.n);
}

static const struct err *check_token(void *ctx, struct request *rq)
{
    const char *token = request_access_token(rq);
    if (!token || strcmp(token, "good") != 0)
        return err(ERR_UNKNOWN_TOKEN, "Unknown token");
    rq->caller_id = "@someone:here";
    return NULL;
}

static const struct route routes[] = {
    {GET, "/lines", stream_lines, .who = WHO_ANYONE},
    {GET, "/breaks", fail_in_the_middle, .who = WHO_ANYONE},
    {GET, "/file", send_file, .who = WHO_ANYONE},
    {POST, "/upload", take_upload, .who = WHO_USER, .body = BODY_FILE},
    {GET, "/secure", who_is_secure, .who = WHO_ANYONE},
    {POST, "/raw", take_raw, .who = WHO_ANYONE, .body = BODY_RAW, .body_max = 1 << 20},
    {0}};

static char folder[] = "/tmp/concorde-test-XXXXXX";
static char certificate[64], key[64], unix_address[64];

static int start_server(void **state)
{
    if (!mkdtemp(folder))
        return -1;
    snprintf(certificate, sizeof certificate, "%s/cert.pem", folder);
    snprintf(key, sizeof key, "%s/key.pem", folder);
    certificate_make(certificate, key);
    snprintf(unix_address, sizeof unix_address, "unix:%s/socket", folder);
    struct http_listener listeners[] = {
        {.address = "127.0.0.1:0"},
        {.address = "127.0.0.1:0", .tls_certificate = certificate, .tls_key = key},
        {.address = unix_address},
        {.address = ":0"}};
    struct http_config config = fixture_config();
    config.listeners = listeners;
    config.listeners_n = 4;
    config.idle_timeout_s = 3;
    config.bodies_max = BODIES_MAX;
    static const char *const proxies[] = {"127.0.0.1"};
    config.trusted_proxies = proxies;
    config.trusted_proxies_n = 1;
    config.hooks.authenticate[WHO_USER] = check_token;
    *state = fixture_start(&config, routes);
    return 0;
}

static int stop_server(void **state)
{
    http_server_stop(*state, 1000);
    unlink(certificate);
    unlink(key);
    return rmdir(folder); /* fails while the socket exists */
}

static void check_lines(const struct buf *b, size_t total)
{
    char line[LINE + 1];
    assert_int_equal(b->n, total);
    for (size_t i = 0; i < total / LINE; i++) {
        snprintf(line, sizeof line, "%099zu\n", i);
        if (memcmp(b->p + i * LINE, line, LINE) != 0)
            fail_msg("line %zu is wrong", i);
    }
}

static void test_stream(void **state)
{
    struct fixture_reply r = {0};
    int fd = fixture_connect(*state);
    for (int i = 0; i < 2; i++) {
        fixture_send(fd, "GET /lines HTTP/1.1\r\nHost: x\r\n\r\n");
        assert_true(fixture_read(fd, true, &r));
        assert_string_equal(fixture_header(&r, "Transfer-Encoding"), "chunked");
        assert_string_equal(fixture_header(&r, "Content-Type"), "text/plain");
        check_lines(&r.body, STREAM_BYTES);
    }
    assert_in_range(atomic_load(&largest_piece), 1, 1024 * 1024);
    /* sizes around that of a chunk, on the same connection */
    for (int bytes = 262000; bytes <= 263000; bytes += 100) {
        fixture_sendf(fd, "GET /lines?bytes=%d HTTP/1.1\r\nHost: x\r\n\r\n", bytes);
        assert_true(fixture_read(fd, true, &r));
        check_lines(&r.body, (size_t)bytes);
    }
    close(fd);
    fixture_forget(&r);
}

static void wait_for_streams(int n)
{
    WAIT_UNTIL(atomic_load(&streams_done) >= n);
    assert_int_equal(atomic_load(&streams_done), n);
}

/* The handler must neither buffer much for a slow client nor block on it. */
static void test_slow_reader(void **state)
{
    struct fixture_reply r = {0};
    int small = 128 * 1024, done = atomic_load(&streams_done);
    int fd = fixture_connect(*state);
    setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &small, sizeof small);
    for (int i = 1; i <= 2; i++) {
        fixture_send(fd, "GET /lines HTTP/1.1\r\nHost: x\r\n\r\n");
        wait_for_streams(done + i);
        assert_true(fixture_read(fd, true, &r));
        check_lines(&r.body, STREAM_BYTES);
    }
    assert_in_range(atomic_load(&largest_piece), 1, 1024 * 1024);
    close(fd);
    fixture_forget(&r);
}

static void wait_for_failures(int n)
{
    WAIT_UNTIL(atomic_load(&streams_failed) >= n);
    assert_int_equal(atomic_load(&streams_failed), n);
}

static void test_readers_that_vanish(void **state)
{
    enum { READERS = 6 };
    int before = atomic_load(&streams_failed), fds[READERS];
    char some[1000];
    for (int i = 0; i < READERS; i++) {
        fds[i] = fixture_connect(*state);
        fixture_send(fds[i], "GET /lines HTTP/1.1\r\nHost: x\r\n\r\n");
    }
    for (int i = 0; i < READERS; i++) {
        if (i % 2)
            assert_true(recv(fds[i], some, sizeof some, 0) > 0);
        close(fds[i]);
    }
    wait_for_failures(before + READERS);
}

/* There are more of them than workers, and others are still served; finally they time out. */
static void test_readers_that_stop(void **state)
{
    enum { READERS = 20 };
    struct http_config config = fixture_config();
    config.idle_timeout_s = 10;
    config.hooks.authenticate[WHO_USER] = check_token;
    struct http_server *s = fixture_start(&config, routes);
    struct fixture_reply r = {0};
    int fds[READERS], done = atomic_load(&streams_done), failed = atomic_load(&streams_failed);
    for (int i = 0; i < READERS; i++) {
        fds[i] = fixture_connect(s);
        fixture_send(fds[i], "GET /lines HTTP/1.1\r\nHost: x\r\n\r\n");
    }
    assert_int_equal(fixture_ask(s, &r, "GET /secure HTTP/1.1\r\nHost: x\r\n\r\n"), 200);
    assert_int_equal(atomic_load(&streams_failed), failed); /* without a timeout */
    wait_for_streams(done + READERS);
    fixture_await_metric(s, "concorde_http_connections", 0);
    for (int i = 0; i < READERS; i++) {
        assert_false(fixture_read(fds[i], true, &r));
        close(fds[i]);
    }
    fixture_forget(&r);
    http_server_stop(s, 2000);
}

static void test_stream_that_fails_is_cut(void **state)
{
    struct fixture_reply r = {0};
    int fd = fixture_connect(*state);
    fixture_send(fd, "GET /breaks HTTP/1.1\r\nHost: x\r\n\r\n");
    assert_false(fixture_read(fd, true, &r));
    close(fd);
    fixture_forget(&r);
}

static void test_head_of_a_stream(void **state)
{
    struct fixture_reply r = {0};
    assert_int_equal(fixture_ask(*state, &r, "HEAD /lines HTTP/1.1\r\nHost: x\r\n\r\n"), 200);
    fixture_forget(&r);
}

static void test_http_1_0_stream(void **state)
{
    int fd = fixture_connect(*state);
    buf_auto struct buf all = {0};
    fixture_send(fd, "GET /lines HTTP/1.0\r\n\r\n");
    char piece[65536];
    for (ssize_t n; (n = recv(fd, piece, sizeof piece, 0)) > 0;)
        buf_add(&all, piece, (size_t)n);
    size_t head = (size_t)(strstr(all.p, "\r\n\r\n") + 4 - all.p);
    assert_int_equal(all.n - head, STREAM_BYTES);
    close(fd);
}

static void test_file_ranges(void **state)
{
    static const struct {
        const char *range;
        int status;
        const char *body, *content_range;
    } rows[] = {
        {"", 200, "0123456789", ""},
        {"Range: bytes=2-4\r\n", 206, "234", "bytes 2-4/10"},
        {"Range: bytes=7-\r\n", 206, "789", "bytes 7-9/10"},
        {"Range: bytes=-3\r\n", 206, "789", "bytes 7-9/10"},
        {"Range: bytes=8-100\r\n", 206, "89", "bytes 8-9/10"},
        {"Range: bytes=-100\r\n", 200, "0123456789", ""},
        {"Range: bytes=10-\r\n", 416, "", "bytes */10"},
        {"Range: bytes=-0\r\n", 416, "", "bytes */10"},
        {"Range: bytes=4-2\r\n", 200, "0123456789", ""},
        {"Range: bytes=0-1,3-4\r\n", 200, "0123456789", ""},
        {"Range: lines=0-1\r\n", 200, "0123456789", ""},
        {"Range: bytes=x-y\r\n", 200, "0123456789", ""},
        {"Range: bytes=2-4\r\nIf-Range: \"tag\"\r\n", 200, "0123456789", ""},
    };
    struct fixture_reply r = {0};
    char ask[256];
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        snprintf(ask, sizeof ask, "GET /file HTTP/1.1\r\nHost: x\r\n%s\r\n", rows[i].range);
        int status = fixture_ask(*state, &r, ask);
        if (status != rows[i].status || !str_is(buf_str(&r.body), rows[i].body) ||
            strcmp(fixture_header(&r, "Content-Range"), rows[i].content_range) != 0)
            fail_msg("%s: %d %s %s", rows[i].range, status, r.body.p,
                     fixture_header(&r, "Content-Range"));
    }
    fixture_ask(*state, &r, "HEAD /file HTTP/1.1\r\nHost: x\r\n\r\n");
    assert_string_equal(fixture_header(&r, "Content-Length"), "10");
    fixture_forget(&r);
}

static void send_upload(int fd, const char *token, size_t n, bool chunked)
{
    char piece[10000];
    for (size_t i = 0; i < sizeof piece; i++)
        piece[i] = 1;
    fixture_sendf(fd, "POST /upload HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer %s\r\n", token);
    if (chunked)
        fixture_send(fd, "Transfer-Encoding: chunked\r\n\r\n");
    else
        fixture_sendf(fd, "Content-Length: %zu\r\n\r\n", n);
    for (size_t sent = 0; sent < n; sent += sizeof piece) {
        size_t size = n - sent < sizeof piece ? n - sent : sizeof piece;
        if (chunked)
            fixture_sendf(fd, "%zx\r\n", size);
        fixture_send_bytes(fd, piece, size);
        if (chunked)
            fixture_send(fd, "\r\n");
    }
    if (chunked)
        fixture_send(fd, "0\r\n\r\n");
}

static void test_uploads(void **state)
{
    static const size_t sizes[] = {0, 1, 10000, 123456, 5000000};
    struct fixture_reply r = {0};
    int fd = fixture_connect(*state);
    for (size_t i = 0; i < 2 * sizeof sizes / sizeof *sizes; i++) {
        char wanted[64];
        snprintf(wanted, sizeof wanted, "{\"bytes\":%zu,\"sum\":%zu}", sizes[i / 2], sizes[i / 2]);
        send_upload(fd, "good", sizes[i / 2], i % 2);
        assert_true(fixture_read(fd, true, &r));
        BODY_IS(r, wanted);
    }
    close(fd);
    fixture_forget(&r);
}

/* ---- memory of bodies ---- */

static int begin_body(struct http_server *s, const char *from, size_t announced, size_t sent)
{
    char piece[BODIES_MAX];
    memset(piece, 'x', sizeof piece);
    int fd = fixture_connect(s);
    fixture_sendf(fd,
                  "POST /raw HTTP/1.1\r\nHost: x\r\nX-Forwarded-For: %s\r\n"
                  "Content-Length: %zu\r\n\r\n",
                  from, announced);
    fixture_send_bytes(fd, piece, sent);
    return fd;
}

static void wait_for_drawn(struct http_server *s, size_t wanted)
{
    char line[64];
    snprintf(line, sizeof line, "\nconcorde_http_bodies_bytes %zu\n", wanted);
    for (int i = 0; i < 10000; i++) {
        buf_auto struct buf b = {0};
        http_server_add_metrics(s, &b);
        if (strstr(b.p, line))
            return;
        wait_briefly();
    }
    fail_msg("never were %zu bytes drawn", wanted);
}

static int end_body(int fd, const char *rest)
{
    struct fixture_reply r = {0};
    fixture_send(fd, rest);
    assert_true(fixture_read(fd, true, &r));
    int status = r.status;
    if (status == 429)
        assert_string_equal(fixture_header(&r, "Retry-After"), "1");
    fixture_forget(&r);
    close(fd);
    return status;
}

static void test_bodies_share_a_budget(void **state)
{
    struct http_server *s = *state;
    int first = begin_body(s, "1.1.1.1", 60001, 60000);
    int second = begin_body(s, "1.1.1.1", 60001, 60000);
    wait_for_drawn(s, 128 * 1024); /* half of it */
    assert_int_equal(end_body(begin_body(s, "1.1.1.1", 10000, 10000), ""), 429);
    assert_int_equal(end_body(begin_body(s, "1.1.1.1", 4000, 4000), ""), 200);
    assert_int_equal(end_body(begin_body(s, "2.2.2.2", 10000, 10000), ""), 200);
    wait_for_drawn(s, 128 * 1024);

    int third = begin_body(s, "2.2.2.2", 60001, 60000);
    wait_for_drawn(s, 192 * 1024);
    assert_int_equal(end_body(first, "x"), 429); /* the first source is over its share now */
    assert_int_equal(end_body(second, "x"), 200);
    assert_int_equal(end_body(third, "x"), 200);
    wait_for_drawn(s, 0);

    int gone = begin_body(s, "1.1.1.1", 60001, 60000);
    wait_for_drawn(s, 64 * 1024);
    close(gone);
    wait_for_drawn(s, 0); /* a closed connection holds none */
    assert_int_equal(end_body(begin_body(s, "1.1.1.1", 100000, 100000), ""), 200);
    wait_for_drawn(s, 0);
}

/* Uploads that are not allowed do not fill the disk. */
static void test_upload_is_judged_by_its_head(void **state)
{
    struct fixture_reply r = {0};
    int before = atomic_load(&handlers_run);
    int fd = fixture_connect(*state);
    send_upload(fd, "bad", 1000000, false);
    assert_true(fixture_read(fd, true, &r));
    assert_int_equal(r.status, 401);
    send_upload(fd, "good", 5, false); /* the connection is still usable */
    assert_true(fixture_read(fd, true, &r));
    assert_int_equal(r.status, 200);
    assert_int_equal(atomic_load(&handlers_run), before + 1);
    close(fd);
    fd = fixture_connect(*state);
    send_upload(fd, "good", 11 * 1024 * 1024, true); /* over upload_max, unannounced */
    assert_true(fixture_read(fd, true, &r));
    assert_int_equal(r.status, 413);
    close(fd);
    fixture_forget(&r);
}

static int tcp_connect(int port, int family)
{
    struct sockaddr_in v4 = {.sin_family = AF_INET,
                             .sin_port = htons((uint16_t)port),
                             .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    struct sockaddr_in6 v6 = {.sin6_family = AF_INET6,
                              .sin6_port = htons((uint16_t)port),
                              .sin6_addr = IN6ADDR_LOOPBACK_INIT};
    int fd = socket(family, SOCK_STREAM, 0);
    int r = family == AF_INET ? connect(fd, (struct sockaddr *)&v4, sizeof v4)
                              : connect(fd, (struct sockaddr *)&v6, sizeof v6);
    if (r) {
        close(fd);
        return -1;
    }
    return fd;
}

static int tls_offered(int port, int version, const char *ciphers)
{
    SSL_CTX *ctx = SSL_CTX_new(TLS_client_method());
    SSL_CTX_set_min_proto_version(ctx, version);
    SSL_CTX_set_max_proto_version(ctx, version);
    SSL_CTX_set_cipher_list(ctx, ciphers);
    SSL *ssl = SSL_new(ctx);
    int fd = tcp_connect(port, AF_INET);
    SSL_set_fd(ssl, fd);
    int ok = SSL_connect(ssl);
    SSL_free(ssl);
    SSL_CTX_free(ctx);
    close(fd);
    return ok == 1;
}

static void test_tls(void **state)
{
    int port = http_server_port(*state, 1);
    const char *all = "ALL:@SECLEVEL=0";
    assert_true(tls_offered(port, TLS1_3_VERSION, all));
    assert_true(tls_offered(port, TLS1_2_VERSION, all));
    assert_false(tls_offered(port, TLS1_1_VERSION, all));
    assert_true(tls_offered(port, TLS1_2_VERSION, "ECDHE+AESGCM"));
    assert_true(tls_offered(port, TLS1_2_VERSION, "ECDHE+CHACHA20"));
    assert_false(tls_offered(port, TLS1_2_VERSION, "SHA1:SHA256:SHA384:@SECLEVEL=0")); /* CBC */
    assert_false(tls_offered(port, TLS1_2_VERSION, "kRSA:@SECLEVEL=0"));
    SSL_CTX *ctx = SSL_CTX_new(TLS_client_method());
    SSL *ssl = SSL_new(ctx);
    int fd = tcp_connect(port, AF_INET);
    SSL_set_fd(ssl, fd);
    assert_int_equal(SSL_connect(ssl), 1);
    char reply[4096];
    for (int i = 0; i < 3; i++) {
        const char *ask = "GET /secure HTTP/1.1\r\nHost: x\r\n\r\n";
        assert_true(SSL_write(ssl, ask, (int)strlen(ask)) > 0);
        size_t n = 0;
        reply[0] = '\0';
        while (!strstr(reply, "}")) {
            int got = SSL_read(ssl, reply + n, (int)(sizeof reply - 1 - n));
            assert_true(got > 0);
            n += (size_t)got;
            reply[n] = '\0';
        }
        assert_non_null(strstr(reply, "{\"address\":\"127.0.0.1\",\"secure\":true}"));
        assert_non_null(strstr(reply, "\r\nStrict-Transport-Security: max-age=31536000\r\n"));
    }
    const char *ask = "GET /lines HTTP/1.1\r\nHost: x\r\n\r\n";
    assert_true(SSL_write(ssl, ask, (int)strlen(ask)) > 0);
    static char piece[65536];
    size_t total = 0;
    while (total < STREAM_BYTES) {
        int got = SSL_read(ssl, piece, sizeof piece);
        assert_true(got > 0);
        total += (size_t)got;
    }
    SSL_free(ssl);
    SSL_CTX_free(ctx);
    close(fd);
}

static void test_unix_socket(void **state)
{
    struct sockaddr_un to = {.sun_family = AF_UNIX};
    strcpy(to.sun_path, unix_address + strlen("unix:"));
    int fd = socket(AF_UNIX, SOCK_STREAM, 0);
    assert_int_equal(connect(fd, (struct sockaddr *)&to, sizeof to), 0);
    struct fixture_reply r = {0};
    fixture_send(fd, "GET /secure HTTP/1.1\r\nHost: x\r\nX-Forwarded-For: 192.0.2.5\r\n\r\n");
    assert_true(fixture_read(fd, true, &r));
    BODY_IS(r, "{\"address\":\"192.0.2.5\",\"secure\":false}");
    assert_string_equal(fixture_header(&r, "Strict-Transport-Security"), "");
    fixture_send(fd, "GET /secure HTTP/1.1\r\nHost: x\r\nX-Forwarded-Proto: https\r\n\r\n");
    assert_true(fixture_read(fd, true, &r));
    assert_string_equal(fixture_header(&r, "Strict-Transport-Security"), "max-age=31536000");
    close(fd);
    fixture_forget(&r);
    struct stat st;
    assert_int_equal(stat(to.sun_path, &st), 0);
    assert_int_equal(st.st_mode & 0777, 0660);
}

static void test_all_interfaces(void **state)
{
    struct fixture_reply r = {0};
    static const struct {
        int family;
        const char *body;
    } rows[] = {{AF_INET, "{\"address\":\"127.0.0.1\",\"secure\":false}"},
                {AF_INET6, "{\"address\":\"::1\",\"secure\":false}"}};
    for (int i = 0; i < 2; i++) {
        int fd = tcp_connect(http_server_port(*state, 3), rows[i].family);
        if (fd < 0 && rows[i].family == AF_INET6)
            continue; /* a machine without IPv6 */
        fixture_send(fd, "GET /secure HTTP/1.1\r\nHost: x\r\n\r\n");
        assert_true(fixture_read(fd, true, &r));
        BODY_IS(r, rows[i].body);
        close(fd);
    }
    fixture_forget(&r);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_stream),
        cmocka_unit_test(test_slow_reader),
        cmocka_unit_test(test_readers_that_vanish),
        cmocka_unit_test(test_readers_that_stop),
        cmocka_unit_test(test_stream_that_fails_is_cut),
        cmocka_unit_test(test_head_of_a_stream),
        cmocka_unit_test(test_http_1_0_stream),
        cmocka_unit_test(test_file_ranges),
        cmocka_unit_test(test_uploads),
        cmocka_unit_test(test_bodies_share_a_budget),
        cmocka_unit_test(test_upload_is_judged_by_its_head),
        cmocka_unit_test(test_tls),
        cmocka_unit_test(test_unix_socket),
        cmocka_unit_test(test_all_interfaces),
    };
    return cmocka_run_group_tests(tests, start_server, stop_server);
}
