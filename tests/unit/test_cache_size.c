/* `cache_size` bounds all caches together, while many rooms, users and servers come and go. */
#include "node_fixture.h"

#include "federation/keys/key_table.h"
#include "federation/peer/answers.h"
#include "rooms/account_cache.h"
#include "rooms/write/txn.h"
#include "server/account/auth_cache.h"
#include "users/device_state.h"
#include "users/filters.h"
#include "users/unread.h"

#include "check.h"

enum { ROOMS = 60, EACH = 10, SIZE = 1 << 20, LIMIT = SIZE - SIZE / 4 /* the feed has the rest */ };

static struct answers *answers; /* of federation/, which does not run here */
static struct key_table keys;
static struct auth_cache *tokens;
static struct txn_memory *txns;
static struct author alice;

static int begin(void **state)
{
    setenv("CONCORDE_CACHE_SIZE", "1M", 1);
    node_begin();
    alice = author_named("@alice:test.example");
    struct cache_budget *b = node_store()->caches;
    answers = answers_create(b);
    tokens = auth_cache_create(b);
    txns = txn_memory_create(b);
    key_table_init(&keys, b);
    return 0;
}

static int end(void **state)
{
    answers_destroy(answers);
    auth_cache_destroy(tokens);
    txn_memory_destroy(txns);
    key_table_finish(&keys);
    node_end();
    unsetenv("CONCORDE_CACHE_SIZE");
    return 0;
}

static void use_room(struct job *job)
{
    const char *room_id = create_public_room(job, &alice, "11"), *id;
    struct unread_counts counts;
    NO_ERR(send_text(job, room_id, &alice, "hello", &id));
    NO_ERR(unread_get(job, room_named(job, room_id), alice.user, alice.user_id, false, &counts));
}

static void use_user(struct job *job, int n)
{
    struct filter filter;
    struct ignored_list *ignored;
    struct device_summary summary;
    const char *filter_text = arena_printf(job->arena, "{\"room\":{\"rooms\":[\"!%d:x\"]}}", n);
    const char *token = arena_printf(job->arena, "token %d", n);
    NO_ERR(filter_load(job, n, filter_text, &filter));
    NO_ERR(ignored_list_get(job, n, &ignored));
    NO_ERR(device_state_get(job, &(struct device_ref){n, n, "D"}, &summary));
    txn_remember(txns, n, STR("0123456789abcdef"), "$event");
    struct token_hash hash = token_hash(token);
    const struct token_owner owner = {
        .user = n, .device = n, .user_id = alice.user_id, .device_id = "D"};
    auth_cache_put(tokens, &hash, &owner, 0);
}

static void use_server(struct job *job, int n)
{
    const char *server = arena_printf(job->arena, "%d.example", n);
    char answer[500];
    memset(answer, 'x', sizeof answer);
    answers_put(answers, server, (struct str){answer, sizeof answer}, 60000);
    const struct server_key key = {server, "ed25519:1", "a public key", 1000};
    CACHE_LOCKED(&keys.servers);
    key_server_put(key_table_use(&keys, server), &key, KEY_SOURCE_DIRECT);
}

static int64_t number_of(struct buf metrics, const char *metric, const char *cache)
{
    char line[100];
    snprintf(line, sizeof line, "\nconcorde_cache_%s{cache=\"%s\"} ", metric, cache);
    const char *found = strstr(metrics.p, line);
    assert_non_null(found);
    return strtoll(found + strlen(line), NULL, 10);
}

static void all_caches_keep_within_the_size(void **state)
{
    static const char *const names[] = {"rooms",       "unread",     "account_data", "tokens",
                                        "devices",     "filters",    "transactions", "answers",
                                        "server_keys", "auth_events"};
    struct cache_budget *caches = node_store()->caches;
    for (int i = 0; i < ROOMS; i++) {
        arena_auto struct arena *a = arena_create();
        struct job job;
        job_init(&job, node_store(), a);
        use_room(&job);
        for (int n = i * EACH; n < (i + 1) * EACH; n++) {
            use_user(&job, 1000 + n);
            use_server(&job, n);
        }
        job_finish(&job);
        assert_true(cache_budget_bytes(caches) <= LIMIT);
    }
    buf_auto struct buf metrics = {0};
    int64_t sum = 0;
    cache_budget_add_metrics(caches, &metrics);
    for (size_t i = 0; i < COUNT(names); i++) {
        int64_t bytes = number_of(metrics, "bytes", names[i]);
        if (strcmp(names[i], "auth_events") != 0) /* there are no forks */
            assert_true(bytes > 0);
        sum += bytes;
    }
    assert_int_equal(sum, cache_budget_bytes(caches));
    assert_true(sum > LIMIT / 2); /* it is used, too */
    assert_true(number_of(metrics, "evictions_total", "rooms") > 0);
    assert_true(number_of(metrics, "evictions_total", "account_data") > 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(all_caches_keep_within_the_size, begin, end),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
