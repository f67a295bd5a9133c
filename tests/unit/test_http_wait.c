/* The HTTP server over time: parked requests and their wakes, deadlines, hang-ups, graceful stop.
 */
#include "http_fixture.h"
#include "waiting.h"

#include "base/lock.h"

#include <pthread.h>
#include <stdatomic.h>
#include <sys/resource.h>

/* Requests wait for this counter. */
static struct queue_source {
    struct lock lock;
    struct waiter *first;
    int value, waiters;
} source;

static atomic_int runs_begun, runs_ended;

static void leave(struct waiter *w)
{
    LOCKED(&source.lock);
    if (w->prev)
        w->prev->next = w->next;
    else
        source.first = w->next;
    if (w->next)
        w->next->prev = w->prev;
    w->source = NULL;
    source.waiters--;
}

static void subscribe(struct waiter *w)
{
    LOCKED(&source.lock);
    if (w->source)
        return;
    w->source = &source;
    w->leave = leave;
    w->prev = NULL;
    w->next = source.first;
    if (w->next)
        w->next->prev = w;
    source.first = w;
    source.waiters++;
}

static int read_value(void)
{
    LOCKED(&source.lock);
    return source.value;
}

static int count_waiters(void)
{
    LOCKED(&source.lock);
    return source.waiters;
}

/* Sets the value and wakes the waiters, as a publisher does: under the source's lock. */
static void publish(int value)
{
    LOCKED(&source.lock);
    source.value = value;
    for (struct waiter *w = source.first; w; w = w->next)
        w->wake(w);
}

/* Waits until the value is at least `from`. */
static const struct err *wait_for(struct request *rq, struct reply *rp)
{
    int64_t from, timeout;
    TRY(request_query_int(rq, "from", 1, 0, INT32_MAX, &from));
    TRY(request_query_int(rq, "timeout", 20000, 0, 60000, &timeout));
    subscribe(&rq->waiter);
    int value = read_value();
    if (value < from && !rq->timed_out && !request_is_stopping(rq))
        return reply_wait(rp, rq->started_mono_us / 1000 + timeout);
    return reply_json(rp, 200, "{s:i,s:b,s:i,s:i}", "value", value, "timed_out", rq->timed_out,
                      "runs", rq->runs, "body", (int)rq->raw.n);
}

static const struct err *wait_for_ever(struct request *rq, struct reply *rp)
{
    return reply_wait(rp, INT64_MAX / 2);
}

static atomic_bool is_long_begun;

static const struct err *take_long(struct request *rq, struct reply *rp)
{
    is_long_begun = true;
    for (int i = 0; i < 100; i++) /* the stop begins meanwhile */
        wait_briefly();
    return reply_empty(rp);
}

static const struct err *count_begin(void *ctx, struct request *rq)
{
    atomic_fetch_add(&runs_begun, 1);
    return NULL;
}

static void count_end(void *ctx, struct request *rq)
{
    atomic_fetch_add(&runs_ended, 1);
}

/* Returns the pools whose workers ran it. */
static const struct err *go_elsewhere(struct request *rq, struct reply *rp)
{
    char thread[16];
    pthread_getname_np(pthread_self(), thread, sizeof thread);
    if (rq->pool != POOL_REMOTE)
        return strcmp(thread, "http-client") == 0 ? reply_elsewhere(rp, POOL_REMOTE)
                                                  : err_internal("begun by %s", thread);
    return reply_json(rp, 200, "{s:s, s:i, s:i}", "thread", thread, "runs", rq->runs, "body",
                      (int)rq->raw.n);
}

static const struct route routes[] = {
    {GET, "/wait", wait_for, .who = WHO_ANYONE},
    {POST, "/wait", wait_for, .who = WHO_ANYONE, .body = BODY_RAW},
    {POST, "/elsewhere", go_elsewhere, .who = WHO_ANYONE, .body = BODY_RAW,
     .moves_to = POOL_REMOTE},
    {GET, "/for-ever", wait_for_ever, .who = WHO_ANYONE},
    {GET, "/long", take_long, .who = WHO_ANYONE},
    {0}};

static int start_server(void **state)
{
    lock_init(&source.lock, RANK_SESSION);
    struct http_config config = fixture_config();
    config.hooks.request_begin = count_begin;
    config.hooks.request_end = count_end;
    *state = fixture_start(&config, routes);
    return 0;
}

