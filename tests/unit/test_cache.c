/* Caches, alone and with one budget. */
#include "base/cache.h"

#include "base/mem.h"
#include "base/thread.h"
#include "check.h"

#include <assert.h>

enum { BUDGET = 100 * 1000, SMALL = 1000, LARGE = 10 * 1000 }; /* with what the map needs */

struct thing {
    struct cache_entry entry;
    int64_t id;
};

static struct cache_budget *budget;
static struct cache small, large, quarter;
static struct arena *arena;
static atomic_int alive, left_n;

static void thing_left(void *owner, struct cache_entry *e)
{
    assert_ptr_equal(owner, &left_n);
    left_n++;
}

static void thing_destroy(struct cache_entry *e)
{
    alive--;
    free(e);
}

static const struct cache_kind small_kind = {
    .name = "small", .rank = RANK_CACHE, .left = thing_left, .destroy = thing_destroy};
static const struct cache_kind large_kind = {
    .name = "large", .rank = RANK_ROOM_CACHE, .by_id = true, .destroy = thing_destroy};
static const struct cache_kind quarter_kind = {
    .name = "quarter", .rank = RANK_TYPING, .share = 4, .destroy = thing_destroy};

static int begin(void **state)
{
    alive = left_n = 0;
    arena = arena_create();
    budget = cache_budget_create(BUDGET);
    cache_init(&small, budget, &small_kind, &left_n);
    cache_init(&large, budget, &large_kind, NULL);
    cache_init(&quarter, budget, &quarter_kind, NULL);
    return 0;
}

static int end(void **state)
{
    cache_finish(&small);
    cache_finish(&large);
    cache_finish(&quarter);
    assert_int_equal(cache_budget_bytes(budget), 0);
    arena_destroy(arena);
    cache_budget_destroy(budget);
    assert_int_equal(alive, 0);
    return 0;
}

static struct cache_entry *thing(int64_t id, size_t bytes)
{
    struct thing *t = mem_zalloc(sizeof *t);
    t->id = id;
    t->entry.key = cache_key_int(&t->id);
    t->entry.bytes = bytes - 2 * sizeof(struct map_slot);
    alive++;
    return &t->entry;
}

static void put(struct cache *c, int64_t id, size_t bytes)
{
    CACHE_LOCKED(c);
    cache_add_locked(c, thing(id, bytes));
}

static bool has(struct cache *c, int64_t id)
{
    CACHE_LOCKED(c);
    return cache_peek_locked(c, cache_key_int(&id));
}

static bool find(struct cache *c, int64_t id)
{
    CACHE_LOCKED(c);
    return cache_find_locked(c, cache_key_int(&id));
}

static void forget(struct cache *c, int64_t id)
{
    CACHE_LOCKED(c);
    cache_forget_locked(c, cache_key_int(&id));
}

static uint64_t epoch_of(struct cache *c)
{
    int64_t missing = -1;
    uint64_t epoch = UINT64_MAX;
    assert_null(cache_get(c, arena, cache_key_int(&missing), &epoch));
    return epoch;
}

/* ---- one cache ---- */

static void the_least_recently_used_is_evicted(void **state)
{
    for (int64_t i = 0; i < 100; i++)
        put(&small, i, SMALL);
    assert_true(find(&small, 0));
    put(&small, 100, SMALL);
    assert_true(has(&small, 0));
    assert_false(has(&small, 1));
    assert_true(has(&small, 2));
    assert_int_equal(cache_budget_bytes(budget), BUDGET);
    assert_int_equal(left_n, 1);
    assert_int_equal(alive, 100);
}

static void an_entry_in_use_is_not_evicted(void **state)
{
    uint64_t epoch;
    int64_t id = 0;
    struct thing *held = cache_put(&small, arena, thing(id, SMALL), epoch_of(&small));
    for (int64_t i = 1; i < 1000; i++)
        put(&small, i, SMALL);
    assert_ptr_equal(cache_get(&small, arena, cache_key_int(&id), &epoch), held);
    arena_reset(arena);
    for (int64_t i = 1000; i < 2000; i++)
        put(&small, i, SMALL);
    assert_false(has(&small, 0));
}

