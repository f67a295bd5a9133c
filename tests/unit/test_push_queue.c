/* What a pusher is to send (server/push/push_queue.c), and the request (push_body.c). */
#include "event_fixture.h"

#include "base/clock.h"
#include "base/mem.h"
#include "server/push/push_internal.h"
#include "users/receipts.h"

static struct arena *arena;

/* must_save: so that nothing is scheduled. */
static struct pushes pushes = {.must_save = true};

static void add(struct live_pusher *x, int64_t position, int64_t room, int64_t thread)
{
    const struct room_version *v = room_version_find("11");
    const struct event *e = build(arena, v, "m.room.message", NULL, "{'body':'x'}");
    struct push_notice *n = push_notice_create(
        &(struct push_seen){.position = position, .room = room, .thread = thread, .event = e});
    push_queue_add_locked(&pushes, x, n, NULL, false);
    push_notice_unref_locked(&pushes, n);
}

static void check_front(const char *proves, struct live_pusher *x, int64_t wanted)
{
    const struct push_item *i = push_queue_front_locked(&pushes, x);
    if ((i ? i->notice->position : 0) != wanted)
        fail_msg("%s: %lld", proves, (long long)(i ? i->notice->position : 0));
}

static void check_cursor(const char *proves, const struct live_pusher *x, int64_t wanted,
                         bool wanted_behind)
{
    bool is_behind;
    int64_t position = push_queue_cursor_locked(x, &is_behind);
    if (position != wanted || is_behind != wanted_behind)
        fail_msg("%s: %lld %d", proves, (long long)position, is_behind);
}

static void the_cursor_is_before_what_waits(void **state)
{
    struct live_pusher x = {.sent = 5};
    check_cursor("nothing waits", &x, 5, false);
    add(&x, 10, 1, 0);
    add(&x, 20, 1, 0);
    check_cursor("two wait", &x, 9, true);
    push_queue_pop_locked(&pushes, &x);
    check_cursor("one was sent", &x, 19, true);
    push_queue_pop_locked(&pushes, &x);
    check_cursor("both were", &x, 20, false);
    assert_int_equal(pushes.notices.n, 0);
    assert_int_equal(pushes.notices_bytes, 0);
}

static void what_does_not_fit_is_behind(void **state)
{
    struct live_pusher x = {0};
    for (int i = 1; i <= PUSH_QUEUE_MAX; i++)
        add(&x, i * 10, 1, 0);
    assert_int_equal(x.behind, 0);
    add(&x, 1000, 1, 0);
    assert_int_equal(x.behind, PUSH_QUEUE_MAX * 10);
    assert_int_equal(x.n, PUSH_QUEUE_MAX);
    push_queue_clear_locked(&pushes, &x);
    check_cursor("the rest is in the database", &x, PUSH_QUEUE_MAX * 10, true);
}

static void what_was_looked_up_comes_first(void **state)
{
    struct live_pusher x = {.catching_up = 5};
    add(&x, 100, 1, 0);
    add(&x, 10, 1, 0);
    add(&x, 20, 1, 0);
    add(&x, 20, 1, 0);
    assert_int_equal(x.n, 3);
    check_front("the oldest", &x, 10);
    check_cursor("until all was looked up", &x, 5, true);
    x.catching_up = 0;
    check_cursor("before the oldest", &x, 9, true);
    push_queue_cut_locked(&pushes, &x, 20);
    assert_int_equal(x.n, 2);
    assert_int_equal(x.behind, 20);
    push_queue_clear_locked(&pushes, &x);
    assert_int_equal(pushes.notices.n, 0);
}

static void what_comes_between_takes_no_space_of_what_is_older(void **state)
{
    struct live_pusher x = {0};
    for (int i = 1; i <= PUSH_QUEUE_MAX; i++)
        add(&x, 100 + i, 1, 0);
    add(&x, 50, 1, 0);
    check_cursor("all is looked up again", &x, 49, true);
    assert_int_equal(x.n, 0);
}

static void a_receipt_drops_what_it_covers(void **state)
{
    struct live_pusher x = {0};
    add(&x, 10, 1, 0);
    add(&x, 20, 2, 0);
    add(&x, 30, 1, 7);
    add(&x, 40, 1, 0);
    push_queue_read_locked(&x, 1, RECEIPT_OF_MAIN, 35);
    check_front("of the main timeline: another room stays", &x, 20);
    push_queue_pop_locked(&pushes, &x);
    check_front("a thread stays", &x, 30);
    push_queue_read_locked(&x, 1, 7, 35);
    check_front("the thread was read", &x, 40);
    push_queue_read_locked(&x, 1, 0, 40);
    check_front("all was read", &x, 0);
    assert_int_equal(x.n, 0);
}

static void what_was_redacted_is_dropped(void **state)
{
    struct live_pusher x = {0};
    add(&x, 10, 1, 0);
    add(&x, 20, 1, 0);
    struct push_notice *n = map_get_int(&pushes.notices, 10);
    n->is_redacted = true;
    check_front("the first", &x, 20);
    push_queue_clear_locked(&pushes, &x);
}

static void what_makes_a_sound_or_may_do_so_has_priority(void **state)
{
    assert_false(push_body_is_high(false, false));
    assert_true(push_body_is_high(true, false));
    assert_true(push_body_is_high(false, true));
}

static void tweaks_are_those_of_the_actions(void **state)
{
    static const struct {
        const char *actions, *wanted;
    } rows[] = {
        {"['notify']", "{}"},
        {"['notify',{'set_tweak':'sound','value':'ring'}]", "{'sound':'ring'}"},
        {"[{'set_tweak':'highlight'}]", "{'highlight':true}"},
        {"[{'set_tweak':'highlight','value':false},{'set_tweak':'x','value':{'a':1}}]",
         "{'highlight':false,'x':{'a':1}}"},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        json_t *actions;
        buf_auto struct buf out = {0};
        assert_null(json_read(arena, str_of(quoted(arena, rows[i].actions)), &actions));
        push_body_tweaks(actions, &out);
        check_text(rows[i].actions, buf_str(&out), quoted(arena, rows[i].wanted));
    }
}

static int set_up(void **state)
{
    arena = arena_create();
    return 0;
}

static int tear_down(void **state)
{
    map_finish(&pushes.notices);
    free(pushes.dirty);
    arena_destroy(arena);
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_cursor_is_before_what_waits),
        cmocka_unit_test(what_does_not_fit_is_behind),
        cmocka_unit_test(what_was_looked_up_comes_first),
        cmocka_unit_test(what_comes_between_takes_no_space_of_what_is_older),
        cmocka_unit_test(a_receipt_drops_what_it_covers),
        cmocka_unit_test(what_was_redacted_is_dropped),
        cmocka_unit_test(what_makes_a_sound_or_may_do_so_has_priority),
        cmocka_unit_test(tweaks_are_those_of_the_actions),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
