/* The keyring on a database and the real client, with servers that refuse connections: stored
 * keys are found, no server is asked twice, many are asked at once, and a stop ends all waits. */
#include "node_fixture.h"

#include "base/clock.h"
#include "federation/federation.h"
#include "federation/keys/keyring.h"

#include <arpa/inet.h>
#include <sys/socket.h>

#define COUNT_OF(rows) (sizeof(rows) / sizeof *(rows))
#define KEY "XGX0JRS2Af3be3knz2fBiRbApjm2Dh61gXDJA8kcJNI"

static struct {
    struct running_node node;
    struct arena *arena;
    char dir[64];
} server;

static int start(void **state)
{
    const struct config_override set[] = {
        {"server_name", "test.example"},          {"database", pg_uri()},
        {"federation_domain_whitelist", "*"},     {"ip_range_allowlist", "127.0.0.0/8,::1"},
        {"federation_verify_certificates", "no"}, {"trusted_key_servers", "127.0.0.1:100"},
    };
    const struct config *config = NULL;
    buf_auto struct buf problems = {0};
    server.arena = arena_create();
    snprintf(server.dir, sizeof server.dir, "/tmp/concorde-keys-XXXXXX");
    if (!mkdtemp(server.dir))
        return -1;
    config_read(server.arena, NULL, server.dir, set, COUNT_OF(set), &problems, &config);
    if (!config)
        fail_msg("%.*s", (int)problems.n, problems.p);
    pg_must("node_start", node_start(&server.node, config, NODE_SERVER));
    return 0;
}

static int stop(void **state)
{
    node_stop(&server.node);
    arena_destroy(server.arena);
    pg_remove_dir(server.dir);
    return 0;
}

static void keep(struct job *job, const char *name, int64_t valid_until, bool direct,
                 const char *public_key, bool *ret_newest)
{
    const struct server_key_response r = {name, now_ms(), valid_until, STR("{}")};
    const struct server_key k = {name, "ed25519:1", public_key, valid_until};
    NO_ERR(server_keys_put(job_tx(job), &r, direct, &k, 1, ret_newest));
}

static void test_kept_keys(void **state)
{
    struct scope s;
    bool newest;
    int64_t now = now_ms();
    scope_init(&s, &server.node.node);
    keep(&s.job, "a.example", now + 60000, true, KEY, &newest);
    assert_true(newest);
    keep(&s.job, "a.example", now + 1000, false, "older", &newest);
    assert_false(newest);
    keep(&s.job, "a.example", now + 90000, false, "newer, but not its own", &newest);
    assert_true(newest);
    struct key_wanted_of w[] = {
        {"a.example", "ed25519:1", now + 60000, NULL},
        {"a.example", "ed25519:1", now + 60001, NULL},
        {"a.example", "ed25519:1", 0, NULL},
        {"a.example", "ed25519:2", 0, NULL},
        {"b.example", "ed25519:1", 0, NULL},
    };
    NO_ERR(keyring_find_here(&s.job, w, COUNT_OF(w)));
    assert_string_equal(w[0].ret_key, KEY);
    assert_string_equal(w[2].ret_key, KEY);
    assert_true(!w[1].ret_key && !w[3].ret_key && !w[4].ret_key);
    scope_finish(&s);
}

enum { SERVERS = 40, THREADS = 6 };

/* Ports of the loopback address on which no server listens. */
static void want(struct arena *a, struct key_wanted_of *w)
{
    for (int i = 0; i < SERVERS; i++)
        w[i] = (struct key_wanted_of){arena_printf(a, "127.0.0.1:%d", i + 1), "ed25519:1", now_ms(),
                                      NULL};
}

static void *find_all(void *arg)
{
    struct scope s;
    struct key_wanted_of w[SERVERS];
    scope_init(&s, &server.node.node);
    want(s.arena, w);
    const struct err *e = keyring_find(&s.job, w, SERVERS);
    bool none = !e;
    for (int i = 0; i < SERVERS; i++)
        none = none && !w[i].ret_key;
    scope_finish(&s);
    return none ? arg : NULL;
}

static int64_t failed_so_far(void)
{
    buf_auto struct buf b = {0};
    keyring_add_metrics(server.node.node.federation->keyring, &b);
    const char *at = strstr(b.p, "result=\"failed\"} ");
    return strtoll(at + strlen("result=\"failed\"} "), NULL, 10);
}

static void test_no_server_is_asked_twice(void **state)
{
    pthread_t threads[THREADS];
    int64_t before = failed_so_far();
    void *well;
    for (int i = 0; i < THREADS; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, find_all, &server), 0);
    for (int i = 0; i < THREADS; i++) {
        pthread_join(threads[i], &well);
        assert_non_null(well);
    }
    assert_int_equal(failed_so_far() - before, SERVERS);
    /* Again at once: they are not asked. */
    int64_t from = mono_ms();
    assert_non_null(find_all(&server));
    assert_true(mono_ms() - from < 1000);
    assert_int_equal(failed_so_far() - before, SERVERS);
}

static void *find_silent(void *arg)
{
    struct scope s;
    struct key_wanted_of w = {arg, "ed25519:1", 0, NULL};
    scope_init(&s, &server.node.node);
    const struct err *e = keyring_find(&s.job, &w, 1);
    scope_finish(&s);
    return e ? NULL : arg;
}

/* A server that accepts connections and never answers. */
static void test_stopping_lets_go(void **state)
{
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t n = sizeof address;
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    char name[32];
    void *well;
    pthread_t thread;
    assert_true(bind(fd, (struct sockaddr *)&address, n) == 0 && listen(fd, 8) == 0 &&
                getsockname(fd, (struct sockaddr *)&address, &n) == 0);
    snprintf(name, sizeof name, "127.0.0.1:%d", ntohs(address.sin_port));
    assert_int_equal(pthread_create(&thread, NULL, find_silent, name), 0);
    int asked = accept(fd, NULL, NULL);
    int64_t from = mono_ms();
    federation_drain(server.node.node.federation, 100);
    keyring_stop(server.node.node.federation->keyring);
    pthread_join(thread, &well);
    assert_non_null(well);
    assert_true(mono_ms() - from < 5000);
    close(asked);
    close(fd);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_kept_keys),
        cmocka_unit_test(test_no_server_is_asked_twice),
        cmocka_unit_test(test_stopping_lets_go),
    };
    return cmocka_run_group_tests(tests, start, stop);
}
