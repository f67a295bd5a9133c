/* The HTTP client against a server that behaves, or misbehaves, as the path says. */
#include "certificate_fixture.h"
#include "http_fixture.h"
#include "waiting.h"

#include "base/cache.h"
#include "http/client/client.h"

#include <pthread.h>
#include <stdatomic.h>

#define COUNT(rows) (sizeof(rows) / sizeof *(rows))

static struct {
    char folder[64], certificate[128], key[128];
    struct http_server *server;
    struct http_client *client; /* may contact 127.0.0.1 */
    struct cache_budget *caches;
    struct arena *arena;
    int https;         /* its port */
    int raw, raw_fd;   /* a port where odd_server answers */
    atomic_int stops;  /* odd_server ends */
    atomic_int silent; /* requests that it leaves unanswered */
    pthread_t odd;
} t;

/* ---- a server that behaves ---- */

static const struct err *get_echo(struct request *rq, struct reply *rp)
{
    return reply_json(rp, 200, "{s:s, s:s, s:s}", "host", request_header(rq, "Host"), "auth",
                      request_header(rq, "Authorization") ? "yes" : "no", "path", rq->path);
}

static const struct err *put_echo(struct request *rq, struct reply *rp)
{
    buf_add_str(&rp->body, rq->raw);
    return reply_body(rp, 201);
}

static const struct err *get_bytes(struct request *rq, struct reply *rp)
{
    for (int64_t n = atoll(request_param(rq, "n")); n > 0; n--)
        buf_add_char(&rp->body, 'x');
    return reply_body(rp, 200);
}

static const struct err *get_redirect(struct request *rq, struct reply *rp)
{
    const char *to = request_query(rq, "to");
    reply_header(rp, "Location", to ? to : "loop");
    return reply_json(rp, 302, "{}");
}

static const struct err *get_status(struct request *rq, struct reply *rp)
{
    return reply_json(rp, atoi(request_param(rq, "n")), "{s:s}", "errcode", "M_TEST");
}

static const struct route routes[] = {
    {.method = GET, .path = "/echo", .handler = get_echo},
    {.method = GET, .path = "/echo/{rest...}", .handler = get_echo},
    {.method = PUT, .path = "/echo", .handler = put_echo, .body = BODY_RAW},
    {.method = GET, .path = "/bytes/{n}", .handler = get_bytes},
    {.method = GET, .path = "/redirect", .handler = get_redirect},
    {.method = GET, .path = "/loop", .handler = get_redirect},
    {.method = GET, .path = "/status/{n}", .handler = get_status},
    {.path = NULL},
};

/* ---- a server that does not ---- */

static void *serve_oddly(void *fd_of)
{
    int fd = (int)(intptr_t)fd_of;
    char head[4096] = "";
    for (size_t n = 0; !strstr(head, "\r\n\r\n") && n + 1 < sizeof head; n++)
        if (recv(fd, &head[n], 1, 0) != 1)
            break;
    if (strstr(head, "/silence")) {
        atomic_fetch_add(&t.silent, 1);
        while (!t.stops)
            wait_briefly();
    }
    if (strstr(head, "/drip")) {
        fixture_send(fd, "HTTP/1.1 200 OK\r\nContent-Length: 1000000\r\n\r\n");
        while (!t.stops && send(fd, "x", 1, MSG_NOSIGNAL) == 1)
            usleep(50000); /* it is slow */
    }
    if (strstr(head, "/endless-head")) {
        fixture_send(fd, "HTTP/1.1 200 OK\r\n");
        while (!t.stops &&
               send(fd, "X-Header: 0123456789012345678901234567890\r\n", 43, MSG_NOSIGNAL) == 43)
            ;
    }
    if (strstr(head, "/endless-body")) {
        fixture_send(fd, "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n");
        while (!t.stops && send(fd, "8\r\n01234567\r\n", 13, MSG_NOSIGNAL) == 13)
            ;
    }
    if (strstr(head, "/cut"))
        fixture_send(fd, "HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\n123");
    if (strstr(head, "/garbage"))
        fixture_send(fd, "SSH-2.0-OpenSSH_9.2\r\n");
    close(fd);
    return NULL;
}

static void *odd_server(void *ctx)
{
    for (int fd; (fd = accept(t.raw_fd, NULL, NULL)) >= 0;) {
        pthread_t one;
        pthread_create(&one, NULL, serve_oddly, (void *)(intptr_t)fd);
        pthread_detach(one);
    }
    return NULL;
}

