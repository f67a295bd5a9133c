/* Sources are served in turn, a few requests of each at once, and each has a bound. */
#include "http_fixture.h"
#include "waiting.h"

#include "base/lock.h"

#include <pthread.h>
#include <stdatomic.h>

enum { WORKERS = 4, RUNNING_MAX = 2, HELD_MAX = 6, USUAL_MAX = 2 };

static struct {
    struct lock lock;
    pthread_cond_t changed;
    bool open;
    char pass; /* one request with this tag may pass */
    int blocked;
    char order[64]; /* the tags of the requests, in the order of their start */
    size_t order_n;
} gate;

/* Blocks its worker until the gate opens. */
static const struct err *wait_at_gate(struct request *rq, struct reply *rp)
{
    const char *tag = request_query(rq, "tag");
    LOCKED(&gate.lock);
    gate.order[gate.order_n++] = tag ? *tag : '-';
    gate.blocked++;
    while (!gate.open && !(tag && gate.pass == *tag))
        lock_wait(&gate.lock, &gate.changed);
    gate.blocked--;
    gate.pass = 0;
    return reply_empty(rp);
}

static const struct err *wait_at_gate_elsewhere(struct request *rq, struct reply *rp)
{
    return rq->pool == POOL_REMOTE ? wait_at_gate(rq, rp) : reply_elsewhere(rp, POOL_REMOTE);
}

/* Requests with this header are served before others. */
static const struct err *wait_at_gate_first(struct request *rq, struct reply *rp)
{
    enum route_pool pool = rq->route->moves_to ? rq->route->moves_to : POOL_REMOTE;
    if (rq->pool == pool)
        return wait_at_gate(rq, rp);
    return reply_elsewhere_as(rp, pool,
                              request_query(rq, "first")   ? ORDER_FIRST
                              : request_query(rq, "ahead") ? ORDER_AHEAD
                                                           : ORDER_USUAL);
}

static const struct err *answer(struct request *rq, struct reply *rp)
{
    return reply_empty(rp);
}

static const struct err *take_upload(struct request *rq, struct reply *rp)
{
    return reply_empty(rp);
}

static const struct err *is_user(void *ctx, struct request *rq)
{
    rq->caller_id = request_header(rq, "Authorization");
    return NULL;
}

static enum source_knowledge user_of(void *ctx, const struct request *rq,
                                     char ret_name[SOURCE_NAME_MAX])
{
    const char *user = request_header(rq, "Authorization");
    snprintf(ret_name, SOURCE_NAME_MAX, "%s", user ? user : "");
    return user ? SOURCE_IS_KNOWN : SOURCE_IS_ADDRESS;
}

static enum source_knowledge server_of(void *ctx, const struct request *rq,
                                       char ret_name[SOURCE_NAME_MAX])
{
    user_of(ctx, rq, ret_name);
    return SOURCE_IS_CLAIMED;
}

static const struct route routes[] = {
    {GET, "/gate", wait_at_gate, .who = WHO_ANYONE},
    {GET, "/user-gate", wait_at_gate, .who = WHO_USER},
    {GET, "/server-gate", wait_at_gate, .who = WHO_SERVER},
    {GET, "/elsewhere", wait_at_gate_elsewhere, .who = WHO_USER, .moves_to = POOL_REMOTE},
    {GET, "/first", wait_at_gate_first, .who = WHO_USER, .moves_to = POOL_REMOTE},
    {GET, "/first-by-password", wait_at_gate_first, .who = WHO_USER, .moves_to = POOL_PASSWORD},
    {GET, "/nowhere", wait_at_gate_first, .who = WHO_USER},
    {GET, "/answer", answer, .who = WHO_ANYONE},
    {POST, "/upload", take_upload, .who = WHO_ANYONE, .body = BODY_FILE},
    {GET, "/health", answer, .who = WHO_ANYONE, .pool = POOL_WATCH},
    {0}};

static int start_server(void **state)
{
    static const char *const proxies[] = {"127.0.0.1"};
    lock_init(&gate.lock, RANK_SESSION);
    cond_init(&gate.changed);
    gate.open = false;
    gate.pass = 0;
    gate.order_n = 0;
    struct http_config config = fixture_config();
    struct http_pool size = {WORKERS, RUNNING_MAX, HELD_MAX};
    config.pools[POOL_CLIENT] = config.pools[POOL_REMOTE] = size;
    size.usual_max = USUAL_MAX;
    config.pools[POOL_PASSWORD] = size;
    config.trusted_proxies = proxies;
    config.trusted_proxies_n = 1;
    config.hooks.authenticate[WHO_USER] = config.hooks.authenticate[WHO_SERVER] = is_user;
    config.hooks.source[WHO_USER] = user_of;
    config.hooks.source[WHO_SERVER] = server_of;
    *state = fixture_start(&config, routes);
    return 0;
}

