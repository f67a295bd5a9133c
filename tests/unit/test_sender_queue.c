#include "federation/out/sender_internal.h"

#include "base/clock.h"
#include "check.h"

#include <stdio.h>

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

/* A queue that is always long and moves on: its memory does not grow with the items that passed. */
static void test_moves_on_in_bounded_memory(void **state)
{
    struct destination d = {0};
    for (int64_t i = 1; i <= 100000; i++) {
        add(&d, i);
        queue_drop_until_locked(&d, i - 100);
        assert_true(d.n <= 100);
    }
    assert_true(d.cap <= 512);
    assert_int_equal(d.queue[d.first].position, 99901);
    queue_clear_locked(&d);
}

static void check_notices(const char *proves, const struct destination *d, const char *wanted)
{
    buf_auto struct buf b = {0};
    for (size_t i = 0; i < d->typing_n; i++)
        buf_printf(&b, "%c%s ", d->typing[i].typing ? '+' : '-', d->typing[i].user_id);
    check_text(proves, buf_str(&b), wanted);
}

static void test_typing_notices(void **state)
{
    struct destination d = {0};
    int64_t now = mono_ms();
    struct typing_notice alice = {1, now, "@alice:x", true}, bob = {1, now, "@bob:x", true};
    typing_put_locked(&d, &alice);
    typing_put_locked(&d, &bob);
    check_notices("both", &d, "+@alice:x +@bob:x ");
    struct typing_notice received = alice;
    alice.typing = false;
    typing_put_locked(&d, &alice);
    check_notices("the newest of each", &d, "-@alice:x +@bob:x ");
    typing_sent_locked(&d, &received);
    check_notices("notices newer than the sent ones stay", &d, "-@alice:x +@bob:x ");
    typing_sent_locked(&d, &alice);
    check_notices("sent notices are removed", &d, "+@bob:x ");
    bob.since = now - 60000;
    typing_put_locked(&d, &bob);
    typing_expire_locked(&d);
    check_notices("and so does what is over", &d, "");
    char name[] = "@000:x";
    for (int i = 0; i < 200; i++) {
        snprintf(name, sizeof name, "@%03d:x", i);
        typing_put_locked(&d, &(struct typing_notice){1, now, name, true});
    }
    assert_int_equal(d.typing_n, TYPING_MAX);
    while (d.typing_n)
        typing_sent_locked(&d, &d.typing[0]);
    free(d.typing);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_order),
        cmocka_unit_test(test_moves_on_in_bounded_memory),
        cmocka_unit_test(test_typing_notices),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
