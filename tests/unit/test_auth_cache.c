/* The tokens in memory: evicted ones, and revoked ones, which must not come back. */
#include "base/cache.h"
#include "check.h"
#include "server/account/auth_cache.h"

enum { ROOMY = 1 << 24, BYTES = 8 * 160 * 400 }; /* the tokens have an eighth */

static struct cache_budget *budget;

static struct auth_cache *begin(size_t bytes)
{
    budget = cache_budget_create(bytes);
    return auth_cache_create(budget);
}

static void end(struct auth_cache *c)
{
    auth_cache_destroy(c);
    cache_budget_destroy(budget);
}

static struct token_hash hash_of(int n)
{
    char text[32];
    snprintf(text, sizeof text, "token %d", n);
    return token_hash(text);
}

static struct token_owner owner_of(int64_t user, int64_t device)
{
    return (struct token_owner){
        .user = user, .device = device, .user_id = "@u:x", .device_id = "D", .last_seen_ts = 1000};
}

static bool get(struct auth_cache *c, int n, int64_t now, struct auth_entry *ret)
{
    arena_auto struct arena *a = arena_create();
    struct token_hash h = hash_of(n);
    uint64_t epoch;
    return auth_cache_get(c, a, &h, now, ret, &epoch);
}

static void put(struct auth_cache *c, int n, int64_t user)
{
    arena_auto struct arena *a = arena_create();
    struct token_hash h = hash_of(n);
    struct token_owner o = owner_of(user, n);
    struct auth_entry e;
    uint64_t epoch = 0;
    auth_cache_get(c, a, &h, 0, &e, &epoch);
    auth_cache_put(c, &h, &o, epoch);
}

static bool has(struct auth_cache *c, int n)
{
    struct auth_entry e;
    return get(c, n, 1000, &e);
}

static void cached_tokens_are_found(void **state)
{
    struct auth_cache *c = begin(ROOMY);
    struct auth_entry e;
    assert_false(has(c, 1));
    put(c, 1, 7);
    assert_true(get(c, 1, 1000, &e));
    assert_int_equal(e.caller.user, 7);
    assert_int_equal(e.caller.device, 1);
    assert_false(has(c, 2));
    end(c);
}

static void a_device_is_noted_once_a_minute(void **state)
{
    struct auth_cache *c = begin(ROOMY);
    struct auth_entry e;
    put(c, 1, 7);
    assert_true(get(c, 1, 1000 + 59999, &e));
    assert_false(e.unseen);
    assert_true(get(c, 1, 1000 + 60000, &e));
    assert_true(e.unseen);
    assert_true(get(c, 1, 1000 + 60001, &e));
    assert_false(e.unseen);
    end(c);
}

static void a_user_is_forgotten_with_all_tokens_and_alone(void **state)
{
    struct auth_cache *c = begin(ROOMY);
    for (int n = 0; n < 100; n++)
        put(c, n, n % 3);
    auth_cache_forget_user(c, 1);
    for (int n = 0; n < 100; n++)
        assert_int_equal(has(c, n), n % 3 != 1);
    auth_cache_forget_all(c);
    for (int n = 0; n < 100; n++)
        assert_false(has(c, n));
    put(c, 5, 2);
    assert_true(has(c, 5));
    end(c);
}

/* Read before the logout, put after it: the token must stay invalid. */
static void tokens_read_before_a_change_are_not_cached(void **state)
{
    arena_auto struct arena *a = arena_create();
    struct auth_cache *c = begin(ROOMY);
    struct token_hash h = hash_of(1);
    struct token_owner o = owner_of(7, 1);
    struct auth_entry e;
    uint64_t epoch = 0;
    assert_false(auth_cache_get(c, a, &h, 0, &e, &epoch));
    auth_cache_forget_user(c, 7);
    auth_cache_put(c, &h, &o, epoch);
    assert_false(has(c, 1));
    end(c);
}

static void the_least_used_go_first(void **state)
{
    enum { MANY = 2000 };
    struct auth_cache *c = begin(BYTES);
    for (int n = 0; n < MANY; n++) {
        put(c, n, n % 10);
        assert_true(has(c, 0)); /* used all the time: it stays */
    }
    int left = 0;
    for (int n = 0; n < MANY; n++)
        left += has(c, n);
    assert_true(left > BYTES / 8 / 400 / 2);
    assert_true(left <= BYTES / 8 / 200);
    assert_true(cache_budget_bytes(budget) <= BYTES);
    for (int user = 0; user < 10; user++)
        auth_cache_forget_user(c, user);
    for (int n = 0; n < MANY; n++)
        assert_false(has(c, n));
    end(c);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(cached_tokens_are_found),
        cmocka_unit_test(a_device_is_noted_once_a_minute),
        cmocka_unit_test(a_user_is_forgotten_with_all_tokens_and_alone),
        cmocka_unit_test(tokens_read_before_a_change_are_not_cached),
        cmocka_unit_test(the_least_used_go_first),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
