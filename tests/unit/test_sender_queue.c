#include "federation/sender_internal.h"

#include "check.h"

static void add(struct destination *d, int64_t position)
{
    queue_add_locked(d, &(struct outgoing){.position = position});
}

static void check_queue(const char *proves, const struct destination *d, const char *wanted)
{
    buf_auto struct buf b = {0};
    for (size_t i = 0; i < d->n; i++)
        buf_printf(&b, "%lld ", (long long)d->queue[d->first + i].position);
    check_text(proves, buf_str(&b), wanted);
}

static void test_order(void **state)
{
    struct destination d = {0};
    add(&d, 10);
    add(&d, 20);
    check_queue("as they came", &d, "10 20 ");
    add(&d, 15);
    check_queue("what was looked up later stands where it belongs", &d, "10 15 20 ");
    add(&d, 15);
    add(&d, 20);
    check_queue("an event that concerns the server for two reasons stands once", &d, "10 15 20 ");
    queue_drop_until_locked(&d, 15);
    check_queue("what was acknowledged goes", &d, "20 ");
    add(&d, 5);
    check_queue("before all others", &d, "5 20 ");
    queue_drop_until_locked(&d, 4);
    check_queue("nothing was acknowledged", &d, "5 20 ");
    queue_clear_locked(&d);
    check_queue("empty", &d, "");
    add(&d, 1);
    check_queue("and used again", &d, "1 ");
    queue_clear_locked(&d);
}

/* A queue that is always long and moves on: its memory does not grow with what went through. */
static void test_moves_on_in_bounded_memory(void **state)
{
    struct destination d = {0};
    for (int64_t i = 1; i <= 100000; i++) {
        add(&d, i);
        queue_drop_until_locked(&d, i - 100);
        assert_true(d.n <= 100);
    }
    assert_true(d.room <= 512);
    assert_int_equal(d.queue[d.first].position, 99901);
    queue_clear_locked(&d);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_order),
        cmocka_unit_test(test_moves_on_in_bounded_memory),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
