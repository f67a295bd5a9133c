#include "server/account/attempts.h"

#include "check.h"
#include "http/rate.h"

#define SECOND INT64_C(1000000)

static const int64_t begin = 1000 * SECOND;
static struct rate_table *table;

static enum queue_order order(struct arena *a, int user, const char *network, int64_t now_us)
{
    return attempts_order(table, a, arena_printf(a, "@user%d:test.example", user), network, now_us);
}

/* Many networks try passwords all the time: soon none of theirs goes before that of a new one. */
static void networks_that_fail_go_ahead_no_more(void **state)
{
    arena_auto struct arena *a = arena_create();
    int user = 0, ahead = 0;
    for (int network = 0; network < 256; network++)
        for (int i = 0; i < ATTEMPTS_FAILED; i++)
            assert_int_equal(order(a, user++, arena_printf(a, "10.0.0.%d", network), begin),
                             ORDER_AHEAD);
    for (int64_t s = 1; s <= ATTEMPTS_FAILED_S / 2; s++)
        for (int network = 0; network < 256; network += 16)
            ahead += order(a, user++, arena_printf(a, "10.0.0.%d", network), begin + s * SECOND) ==
                     ORDER_AHEAD;
    assert_int_equal(ahead, 0);
    assert_int_equal(order(a, user++, "10.0.1.0", begin + SECOND), ORDER_AHEAD);
    assert_int_equal(order(a, user++, "10.0.0.1", begin + (ATTEMPTS_FAILED_S + 1) * SECOND),
                     ORDER_AHEAD);
}

static void who_succeeds_has_not_failed(void **state)
{
    arena_auto struct arena *a = arena_create();
    for (int user = 10000; user < 10100; user++) {
        assert_int_equal(order(a, user, "10.1.0.1", begin), ORDER_AHEAD);
        attempts_give_back(table, a, "10.1.0.1", begin);
    }
    for (int user = 10100; user < 10100 + ATTEMPTS_FAILED;
         user++) /* and gathers no more than that */
        assert_int_equal(order(a, user, "10.1.0.1", begin), ORDER_AHEAD);
    assert_int_equal(order(a, 10200, "10.1.0.1", begin), ORDER_USUAL);
}

/* What is refused for the account takes nothing from its network. */
static void one_account_is_tried_seldom(void **state)
{
    arena_auto struct arena *a = arena_create();
    for (int i = 0; i < 20; i++)
        assert_int_equal(order(a, 20000, arena_printf(a, "10.2.0.%d", i), begin),
                         i < ATTEMPTS_RARE ? ORDER_AHEAD : ORDER_USUAL);
    for (int user = 20001; user < 20001 + ATTEMPTS_FAILED; user++)
        assert_int_equal(order(a, user, "10.2.0.19", begin), ORDER_AHEAD);
    assert_int_equal(order(a, 20000, "10.2.0.20", begin + ATTEMPTS_RARE_S * SECOND), ORDER_AHEAD);
}

/* Attempts at one node count at the others. */
static void nodes_share_attempts(void **state)
{
    arena_auto struct arena *a = arena_create();
    buf_auto struct buf text = {0};
    unsigned char secret[RATE_SECRET_BYTES] = "the same secret";
    struct rate_table *here = rate_table_create(secret), *there = rate_table_create(secret);
    for (int i = 0; i < ATTEMPTS_RARE; i++)
        assert_int_equal(attempts_order(here, a, "@a:b", arena_printf(a, "10.3.0.%d", i), begin),
                         ORDER_AHEAD);
    assert_true(rate_exchange_take(here, begin, &text));
    rate_exchange_apply(there, buf_str(&text), begin);
    assert_int_equal(attempts_order(there, a, "@a:b", "10.3.1.0", begin), ORDER_USUAL);
    assert_int_equal(attempts_order(there, a, "@c:b", "10.3.1.0", begin), ORDER_AHEAD);
    rate_table_destroy(here);
    rate_table_destroy(there);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(networks_that_fail_go_ahead_no_more),
        cmocka_unit_test(who_succeeds_has_not_failed),
        cmocka_unit_test(one_account_is_tried_seldom),
        cmocka_unit_test(nodes_share_attempts),
    };
    table = rate_table_create(NULL);
    int failed = cmocka_run_group_tests(tests, NULL, NULL);
    rate_table_destroy(table);
    return failed;
}