static void open_gate(void)
{
    LOCKED(&gate.lock);
    gate.open = true;
    pthread_cond_broadcast(&gate.changed);
}

static int stop_server(void **state)
{
    open_gate();
    http_server_stop(*state, 2000);
    pthread_cond_destroy(&gate.changed);
    lock_finish(&gate.lock);
    return 0;
}

static int blocked(void)
{
    LOCKED(&gate.lock);
    return gate.blocked;
}

static void wait_until_blocked(int n)
{
    WAIT_UNTIL(blocked() == n);
}

/* A request of the user, or without one of the address. */
static int ask(struct http_server *s, const char *target, const char *user, const char *address)
{
    int fd = fixture_connect(s);
    fixture_sendf(fd, "GET %s HTTP/1.1\r\nHost: x\r\nX-Forwarded-For: %s\r\n%s%s%s\r\n", target,
                  address, user ? "Authorization: " : "", user ? user : "", user ? "\r\n" : "");
    return fd;
}

static void expect(int fd, int status)
{
    struct fixture_reply r = {0};
    assert_true(fixture_read(fd, true, &r));
    assert_int_equal(r.status, status);
    if (status == 429) {
        assert_non_null(strstr(r.body.p, "M_LIMIT_EXCEEDED"));
        assert_string_equal(fixture_header(&r, "Retry-After"), "1");
    }
    close(fd);
    fixture_forget(&r);
}

static void expect_all(const int *fds, size_t n, int status)
{
    for (size_t i = 0; i < n; i++)
        expect(fds[i], status);
}

static void wait_until_queued(struct http_server *s, const char *pool, int n)
{
    char name[80];
    snprintf(name, sizeof name, "concorde_http_queue_depth{pool=\"%s\"}", pool);
    fixture_await_metric(s, name, n);
}

/* One source whose handlers block leaves workers to the others. */
static void test_few_of_one_run_at_once(void **state)
{
    int fds[HELD_MAX];
    for (int i = 0; i < HELD_MAX; i++)
        fds[i] = ask(*state, "/gate?tag=a", NULL, "192.0.2.1");
    wait_until_blocked(RUNNING_MAX);
    wait_until_queued(*state, "client", HELD_MAX - RUNNING_MAX);
    expect(ask(*state, "/answer", NULL, "192.0.2.2"), 200);
    assert_int_equal(blocked(), RUNNING_MAX);
    open_gate();
    expect_all(fds, HELD_MAX, 200);
}

static void let_one_through(char tag)
{
    LOCKED(&gate.lock);
    gate.pass = tag;
    pthread_cond_broadcast(&gate.changed);
}

static size_t came_to_work(void)
{
    LOCKED(&gate.lock);
    return gate.order_n;
}

/* All of a waited before the first of b. Each free worker takes the other source's next. */
static void test_in_order(void **state)
{
    int first[WORKERS], a[4], b[4];
    for (int i = 0; i < WORKERS; i++)
        first[i] = ask(*state, "/gate?tag=x", NULL, i % 2 ? "192.0.2.1" : "192.0.2.2");
    wait_until_blocked(WORKERS);
    for (int i = 0; i < 4; i++)
        a[i] = ask(*state, "/gate?tag=a", NULL, "192.0.2.3");
    wait_until_queued(*state, "client", 4);
    for (int i = 0; i < 4; i++)
        b[i] = ask(*state, "/gate?tag=b", NULL, "192.0.2.4");
    wait_until_queued(*state, "client", 8);
    for (size_t n = WORKERS; n < 2 * WORKERS; n++) {
        let_one_through('x');
        WAIT_UNTIL(came_to_work() != n);
    }
    assert_memory_equal(gate.order, "xxxxabab", 8);
    open_gate();
    expect_all(first, WORKERS, 200);
    expect_all(a, 4, 200);
    expect_all(b, 4, 200);
}

static void test_too_many_are_refused(void **state)
{
    int fds[HELD_MAX];
    for (int i = 0; i < HELD_MAX; i++)
        fds[i] = ask(*state, "/user-gate?tag=a", "alice", "192.0.2.1");
    wait_until_queued(*state, "client", HELD_MAX - RUNNING_MAX);
    expect(ask(*state, "/user-gate?tag=a", "alice", "192.0.2.9"), 429); /* from any address */
    int bob = ask(*state, "/user-gate?tag=b", "bob", "192.0.2.1");
    wait_until_blocked(RUNNING_MAX + 1);
    open_gate();
    expect(bob, 200);
    expect_all(fds, HELD_MAX, 200);
    expect(ask(*state, "/user-gate?tag=a", "alice", "192.0.2.1"), 200);
}