static void start_odd_server(void)
{
    struct sockaddr_in at = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t n = sizeof at;
    t.raw_fd = socket(AF_INET, SOCK_STREAM, 0);
    assert_int_equal(bind(t.raw_fd, (struct sockaddr *)&at, sizeof at), 0);
    assert_int_equal(listen(t.raw_fd, 50), 0);
    getsockname(t.raw_fd, (struct sockaddr *)&at, &n);
    t.raw = ntohs(at.sin_port);
    assert_int_equal(pthread_create(&t.odd, NULL, odd_server, NULL), 0);
}

/* ---- requests ---- */

static struct http_client_config settings(void)
{
    static const char *const allowed[] = {"127.0.0.0/8"}, *const denied[] = {"0.0.0.0/0", "::/0"};
    static const char *authority;
    authority = t.certificate;
    return (struct http_client_config){.ca_files = &authority,
                                       .ca_files_n = 1,
                                       .verify = true,
                                       .denied = denied,
                                       .denied_n = 2,
                                       .allowed = allowed,
                                       .allowed_n = 1,
                                       .grace_ms = 300,
                                       .caches = t.caches};
}

static struct http_client *client_of(const struct http_client_config *c)
{
    struct http_client *client = NULL;
    const struct err *e = http_client_create(c, &client);
    if (e)
        fail_msg("%s: %s", e->text, e->cause);
    return client;
}

static const struct err *run(struct http_client *client, struct http_call call,
                             struct http_answer *ret)
{
    call.timeout_ms = call.timeout_ms ? call.timeout_ms : 5000;
    call.reply_max = call.reply_max ? call.reply_max : 65536;
    return http_client_run(client, t.arena, &call, ret);
}

static const char *url(const char *host, int port, const char *path)
{
    return arena_printf(t.arena, "https://%s:%d%s", host, port, path);
}

static const char *odd_url(const char *path)
{
    return arena_printf(t.arena, "http://127.0.0.1:%d%s", t.raw, path);
}

static const char *code_of(const struct err *e)
{
    return e ? err_errcode(e) : "success";
}

static void fails(const char *errcode, struct http_call call)
{
    struct http_answer answer = {0};
    const struct err *e = run(t.client, call, &answer);
    if (strcmp(code_of(e), errcode) != 0)
        fail_msg("%s: %s (%s: %s) instead of %s", call.url, code_of(e), e ? e->text : "",
                 e ? e->cause : "", errcode);
}

static struct http_answer answers(int status, struct http_call call)
{
    struct http_answer answer = {0};
    const struct err *e = run(t.client, call, &answer);
    if (e)
        fail_msg("%s: %s (%s)", call.url, e->text, e->cause);
    assert_int_equal(answer.status, status);
    return answer;
}

static void holds(const struct http_answer *answer, const char *text)
{
    if (!strstr(answer->body.p, text))
        fail_msg("%s is not in %.*s", text, STR_FMT(answer->body));
}

/* ---- tests ---- */

static void test_requests_arrive(void **state)
{
    struct http_answer answer = answers(
        200, (struct http_call){.url = url("localhost", t.https, "/echo/a%2Fb/../c?x=%20")});
    holds(&answer, "a%2Fb/../c"); /* unchanged: the target is signed */
    holds(&answer, arena_printf(t.arena, "\"host\":\"localhost:%d\"", t.https));
    assert_string_equal(http_answer_header(t.arena, &answer, "content-TYPE"), "application/json");
    assert_null(http_answer_header(t.arena, &answer, "X-Absent"));
    assert_int_equal(answer.bytes, answer.body.n);

    const char *const headers[] = {"Authorization: secret", NULL};
    answer = answers(201, (struct http_call){.method = PUT,
                                             .url = url("127.0.0.1", t.https, "/echo"),
                                             .headers = headers,
                                             .body = STR("{\"a\":1}")});
    holds(&answer, "{\"a\":1}");
    answers(404, (struct http_call){.url = url("localhost", t.https, "/status/404")});
    answers(500, (struct http_call){.url = url("localhost", t.https, "/status/500")});
}

