#include "check.h"

#include "http/rate.h"

enum { SECOND = 1000 * 1000 };

static struct str key = {"@a:b", 4};

static void test_a_bucket(void **state)
{
    struct rate_table *t = rate_table_create(NULL);
    struct rate_limit limit = {2, 3};
    int64_t now = 1000LL * SECOND;
    for (int i = 0; i < 3; i++)
        assert_int_equal(rate_take(t, RATE_LOGIN, key, &limit, 1, now), 0);
    assert_int_equal(rate_take(t, RATE_LOGIN, key, &limit, 1, now), 500);
    assert_int_equal(rate_take(t, RATE_LOGIN, key, &limit, 1, now + SECOND / 4), 250);
    /* a refusal costs nothing */
    assert_int_equal(rate_take(t, RATE_LOGIN, key, &limit, 1, now + SECOND / 2), 0);
    assert_int_equal(rate_take(t, RATE_LOGIN, key, &limit, 1, now + SECOND / 2), 500);
    /* after a long pause the bucket is full, and no fuller */
    now += 100LL * SECOND;
    for (int i = 0; i < 3; i++)
        assert_int_equal(rate_take(t, RATE_LOGIN, key, &limit, 1, now), 0);
    assert_int_equal(rate_take(t, RATE_LOGIN, key, &limit, 1, now), 500);
    rate_table_destroy(t);
}

static void test_buckets_are_apart(void **state)
{
    struct rate_table *t = rate_table_create(NULL);
    struct rate_limit limit = {0.1, 1};
    assert_int_equal(rate_take(t, RATE_LOGIN, key, &limit, 1, SECOND), 0);
    assert_int_equal(rate_take(t, RATE_LOGIN, key, &limit, 1, SECOND), 10000);
    assert_int_equal(rate_take(t, RATE_JOIN, key, &limit, 1, SECOND), 0);
    assert_int_equal(rate_take(t, RATE_LOGIN, STR("@c:b"), &limit, 1, SECOND), 0);
    rate_table_destroy(t);
}

/* One token allows many actions at once, which are paid off before the next one. */
static void test_a_debt(void **state)
{
    struct rate_table *t = rate_table_create(NULL);
    struct rate_limit limit = {2, 3};
    int64_t now = 1000LL * SECOND;
    assert_int_equal(rate_take(t, RATE_INVITE, key, &limit, 13, now), 0);
    assert_int_equal(rate_take(t, RATE_INVITE, key, &limit, 1, now), 5500);
    assert_int_equal(rate_take(t, RATE_INVITE, key, &limit, 1, now + 5 * SECOND), 500);
    assert_int_equal(rate_take(t, RATE_INVITE, key, &limit, 1, now + 6 * SECOND), 0);
    rate_table_destroy(t);
}

/* An action that cannot be refused any more is paid off later, even if no token was left. */
static void test_owing(void **state)
{
    struct rate_table *t = rate_table_create(NULL);
    struct rate_limit limit = {2, 3};
    int64_t now = 1000LL * SECOND;
    rate_owe(t, RATE_KEY, key, &limit, 3, now);
    assert_int_equal(rate_take(t, RATE_KEY, key, &limit, 1, now), 500);
    rate_owe(t, RATE_KEY, key, &limit, 10, now);
    assert_int_equal(rate_take(t, RATE_KEY, key, &limit, 1, now), 5500);
    rate_owe(t, RATE_KEY, key, &(struct rate_limit){0, 0}, 10, now);
    assert_int_equal(rate_take(t, RATE_KEY, key, &limit, 1, now), 5500);
    rate_table_destroy(t);
}

static void test_no_limit(void **state)
{
    struct rate_table *t = rate_table_create(NULL);
    struct rate_limit none = {0, 0};
    for (int i = 0; i < 1000; i++)
        assert_int_equal(rate_take(t, RATE_LOGIN, key, &none, 1, SECOND), 0);
    rate_table_destroy(t);
}