static void a_dropped_entry_lives_until_its_last_reference(void **state)
{
    int64_t id = 7;
    struct thing *held = cache_put(&small, arena, thing(id, SMALL), epoch_of(&small));
    forget(&small, id);
    assert_false(has(&small, id));
    assert_int_equal(left_n, 1);
    assert_int_equal(alive, 1);
    assert_int_equal(held->id, 7);
    put(&small, id, SMALL); /* another of that key */
    arena_reset(arena);
    assert_int_equal(alive, 1);
    assert_true(has(&small, id));
}

static void what_was_read_before_a_forgetting_is_not_put(void **state)
{
    int64_t one = 1, other = 2;
    uint64_t before = epoch_of(&small);
    forget(&small, other); /* which is not there */
    struct thing *t = cache_put(&small, arena, thing(one, SMALL), before);
    assert_int_equal(t->id, one); /* its reader may use it ... */
    assert_false(has(&small, one));
    arena_reset(arena);
    assert_int_equal(alive, 0); /* ... until then */

    before = epoch_of(&small);
    cache_forget_all(&small);
    cache_put(&small, arena, thing(one, SMALL), before);
    assert_false(has(&small, one));
    cache_put(&small, arena, thing(one, SMALL), epoch_of(&small));
    assert_true(has(&small, one));
}

static void the_first_of_two_readers_wins(void **state)
{
    uint64_t epoch = epoch_of(&small);
    struct thing *first = cache_put(&small, arena, thing(1, SMALL), epoch);
    assert_ptr_equal(cache_put(&small, arena, thing(1, SMALL), epoch), first);
    assert_int_equal(alive, 1);
}

static void an_entry_that_grows_drives_others_out(void **state)
{
    for (int64_t i = 0; i < 100; i++)
        put(&small, i, SMALL);
    int64_t id = 99;
    cache_lock(&small);
    struct cache_entry *e = cache_peek_locked(&small, cache_key_int(&id));
    cache_resize_locked(&small, e, e->bytes + 10 * SMALL);
    cache_unlock(&small);
    assert_false(has(&small, 9));
    assert_true(has(&small, 10));
    assert_int_equal(cache_budget_bytes(budget), BUDGET);
    cache_lock(&small);
    cache_resize_locked(&small, e, e->bytes - 10 * SMALL);
    cache_unlock(&small);
    assert_int_equal(cache_budget_bytes(budget), BUDGET - 10 * SMALL);
}

static void a_taken_entry_is_the_callers(void **state)
{
    int64_t id = 1;
    put(&small, id, SMALL);
    cache_lock(&small);
    struct cache_entry *e = cache_peek_locked(&small, cache_key_int(&id));
    cache_take_locked(&small, e);
    cache_unlock(&small);
    assert_int_equal(cache_budget_bytes(budget), 0);
    assert_int_equal(alive, 1);
    thing_destroy(e);
}

static void an_entry_may_have_no_key(void **state)
{
    struct cache_entry *e = thing(1, SMALL);
    e->key.n = 0;
    cache_lock(&small);
    cache_add_locked(&small, e);
    cache_count_locked(&small, e);
    cache_unlock(&small);
    for (int64_t i = 0; i < 200; i++)
        put(&small, i, SMALL);
    assert_int_equal(alive, 100);
    assert_int_equal(left_n, 101);
}

/* ---- several ---- */

static void a_cache_keeps_to_its_share(void **state)
{
    put(&large, 0, LARGE);
    for (int64_t i = 0; i < 100; i++)
        put(&quarter, i, SMALL);
    assert_int_equal(cache_budget_bytes(budget), BUDGET / 4 + LARGE);
    assert_true(has(&quarter, 75));
    assert_false(has(&quarter, 74));
    put(&quarter, 100, BUDGET / 4 + 1);
    assert_false(has(&quarter, 100));
}

static void the_oldest_of_all_caches_is_evicted(void **state)
{
    put(&large, 0, LARGE);
    for (int64_t i = 0; i < 50; i++)
        put(&small, i, SMALL);
    for (int64_t i = 1; i < 5; i++)
        put(&large, i, LARGE); /* full */
    assert_true(find(&small, 0));
    put(&small, 50, SMALL); /* the oldest is the first large one */
    assert_false(has(&large, 0));
    assert_true(has(&small, 1));
    put(&large, 5, LARGE); /* now the small ones that were not used since */
    assert_false(has(&small, 1));
    assert_true(has(&small, 2));
    assert_true(has(&small, 0));
    put(&large, 6, LARGE);
    assert_false(has(&small, 11));
    assert_true(has(&small, 12));
    assert_true(has(&large, 1));
    assert_int_equal(cache_budget_bytes(budget), BUDGET);
}