static void test_certificates(void **state)
{
    const struct http_peer here = {.host = "127.0.0.1", .port = t.https};
    /* The URL's name is verified, not the address. */
    struct http_answer answer = answers(
        200, (struct http_call){.url = "https://localhost/echo", .peers = &here, .peers_n = 1});
    holds(&answer, "\"host\":\"localhost\"");
    answer = answers(
        200, (struct http_call){.url = "https://localhost:443/echo", .peers = &here, .peers_n = 1});
    holds(&answer, "\"host\":\"localhost:443\"");
    fails("M_CONNECTION_FAILED",
          (struct http_call){.url = "https://other.example/echo", .peers = &here, .peers_n = 1});

    struct http_client_config c = settings();
    c.ca_files_n = 0; /* the system's authorities do not know it */
    struct http_client *untrusting = client_of(&c);
    const char *const to = url("localhost", t.https, "/echo");
    assert_string_equal(code_of(run(untrusting, (struct http_call){.url = to}, &answer)),
                        "M_CONNECTION_FAILED");
    http_client_destroy(untrusting);
    c.verify = false;
    untrusting = client_of(&c);
    assert_string_equal(code_of(run(untrusting, (struct http_call){.url = to}, &answer)),
                        "success");
    http_client_destroy(untrusting);
}

static void test_denied_addresses(void **state)
{
    static const char *const denied[] = {
        "https://10.0.0.1/",         "https://[::1]/",     "https://[::ffff:10.0.0.1]/",
        "https://[2002:0a00:1::1]/", "https://0.0.0.0/",   "https://[64:ff9b::a00:1]/",
        "https://169.254.169.254/",  "https://[fe80::1]/", "https://[::]/",
    };
    for (size_t i = 0; i < COUNT(denied); i++)
        fails("M_FORBIDDEN", (struct http_call){.url = denied[i]});

    struct http_client_config c = settings();
    c.allowed_n = 0;
    struct http_client *timid = client_of(&c);
    struct http_answer answer;
    const char *const to = url("localhost", t.https, "/echo"); /* a name of that address */
    assert_string_equal(code_of(run(timid, (struct http_call){.url = to}, &answer)), "M_FORBIDDEN");
    http_client_destroy(timid);
}

static void test_urls_that_are_none(void **state)
{
    static const char *const bad[] = {"",
                                      "localhost",
                                      "http://127.0.0.1/", /* not unless allowed */
                                      "ftp://127.0.0.1/",
                                      "file:///etc/passwd",
                                      "https://user:password@127.0.0.1/",
                                      "https:///echo",
                                      "https:/127.0.0.1/",
                                      "https://a b/"};
    for (size_t i = 0; i < COUNT(bad); i++)
        fails("M_INVALID_PARAM", (struct http_call){.url = bad[i]});
}

static void test_the_next_address_is_tried(void **state)
{
    const struct http_peer peers[] = {{.host = "127.0.0.1", .port = 1},      /* no server listens */
                                      {.host = "10.0.0.1", .port = t.https}, /* denied */
                                      {.host = "no..name", .port = t.https},
                                      {.host = "localhost", .port = t.https}};
    answers(200, (struct http_call){.url = "https://localhost/echo", .peers = peers, .peers_n = 4});
    fails("M_CONNECTION_FAILED",
          (struct http_call){.url = "https://localhost/echo", .peers = peers, .peers_n = 1});
    /* A request that was sent is not repeated at another peer. */
    const struct http_peer odd[] = {{.host = "127.0.0.1", .port = t.raw},
                                    {.host = "127.0.0.1", .port = http_server_port(t.server, 1)}};
    fails("M_CONNECTION_FAILED",
          (struct http_call){
              .url = "http://localhost/cut", .allow_plain = true, .peers = odd, .peers_n = 2});
}

static void test_limits(void **state)
{
    const struct {
        const char *path, *errcode;
        int64_t within_ms;
    } rows[] = {
        {"/silence", "M_CONNECTION_TIMEOUT", 2500}, {"/drip", "M_CONNECTION_TIMEOUT", 2500},
        {"/endless-head", "M_TOO_LARGE", 2500},     {"/endless-body", "M_TOO_LARGE", 2500},
        {"/cut", "M_CONNECTION_FAILED", 2500},      {"/garbage", "M_CONNECTION_FAILED", 2500},
        {"/nothing", "M_CONNECTION_FAILED", 2500},
    };
    for (size_t i = 0; i < COUNT(rows); i++) {
        int64_t began = mono_ms();
        /* the slow reply is cut long before its deadline */
        int64_t timeout = strcmp(rows[i].path, "/drip") == 0 ? 60000 : 1000;
        fails(rows[i].errcode, (struct http_call){.url = odd_url(rows[i].path),
                                                  .allow_plain = true,
                                                  .timeout_ms = timeout});
        if (mono_ms() - began > rows[i].within_ms)
            fail_msg("%s took %d ms", rows[i].path, (int)(mono_ms() - began));
    }
    fails("M_TOO_LARGE",
          (struct http_call){.url = url("localhost", t.https, "/bytes/1001"), .reply_max = 1000});
    struct http_answer answer =
        answers(200, (struct http_call){.url = url("localhost", t.https, "/bytes/1000"),
                                        .reply_max = 1000});
    assert_int_equal(answer.body.n, 1000);
}