/* With many callers, the limited ones are kept, and the idle ones replaced. */
static void test_the_table_is_bounded(void **state)
{
    struct rate_table *t = rate_table_create(NULL);
    struct rate_limit slow = {0.001, 1}, fast = {1000, 1};
    char name[32];
    assert_int_equal(rate_take(t, RATE_LOGIN, key, &slow, 1, SECOND), 0);
    for (int i = 0; i < 500000; i++) {
        snprintf(name, sizeof name, "@%d:b", i);
        assert_int_equal(rate_take(t, RATE_LOGIN, str_of(name), &fast, 1, SECOND + i), 0);
    }
    assert_true(rate_take(t, RATE_LOGIN, key, &slow, 1, 2 * SECOND) > 990000);
    rate_table_destroy(t);
}

/* ---- between nodes ---- */

static const unsigned char secret[RATE_SECRET_BYTES] = "the same secret";
static const struct rate_limit slowly = {0.1, 16}; /* a token in 10 s */
static const int64_t begin = 1000LL * SECOND;

enum { NODES = 3 };

static struct rate_table *nodes[NODES];

static int start_nodes(void **state)
{
    for (int i = 0; i < NODES; i++)
        nodes[i] = rate_table_create(secret);
    return 0;
}

static int stop_nodes(void **state)
{
    for (int i = 0; i < NODES; i++)
        rate_table_destroy(nodes[i]);
    return 0;
}

static void take(int node, int n, int64_t now)
{
    assert_int_equal(rate_take(nodes[node], RATE_MESSAGE, key, &slowly, n, now), 0);
}

static int wait_at(int node, int64_t now)
{
    return rate_take(nodes[node], RATE_MESSAGE, key, &slowly, 1, now);
}

/* Each node's text goes to all nodes, its own too, as a notification does; how many there were. */
static int exchange(int64_t now)
{
    int n = 0;
    for (int i = 0; i < NODES; i++) {
        buf_auto struct buf text = {0};
        if (!rate_exchange_take(nodes[i], now, &text))
            continue;
        assert_true(text.n <= RATE_EXCHANGE_BYTES_MAX);
        for (int k = 0; k < NODES; k++)
            rate_exchange_apply(nodes[k], buf_str(&text), now);
        n++;
    }
    return n;
}

static void test_what_others_took_counts(void **state)
{
    take(0, 10, begin);
    take(1, 5, begin);
    assert_int_equal(exchange(begin), 2);
    assert_int_equal(exchange(begin), 0);
    for (int i = 0; i < NODES; i++) {
        take(i, 1, begin); /* the sixteenth */
        assert_int_equal(wait_at(i, begin), 10000);
    }
    assert_int_equal(rate_take(nodes[2], RATE_JOIN, key, &slowly, 1, begin), 0);
}

/* In the end N nodes allow as much as one, though each was asked all the time. */
static void test_over_time_the_limit_is_one(void **state)
{
    int64_t taken = 0, now = begin;
    for (; now < begin + 1000LL * SECOND; now += SECOND / 4) {
        for (int i = 0; i < NODES; i++)
            taken += wait_at(i, now) == 0;
        exchange(now);
    }
    int64_t of_one = 16 + (now - begin) / (10 * SECOND);
    assert_in_range(taken, of_one, of_one + 2 * NODES);
}

/* All of it at once, before the first exchange: the surplus is paid off. */
static void test_bursts_at_once_are_paid_off(void **state)
{
    for (int i = 0; i < NODES; i++)
        take(i, 16, begin);
    exchange(begin);
    for (int i = 0; i < NODES; i++)
        assert_int_equal(wait_at(i, begin), (2 * 16 + 1) * 10000);
}

static void test_little_is_not_exchanged(void **state)
{
    take(0, 1, begin);
    assert_int_equal(exchange(begin), 0);
    take(0, 1, begin); /* an eighth */
    assert_int_equal(exchange(begin), 1);
    take(1, 14, begin);
    assert_int_equal(wait_at(1, begin), 10000);
}