/* An unproven name does not use the share of the server of that name. */
static void test_a_claimed_name_counts_with_the_address(void **state)
{
    int fds[HELD_MAX];
    for (int i = 0; i < HELD_MAX; i++)
        fds[i] = ask(*state, "/server-gate?tag=a", "one.example", "192.0.2.1");
    wait_until_queued(*state, "client", HELD_MAX - RUNNING_MAX);
    expect(ask(*state, "/server-gate?tag=a", "one.example", "192.0.2.1"), 429);
    int real = ask(*state, "/server-gate?tag=b", "one.example", "192.0.2.2");
    wait_until_blocked(RUNNING_MAX + 1);
    open_gate();
    expect(real, 200);
    expect_all(fds, HELD_MAX, 200);
}

/* Otherwise each made-up name would be another source. */
static void test_an_address_that_claims_many_names_is_few_sources(void **state)
{
    enum { NAMES = 120, SOURCES_MAX = 4, HELD = SOURCES_MAX * HELD_MAX };
    int fds[NAMES];
    char name[32];
    for (int i = 0; i < NAMES; i++) {
        snprintf(name, sizeof name, "server-%d.example", i);
        fds[i] = ask(*state, "/server-gate?tag=a", name, "192.0.2.1");
    }
    fixture_await_metric(*state, "concorde_http_refused_total{pool=\"client\"}", NAMES - HELD);
    wait_until_queued(*state, "client", HELD - WORKERS);
    int other = ask(*state, "/server-gate?tag=b", "server-1.example", "192.0.2.2");
    wait_until_queued(*state, "client", HELD - WORKERS + 1);
    open_gate();
    expect(other, 200);
    for (int i = 0; i < NAMES; i++)
        close(fds[i]);
}

/* Each pool has its own bound, also for requests that move to it. */
static void test_moving_is_bounded(void **state)
{
    int fds[HELD_MAX];
    for (int i = 0; i < HELD_MAX; i++)
        fds[i] = ask(*state, "/elsewhere?tag=a", "alice", "192.0.2.1");
    wait_until_blocked(RUNNING_MAX);
    wait_until_queued(*state, "remote", HELD_MAX - RUNNING_MAX);
    expect(ask(*state, "/elsewhere?tag=a", "alice", "192.0.2.1"), 429);
    expect(ask(*state, "/answer", NULL, "192.0.2.1"), 200);
    int bob = ask(*state, "/elsewhere?tag=b", "bob", "192.0.2.1");
    wait_until_blocked(RUNNING_MAX + 1);
    open_gate();
    expect(bob, 200);
    expect_all(fds, HELD_MAX, 200);
}

static void let_next_through(char tag)
{
    size_t n = came_to_work();
    let_one_through(tag);
    WAIT_UNTIL(came_to_work() != n);
}

/* Urgent requests go first, in turn by source, but others are served too. A source may have as many
 * of them in addition to its others. */
static void test_urgent_requests(void **state)
{
    enum { USUAL = 4, FIRST = 5 };
    static const char *const users[FIRST] = {"alice", "bob", "carol", "dan", "eve"};
    int busy[WORKERS], usual[USUAL], first[FIRST];
    for (int i = 0; i < WORKERS; i++)
        busy[i] = ask(*state, "/first?tag=x", i % 2 ? "mallory" : "oscar", "192.0.2.1");
    wait_until_blocked(WORKERS);
    for (int i = 0; i < USUAL; i++) {
        usual[i] = ask(*state, "/first?tag=u", users[i], "192.0.2.1");
        wait_until_queued(*state, "remote", i + 1);
    }
    for (int i = 0; i < FIRST; i++) {
        first[i] = ask(*state, "/first?tag=f&first", users[i], "192.0.2.1");
        wait_until_queued(*state, "remote", USUAL + i + 1);
    }
    for (int i = 0; i < WORKERS; i++)
        let_next_through('x');
    let_next_through('f');
    let_next_through('f');
    assert_memory_equal(gate.order, "xxxxfffuff", WORKERS + 6);
    open_gate();
    expect_all(busy, WORKERS, 200);
    expect_all(usual, USUAL, 200);
    expect_all(first, FIRST, 200);
}