/* Replies of one server that are still held use at most half of the memory. */
static void test_replies_share_a_budget(void **state)
{
    enum { LARGE = 4000000, KEPT_MAX = 32 << 20 };
    arena_auto struct arena *a = arena_create();
    struct http_call call = {.url = url("localhost", t.https, "/bytes/4000000"),
                             .timeout_ms = 20000,
                             .reply_max = LARGE};
    struct http_answer answer;
    int n = 0;
    const struct err *e;
    while (!(e = http_client_run(t.client, a, &call, &answer)) && n < 100) {
        assert_int_equal(answer.body.n, LARGE);
        n++;
    }
    assert_int_equal(n, KEPT_MAX / LARGE);
    assert_non_null(e);
    assert_int_equal(err_status(e), 503);
    answers(200, (struct http_call){.url = url("localhost", t.https, "/bytes/60000")});
    arena_reset(a);
    assert_null(http_client_run(t.client, a, &call, &answer));
}

static void test_sink(void **state)
{
    FILE *f = tmpfile();
    struct http_answer answer =
        answers(200, (struct http_call){.url = url("localhost", t.https, "/bytes/300000"),
                                        .reply_max = 400000,
                                        .sink_fd = fileno(f)});
    assert_int_equal(answer.body.n, 0);
    assert_int_equal(answer.bytes, 300000);
    assert_int_equal(lseek(fileno(f), 0, SEEK_END), 300000);
    answer = answers(404, (struct http_call){.url = url("localhost", t.https, "/status/404"),
                                             .sink_fd = fileno(f)});
    holds(&answer, "M_TEST"); /* an error is no file */
    assert_int_equal(lseek(fileno(f), 0, SEEK_END), 300000);
    fclose(f);
}

static void test_redirects(void **state)
{
    const char *const headers[] = {"Authorization: secret", "Accept: */*", NULL};
    const char *there = url("localhost", t.https, "/redirect?to=/echo");
    struct http_answer answer = answers(302, (struct http_call){.url = there, .headers = headers});
    assert_string_equal(http_answer_header(t.arena, &answer, "Location"), "/echo");
    answer = answers(200, (struct http_call){.url = there, .headers = headers, .redirects_max = 3});
    holds(&answer, "\"auth\":\"no\""); /* the target of a redirect gets no credentials */

    const char *loop = url("localhost", t.https, "/loop");
    fails("M_CONNECTION_FAILED", (struct http_call){.url = loop, .redirects_max = 5});
    static const struct {
        const char *to, *errcode;
    } bad[] = {{"http://127.0.0.1/", "M_INVALID_PARAM"},
               {"file:///etc/passwd", "M_INVALID_PARAM"},
               {"https://10.0.0.1/", "M_FORBIDDEN"},
               {"https://%5B::1%5D/", "M_FORBIDDEN"}};
    for (size_t i = 0; i < COUNT(bad); i++)
        fails(bad[i].errcode,
              (struct http_call){.url = arena_printf(t.arena, "https://localhost:%d/redirect?to=%s",
                                                     t.https, bad[i].to),
                                 .redirects_max = 3});
}

struct asker {
    pthread_t thread;
    const char *url;
    atomic_int *well;
};

static void *ask_often(void *ctx)
{
    struct asker *asker = ctx;
    arena_auto struct arena *a = arena_create();
    for (int i = 0; i < 20; i++) {
        struct http_answer answer;
        const struct http_call call = {.url = asker->url, .timeout_ms = 20000, .reply_max = 65536};
        if (!http_client_run(t.client, a, &call, &answer) && answer.status == 200)
            atomic_fetch_add(asker->well, 1);
    }
    return NULL;
}

static void test_many_at_once(void **state)
{
    struct asker askers[40];
    atomic_int well = 0;
    for (size_t i = 0; i < COUNT(askers); i++) {
        askers[i] = (struct asker){.url = url("localhost", t.https, "/bytes/5000"), .well = &well};
        pthread_create(&askers[i].thread, NULL, ask_often, &askers[i]);
    }
    for (size_t i = 0; i < COUNT(askers); i++)
        pthread_join(askers[i].thread, NULL);
    assert_int_equal(well, 20 * COUNT(askers));
}