/* What was paid off before it was exchanged is not taken from the others. */
static void test_what_is_paid_off_is_not_exchanged(void **state)
{
    take(0, 4, begin);
    assert_int_equal(exchange(begin + 40 * SECOND), 0);
    take(0, 1, begin + 50 * SECOND);
    take(0, 1, begin + 61 * SECOND);
    assert_int_equal(exchange(begin + 61 * SECOND), 0);
}

static void test_what_is_given_back_counts(void **state)
{
    take(0, 16, begin);
    exchange(begin);
    rate_give_back(nodes[0], RATE_MESSAGE, key, &slowly, 4, begin);
    exchange(begin);
    take(1, 4, begin);
    assert_int_equal(wait_at(1, begin), 10000);
}

static void test_many_are_exchanged_in_parts(void **state)
{
    char name[32];
    int texts = 0;
    for (int i = 0; i < 1000; i++) {
        snprintf(name, sizeof name, "@%d:b", i);
        assert_int_equal(rate_take(nodes[0], RATE_LOGIN, str_of(name), &slowly, 16, begin), 0);
    }
    while (exchange(begin))
        texts++;
    assert_in_range(texts, 2, 6);
    for (int i = 0; i < 1000; i++) {
        snprintf(name, sizeof name, "@%d:b", i);
        assert_int_equal(rate_take(nodes[1], RATE_LOGIN, str_of(name), &slowly, 1, begin), 10000);
    }
}

static void test_what_is_not_for_this_table(void **state)
{
    struct rate_table *other = rate_table_create(NULL);
    buf_auto struct buf text = {0}, cut = {0};
    take(0, 16, begin);
    assert_true(rate_exchange_take(nodes[0], begin, &text));
    rate_exchange_apply(nodes[0], buf_str(&text), begin); /* its own */
    assert_int_equal(wait_at(0, begin), 10000);
    rate_exchange_apply(other, buf_str(&text), begin); /* another secret */
    assert_int_equal(rate_take(other, RATE_MESSAGE, key, &slowly, 16, begin), 0);
    buf_add_char(&cut, '2'); /* another format */
    buf_add(&cut, text.p + 1, text.n - 1);
    rate_exchange_apply(nodes[1], buf_str(&cut), begin);
    const char *colon = strrchr(text.p, ':');
    for (size_t n = 0; n <= (size_t)(colon - text.p) + 1; n++) /* cut off */
        rate_exchange_apply(nodes[1], (struct str){text.p, n}, begin);
    static const char *const bad[] = {"x", "-", "1x", "99999999999999", "-99999999999999", " "};
    for (size_t i = 0; i < COUNT(bad); i++) {
        buf_clear(&cut);
        buf_add(&cut, text.p, (size_t)(colon - text.p) + 1);
        buf_add_text(&cut, bad[i]);
        rate_exchange_apply(nodes[1], buf_str(&cut), begin);
    }
    take(1, 16, begin);
    rate_table_destroy(other);
}

#define BETWEEN(test) cmocka_unit_test_setup_teardown(test, start_nodes, stop_nodes)

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_bucket),
        cmocka_unit_test(test_buckets_are_apart),
        cmocka_unit_test(test_a_debt),
        cmocka_unit_test(test_owing),
        cmocka_unit_test(test_no_limit),
        cmocka_unit_test(test_the_table_is_bounded),
        BETWEEN(test_what_others_took_counts),
        BETWEEN(test_over_time_the_limit_is_one),
        BETWEEN(test_bursts_at_once_are_paid_off),
        BETWEEN(test_little_is_not_exchanged),
        BETWEEN(test_what_is_paid_off_is_not_exchanged),
        BETWEEN(test_what_is_given_back_counts),
        BETWEEN(test_many_are_exchanged_in_parts),
        BETWEEN(test_what_is_not_for_this_table),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