static void a_small_cache_is_not_driven_out(void **state)
{
    for (int64_t i = 0; i < 10; i++)
        put(&small, i, SMALL);
    for (int64_t i = 0; i < 1000; i++) {
        put(&large, i, LARGE);
        assert_true(cache_budget_bytes(budget) <= BUDGET);
    }
    for (int64_t i = 0; i < 10; i++) /* a 32nd is left to it */
        assert_int_equal(has(&small, i), i >= 7);
}

/* As when rooms are read while a token is put: the ranks do not allow to wait for the lock. */
static void a_cache_whose_lock_is_held_is_left_alone(void **state)
{
    for (int64_t i = 0; i < 10; i++)
        put(&large, i, LARGE);
    cache_lock(&large);
    put(&small, 0, SMALL);
    assert_int_equal(cache_budget_bytes(budget), BUDGET + SMALL);
    cache_unlock(&large);
    put(&small, 1, SMALL);
    assert_int_equal(cache_budget_bytes(budget), BUDGET - LARGE + 2 * SMALL);
    assert_false(has(&large, 0));
}

static void metrics_are_by_cache(void **state)
{
    buf_auto struct buf b = {0};
    put(&small, 1, SMALL);
    find(&small, 1);
    find(&small, 2);
    put(&quarter, 1, BUDGET);
    cache_budget_add_metrics(budget, &b);
    static const char *const lines[] = {
        "concorde_caches_max_bytes 100000\n",
        "concorde_cache_entries{cache=\"small\"} 1\n",
        "concorde_cache_bytes{cache=\"small\"} 1000\n",
        "concorde_cache_hits_total{cache=\"small\"} 1\n",
        "concorde_cache_misses_total{cache=\"small\"} 1\n",
        "concorde_cache_evictions_total{cache=\"small\"} 0\n",
        "concorde_cache_evictions_total{cache=\"quarter\"} 1\n",
    };
    for (size_t i = 0; i < COUNT(lines); i++)
        assert_non_null(strstr(b.p, lines[i]));
}

/* ---- many threads ---- */

static void *work(void *of)
{
    struct cache *const caches[] = {&small, &large, &quarter};
    uint64_t draw = (uint64_t)(uintptr_t)of + 1, epoch;
    struct arena *a = arena_create();
    for (int i = 0; i < 20000; i++) {
        draw = draw * 6364136223846793005u + 1442695040888963407u;
        struct cache *c = caches[(draw >> 40) % 3];
        int64_t id = (int64_t)(draw >> 50) % 500;
        struct thing *t = cache_get(c, a, cache_key_int(&id), &epoch);
        if (t && (draw >> 30) % 8 == 0)
            forget(c, id);
        if (!t)
            t = cache_put(c, a, thing(id, SMALL), epoch);
        assert(t->id == id);
        if (i % 16 == 0)
            arena_reset(a);
    }
    arena_destroy(a);
    return NULL;
}

static void threads_share_caches(void **state)
{
    pthread_t threads[4];
    for (size_t i = 0; i < COUNT(threads); i++)
        assert_true(thread_start(&threads[i], "work", work, &threads[i]));
    for (size_t i = 0; i < COUNT(threads); i++)
        pthread_join(threads[i], NULL);
    put(&small, 1000, SMALL); /* the last word: nothing is in use any more */
    assert_true(cache_budget_bytes(budget) <= BUDGET);
}

#define ROW(test) cmocka_unit_test_setup_teardown(test, begin, end)

int main(void)
{
    const struct CMUnitTest tests[] = {
        ROW(the_least_recently_used_is_evicted),
        ROW(an_entry_in_use_is_not_evicted),
        ROW(a_dropped_entry_lives_until_its_last_reference),
        ROW(what_was_read_before_a_forgetting_is_not_put),
        ROW(the_first_of_two_readers_wins),
        ROW(an_entry_that_grows_drives_others_out),
        ROW(a_taken_entry_is_the_callers),
        ROW(an_entry_may_have_no_key),
        ROW(a_cache_keeps_to_its_share),
        ROW(the_oldest_of_all_caches_is_evicted),
        ROW(a_small_cache_is_not_driven_out),
        ROW(a_cache_whose_lock_is_held_is_left_alone),
        ROW(metrics_are_by_cache),
        ROW(threads_share_caches),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