/* The code of the error plus one; 0: none. */
static void *ask_silence(void *silence)
{
    arena_auto struct arena *a = arena_create();
    struct http_answer answer;
    const struct http_call call = {
        .url = silence, .allow_plain = true, .timeout_ms = 60000, .reply_max = 1000};
    const struct err *e = http_client_run(t.client, a, &call, &answer);
    return (void *)(intptr_t)(e ? (int)e->code + 1 : 0);
}

static void test_stopping_ends_what_is_under_way(void **state)
{
    struct http_client_config c = settings();
    struct http_client *kept = t.client;
    t.client = client_of(&c);
    pthread_t asker;
    void *code;
    int64_t began = mono_ms();
    int silent = atomic_load(&t.silent);
    pthread_create(&asker, NULL, ask_silence, (void *)odd_url("/silence"));
    WAIT_UNTIL(atomic_load(&t.silent) == silent + 1);
    http_client_stop(t.client);
    pthread_join(asker, &code);
    assert_int_equal((intptr_t)code, ERR_UNAVAILABLE + 1);
    struct http_answer answer;
    assert_string_equal(
        code_of(run(t.client, (struct http_call){.url = "https://127.0.0.1/"}, &answer)),
        "M_UNKNOWN");
    http_client_destroy(t.client);

    t.client = client_of(&c);
    pthread_create(&asker, NULL, ask_silence, (void *)odd_url("/silence"));
    WAIT_UNTIL(atomic_load(&t.silent) == silent + 2);
    http_client_drain(t.client, 300);
    pthread_join(asker, &code);
    assert_int_equal((intptr_t)code, ERR_CONNECTION_TIMEOUT + 1);
    assert_true(mono_ms() - began < 5000);
    http_client_destroy(t.client);
    t.client = kept;
}

static void test_wrong_settings(void **state)
{
    struct http_client_config c = settings();
    struct http_client *client;
    const char *const key = t.key;
    c.ca_files = &key;
    assert_string_equal(code_of(http_client_create(&c, &client)), "M_INVALID_PARAM");
}

static void test_metrics(void **state)
{
    buf_auto struct buf out = {0};
    http_client_add_metrics(t.client, &out);
    assert_non_null(strstr(out.p, "concorde_http_client_requests_total{outcome=\"refused\"} "));
    assert_null(strstr(out.p, "{outcome=\"2xx\"} 0\n"));
    assert_null(strstr(out.p, "{outcome=\"timeout\"} 0\n"));
    assert_null(strstr(out.p, "localhost"));
}

static int start(void **state)
{
    snprintf(t.folder, sizeof t.folder, "/tmp/concorde-client-XXXXXX");
    assert_non_null(mkdtemp(t.folder));
    snprintf(t.certificate, sizeof t.certificate, "%s/cert.pem", t.folder);
    snprintf(t.key, sizeof t.key, "%s/key.pem", t.folder);
    certificate_make(t.certificate, t.key);
    struct http_config c = fixture_config();
    const struct http_listener listeners[] = {
        {.address = "127.0.0.1:0", .tls_certificate = t.certificate, .tls_key = t.key},
        {.address = "127.0.0.1:0"}};
    c.listeners = listeners;
    c.listeners_n = 2;
    t.server = fixture_start(&c, routes);
    t.https = http_server_port(t.server, 0);
    start_odd_server();
    t.caches = cache_budget_create(1 << 20);
    struct http_client_config client = settings();
    t.client = client_of(&client);
    t.arena = arena_create();
    return 0;
}

static int stop(void **state)
{
    t.stops = 1;
    shutdown(t.raw_fd, SHUT_RDWR);
    pthread_join(t.odd, NULL);
    http_client_destroy(t.client);
    cache_budget_destroy(t.caches);
    http_server_stop(t.server, 1000);
    arena_destroy(t.arena);
    unlink(t.certificate);
    unlink(t.key);
    rmdir(t.folder);
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_requests_arrive),
        cmocka_unit_test(test_certificates),
        cmocka_unit_test(test_denied_addresses),
        cmocka_unit_test(test_urls_that_are_none),
        cmocka_unit_test(test_the_next_address_is_tried),
        cmocka_unit_test(test_limits),
        cmocka_unit_test(test_replies_share_a_budget),
        cmocka_unit_test(test_sink),
        cmocka_unit_test(test_redirects),
        cmocka_unit_test(test_many_at_once),
        cmocka_unit_test(test_stopping_ends_what_is_under_way),
        cmocka_unit_test(test_wrong_settings),
        cmocka_unit_test(test_metrics),
    };
    return cmocka_run_group_tests(tests, start, stop);
}