/* Three orders: each is served three times before the next lower one. */
static void test_three_orders(void **state)
{
    enum { EACH = 5 };
    static const char *const users[EACH] = {"alice", "bob", "carol", "dan", "eve"};
    static const char *const of_order[] = {"/first?tag=u", "/first?tag=a&ahead",
                                           "/first?tag=f&first"};
    int busy[WORKERS], asked[3][EACH];
    for (int i = 0; i < WORKERS; i++)
        busy[i] = ask(*state, "/first?tag=x", i % 2 ? "mallory" : "oscar", "192.0.2.1");
    wait_until_blocked(WORKERS);
    for (int order = 0; order < 3; order++)
        for (int i = 0; i < EACH; i++) {
            asked[order][i] = ask(*state, of_order[order], users[i], "192.0.2.1");
            wait_until_queued(*state, "remote", order * EACH + i + 1);
        }
    for (int i = 0; i < WORKERS; i++)
        let_next_through('x');
    let_next_through('f');
    let_next_through('f');
    let_next_through('f');
    let_next_through('a');
    assert_memory_equal(gate.order, "xxxxfffaffaa", WORKERS + 8);
    open_gate();
    expect_all(busy, WORKERS, 200);
    for (int order = 0; order < 3; order++)
        expect_all(asked[order], EACH, 200);
}

/* Some workers are reserved for urgent requests. */
static void test_ordinary_requests_have_a_bound(void **state)
{
    int usual[HELD_MAX], first[USUAL_MAX];
    for (int i = 0; i < HELD_MAX; i++)
        usual[i] = ask(*state, "/first-by-password?tag=u", i % 2 ? "alice" : "bob", "192.0.2.1");
    wait_until_queued(*state, "password", HELD_MAX - USUAL_MAX);
    wait_until_blocked(USUAL_MAX);
    for (int i = 0; i < WORKERS - USUAL_MAX; i++)
        first[i] = ask(*state, "/first-by-password?tag=f&first", "alice", "192.0.2.1");
    wait_until_blocked(WORKERS);
    wait_until_queued(*state, "password", HELD_MAX - USUAL_MAX);
    let_next_through('u'); /* its worker takes the next one */
    wait_until_queued(*state, "password", HELD_MAX - USUAL_MAX - 1);
    wait_until_blocked(WORKERS);
    open_gate();
    expect_all(usual, HELD_MAX, 200);
    expect_all(first, WORKERS - USUAL_MAX, 200);
}

static void test_a_route_moves_where_its_row_says(void **state)
{
    expect(ask(*state, "/nowhere", "alice", "192.0.2.1"), 500);
    struct route r = {.moves_to = POOL_PASSWORD};
    assert_true(route_may_move(&r, POOL_PASSWORD));
    assert_false(route_may_move(&r, POOL_REMOTE));
    assert_false(route_may_move(&r, POOL_CLIENT));
    r.who = WHO_SERVER; /* its key may have to be fetched */
    assert_true(route_may_move(&r, POOL_REMOTE));
}

/* A worker checks the head of an upload: this too is served in turn. */
static void test_an_upload_is_refused_and_the_connection_lives(void **state)
{
    struct fixture_reply r = {0};
    int fds[HELD_MAX];
    for (int i = 0; i < HELD_MAX; i++)
        fds[i] = ask(*state, "/gate?tag=a", NULL, "192.0.2.1");
    wait_until_queued(*state, "client", HELD_MAX - RUNNING_MAX);
    int fd = fixture_connect(*state);
    static const char upload[] =
        "POST /upload HTTP/1.1\r\nHost: x\r\nX-Forwarded-For: 192.0.2.1\r\n"
        "Content-Length: 5\r\n\r\nhello";
    fixture_send(fd, upload);
    assert_true(fixture_read(fd, true, &r));
    assert_int_equal(r.status, 429);
    open_gate();
    expect_all(fds, HELD_MAX, 200);
    fixture_send(fd, upload);
    expect(fd, 200);
    fixture_forget(&r);
}

static void test_health_never_waits(void **state)
{
    int fds[2 * RUNNING_MAX];
    for (int i = 0; i < 2 * RUNNING_MAX; i++)
        fds[i] = ask(*state, "/gate?tag=a", NULL, i % 2 ? "192.0.2.1" : "192.0.2.2");
    wait_until_blocked(WORKERS);
    expect(ask(*state, "/health", NULL, "192.0.2.1"), 200);
    open_gate();
    expect_all(fds, 2 * RUNNING_MAX, 200);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, start_server, stop_server)
    const struct CMUnitTest tests[] = {
        TEST(test_few_of_one_run_at_once),
        TEST(test_in_order),
        TEST(test_too_many_are_refused),
        TEST(test_a_claimed_name_counts_with_the_address),
        TEST(test_an_address_that_claims_many_names_is_few_sources),
        TEST(test_moving_is_bounded),
        TEST(test_urgent_requests),
        TEST(test_three_orders),
        TEST(test_ordinary_requests_have_a_bound),
        TEST(test_a_route_moves_where_its_row_says),
        TEST(test_an_upload_is_refused_and_the_connection_lives),
        TEST(test_health_never_waits),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
