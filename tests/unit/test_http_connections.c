/* Connections are bounded in total and by address; old ones are closed for new ones. */
#include "http_fixture.h"
#include "waiting.h"

enum { CONNECTIONS_MAX = 40, OF_ADDRESS_MAX = 20 };

static const struct err *answer(struct request *rq, struct reply *rp)
{
    return reply_empty(rp);
}

static const struct err *wait_long(struct request *rq, struct reply *rp)
{
    return rq->timed_out ? reply_empty(rp) : reply_wait(rp, mono_ms() + 600 * 1000);
}

static const struct route routes[] = {
    {GET, "/answer", answer, .who = WHO_ANYONE}, {GET, "/wait", wait_long, .who = WHO_ANYONE}, {0}};

static int start_server(void **state)
{
    struct http_config config = fixture_config();
    config.connections_max = CONNECTIONS_MAX;
    config.connections_of_address_max = OF_ADDRESS_MAX;
    *state = fixture_start(&config, routes);
    return 0;
}

static int stop_server(void **state)
{
    http_server_stop(*state, 2000);
    return 0;
}

/* From 127.0.0.`host`. */
static int connect_from(struct http_server *s, int host)
{
    struct sockaddr_in from = {.sin_family = AF_INET,
                               .sin_addr.s_addr = htonl(INADDR_LOOPBACK + (unsigned)host - 1)};
    struct sockaddr_in to = {.sin_family = AF_INET,
                             .sin_port = htons((uint16_t)http_server_port(s, 0)),
                             .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    assert_int_equal(bind(fd, (struct sockaddr *)&from, sizeof from), 0);
    assert_int_equal(connect(fd, (struct sockaddr *)&to, sizeof to), 0);
    return fd;
}

static void expect_an_answer(int fd)
{
    struct fixture_reply r = {0};
    fixture_send(fd, "GET /answer HTTP/1.1\r\nHost: x\r\n\r\n");
    assert_true(fixture_read(fd, true, &r));
    assert_int_equal(r.status, 200);
    fixture_forget(&r);
}

static long displaced(struct http_server *s)
{
    return fixture_metric(s, "concorde_http_connections_displaced_total");
}

/* Each connection was accepted or refused, and the displaced ones are closed. */
/* All are counted, and the address has no more than it may. */
static bool is_settled(struct http_server *s, int crowd)
{
    long taken = fixture_metric(s, "concorde_http_connections");
    return taken <= OF_ADDRESS_MAX &&
           taken + displaced(s) + fixture_metric(s, "concorde_http_connections_refused_total") ==
               crowd;
}

/* Half a head each, within the time allowed for one: connections are closed when it is over. */
static void test_an_address_has_a_bound(void **state)
{
    enum { CROWD = 3 * OF_ADDRESS_MAX };
    int fds[CROWD];
    for (int i = 0; i < CROWD; i++) {
        fds[i] = connect_from(*state, 2);
        fixture_send(fds[i], "GET /answer HTTP/1.1\r\n");
    }
    WAIT_UNTIL(is_settled(*state, CROWD));
    assert_true(displaced(*state) > 0);
    int other = connect_from(*state, 3), same = connect_from(*state, 2);
    expect_an_answer(other);
    expect_an_answer(same);
    close(other);
    close(same);
    for (int i = 0; i < CROWD; i++)
        close(fds[i]);
}

/* Many addresses, none at its bound, have all connections: the one with the most loses one. */
static void test_a_full_server_makes_room(void **state)
{
    int fds[CONNECTIONS_MAX];
    for (int i = 0; i < CONNECTIONS_MAX; i++) {
        fds[i] = connect_from(*state, 2 + i % 4);
        wait_briefly();
    }
    for (int i = 0; i < 20; i++) {
        int fd = connect_from(*state, 100 + i);
        expect_an_answer(fd);
        close(fd);
    }
    for (int i = 0; i < CONNECTIONS_MAX; i++)
        close(fds[i]);
}

/* Nearly all connections are those of three addresses, which are busy, so that none can be closed.
 */
static void test_newcomers_of_a_crowd_are_closed_while_connections_are_short(void **state)
{
    enum { CROWD = CONNECTIONS_MAX - CONNECTIONS_MAX / 16, ADDRESSES = 3 };
    int fds[CROWD];
    char byte;
    for (int i = 0; i < CROWD; i++) {
        fds[i] = connect_from(*state, 2 + i % ADDRESSES);
        fixture_send(fds[i], "GET /wait HTTP/1.1\r\nHost: x\r\n\r\n");
    }
    fixture_await_metric(*state, "concorde_http_requests_parked", CROWD);
    int same = connect_from(*state, 2);
    assert_true(read(same, &byte, 1) <= 0);
    assert_int_equal(fixture_metric(*state, "concorde_http_connections_refused_total"), 1);
    for (int i = 0; i < 2; i++) {
        int other = connect_from(*state, 100);
        expect_an_answer(other);
        close(other);
        fixture_await_metric(*state, "concorde_http_connections", CROWD);
    }
    close(same);
    for (int i = 0; i < CROWD; i++)
        close(fds[i]);
}

/* Many clients share the address of a proxy. */
static void test_a_trusted_proxy_has_no_bound(void **state)
{
    static const char *const proxies[] = {"127.0.0.2"};
    struct http_config config = fixture_config();
    config.connections_of_address_max = 5;
    config.trusted_proxies = proxies;
    config.trusted_proxies_n = 1;
    struct http_server *s = fixture_start(&config, routes);
    int fds[30];
    for (int i = 0; i < 30; i++)
        fds[i] = connect_from(s, 2);
    for (int i = 0; i < 30; i++) {
        expect_an_answer(fds[i]);
        close(fds[i]);
    }
    http_server_stop(s, 2000);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, start_server, stop_server)
    const struct CMUnitTest tests[] = {
        TEST(test_an_address_has_a_bound),
        TEST(test_a_full_server_makes_room),
        TEST(test_newcomers_of_a_crowd_are_closed_while_connections_are_short),
        cmocka_unit_test(test_a_trusted_proxy_has_no_bound),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