static int stop_server(void **state)
{
    http_server_stop(*state, 1000);
    assert_int_equal(source.waiters, 0);
    assert_int_equal(atomic_load(&runs_begun), atomic_load(&runs_ended));
    return 0;
}

static void wait_until_waiting(int n)
{
    WAIT_UNTIL(count_waiters() == n);
}

static void wait_until_parked(struct http_server *s, int n)
{
    fixture_await_metric(s, "concorde_http_requests_parked", n);
}

static void test_wake(void **state)
{
    struct fixture_reply r = {0};
    publish(0);
    int fd = fixture_connect(*state);
    fixture_send(fd, "GET /wait HTTP/1.1\r\nHost: x\r\n\r\n");
    wait_until_parked(*state, 1);
    publish(0); /* a wake that is not for it: it runs, and waits again */
    assert_false(fixture_readable(fd, 100));
    publish(5);
    assert_true(fixture_read(fd, true, &r));
    BODY_IS(r, "{\"body\":0,\"runs\":3,\"timed_out\":false,\"value\":5}");
    assert_int_equal(count_waiters(), 0);
    /* the same connection serves the next request, from its first run on */
    fixture_send(fd, "GET /wait HTTP/1.1\r\nHost: x\r\n\r\n");
    assert_true(fixture_read(fd, true, &r));
    BODY_IS(r, "{\"body\":0,\"runs\":1,\"timed_out\":false,\"value\":5}");
    close(fd);
    fixture_forget(&r);
}

static void test_deadline(void **state)
{
    struct fixture_reply r = {0};
    publish(0);
    int64_t from = mono_ms();
    assert_int_equal(fixture_ask(*state, &r, "GET /wait?timeout=200 HTTP/1.1\r\nHost: x\r\n\r\n"),
                     200);
    int64_t took = mono_ms() - from;
    assert_in_range(took, 199, 2000);
    BODY_IS(r, "{\"body\":0,\"runs\":2,\"timed_out\":true,\"value\":0}");
    fixture_forget(&r);
}

static void test_body_outlives_a_wait(void **state)
{
    struct fixture_reply r = {0};
    publish(0);
    int fd = fixture_connect(*state);
    fixture_send(fd, "POST /wait HTTP/1.1\r\nHost: x\r\nContent-Length: 7\r\n\r\n1234567");
    wait_until_parked(*state, 1);
    publish(1);
    assert_true(fixture_read(fd, true, &r));
    BODY_IS(r, "{\"body\":7,\"runs\":2,\"timed_out\":false,\"value\":1}");
    close(fd);
    fixture_forget(&r);
}

/* The wake comes before, while and after the handler's answer becomes a wait. */
static void test_another_pool(void **state)
{
    struct fixture_reply r = {0};
    int fd = fixture_connect(*state);
    for (int i = 0; i < 2; i++) { /* the next request on the connection begins as the first did */
        fixture_send(fd, "POST /elsewhere HTTP/1.1\r\nHost: x\r\nContent-Length: 4\r\n\r\n1234");
        assert_true(fixture_read(fd, true, &r));
        BODY_IS(r, "{\"body\":4,\"runs\":2,\"thread\":\"http-remote\"}");
    }
    close(fd);
    fixture_forget(&r);
}

static void test_no_wake_is_lost(void **state)
{
    struct fixture_reply r = {0};
    int fd = fixture_connect(*state);
    enum { ROUNDS = 3000 };
    publish(0);
    for (int i = 1; i <= ROUNDS; i++) {
        fixture_sendf(fd, "GET /wait?from=%d HTTP/1.1\r\nHost: x\r\n\r\n", i);
        if (i % 3) {
            while (!count_waiters())
                ;
            for (volatile int spin = i * 7 % 2000; spin > 0; spin--)
                ;
        }
        publish(i);
        publish(i);
        assert_true(fixture_read(fd, true, &r));
        assert_non_null(strstr(r.body.p, "\"timed_out\":false"));
        wait_until_waiting(0);
    }
    close(fd);
    fixture_forget(&r);
}

static void *publish_for_a_while(void *until)
{
    for (int i = 1; i <= *(int *)until; i++)
        publish(i);
    return NULL;
}

/* Many waiters, and wakes from several threads at once. */
static void test_wakes_from_all_sides(void **state)
{
    enum { CLIENTS = 50, THREADS = 3 };
    int fds[CLIENTS], until = 2000;
    struct fixture_reply r = {0};
    publish(0);
    for (int i = 0; i < CLIENTS; i++) {
        fds[i] = fixture_connect(*state);
        fixture_sendf(fds[i], "GET /wait?from=%d HTTP/1.1\r\nHost: x\r\n\r\n", until + 1);
    }
    pthread_t threads[THREADS];
    for (int i = 0; i < THREADS; i++)
        pthread_create(&threads[i], NULL, publish_for_a_while, &until);
    for (int i = 0; i < THREADS; i++)
        pthread_join(threads[i], NULL);
    publish(until + 1);
    for (int i = 0; i < CLIENTS; i++) {
        assert_true(fixture_read(fds[i], true, &r));
        assert_non_null(strstr(r.body.p, "\"timed_out\":false,\"value\":2001"));
        close(fds[i]);
    }
    fixture_forget(&r);
}

static void test_two_thousand(void **state)
{
    enum { CLIENTS = 2000 };
    static int fds[CLIENTS];
    struct fixture_reply r = {0};
    publish(0);
    for (int i = 0; i < CLIENTS; i++) {
        fds[i] = fixture_connect(*state);
        fixture_send(fds[i], "GET /wait HTTP/1.1\r\nHost: x\r\n\r\n");
    }
    wait_until_parked(*state, CLIENTS);
    publish(1);
    for (int i = 0; i < CLIENTS; i++) {
        assert_true(fixture_read(fds[i], true, &r));
        BODY_IS(r, "{\"body\":0,\"runs\":2,\"timed_out\":false,\"value\":1}");
        close(fds[i]);
    }
    wait_until_waiting(0);
    fixture_forget(&r);
}

/* A client that hangs up while its request is parked does not hold it until the deadline. */
static void test_hang_up_while_parked(void **state)
{
    publish(0);
    int fd = fixture_connect(*state);
    fixture_send(fd, "GET /wait?timeout=60000 HTTP/1.1\r\nHost: x\r\n\r\n");
    wait_until_parked(*state, 1);
    close(fd);
    wait_until_waiting(0);
    wait_until_parked(*state, 0);
}

static void test_stop_answers_those_who_wait(void **state)
{
    struct http_config config = fixture_config();
    struct http_server *s = fixture_start(&config, routes);
    struct fixture_reply r = {0};
    publish(0);
    int waiting = fixture_connect(s), stubborn = fixture_connect(s), running = fixture_connect(s),
        idle = fixture_connect(s);
    fixture_send(waiting, "GET /wait HTTP/1.1\r\nHost: x\r\n\r\n");
    fixture_send(stubborn, "GET /for-ever HTTP/1.1\r\nHost: x\r\n\r\n");
    wait_until_parked(s, 2);
    fixture_send(running, "GET /long HTTP/1.1\r\nHost: x\r\n\r\n");
    WAIT_UNTIL(is_long_begun);
    http_server_stop(s, 5000);
    assert_true(fixture_read(waiting, true, &r));
    assert_int_equal(r.status, 200);
    assert_string_equal(fixture_header(&r, "Connection"), "close");
    assert_true(fixture_read(stubborn, true, &r));
    assert_int_equal(r.status, 503);
    assert_true(fixture_read(running, true, &r));
    BODY_IS(r, "{}");
    assert_true(fixture_is_closed(idle, 1000));
    close(waiting);
    close(stubborn);
    close(running);
    close(idle);
    fixture_forget(&r);
}

int main(void)
{
    struct rlimit files = {.rlim_cur = 8192, .rlim_max = 8192};
    setrlimit(RLIMIT_NOFILE, &files);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_wake),
        cmocka_unit_test(test_deadline),
        cmocka_unit_test(test_body_outlives_a_wait),
        cmocka_unit_test(test_another_pool),
        cmocka_unit_test(test_no_wake_is_lost),
        cmocka_unit_test(test_wakes_from_all_sides),
        cmocka_unit_test(test_two_thousand),
        cmocka_unit_test(test_hang_up_while_parked),
        cmocka_unit_test(test_stop_answers_those_who_wait),
    };
    return cmocka_run_group_tests(tests, start_server, stop_server);
}
