#include "users/typing.h"
#include "users/users.h"

#include "base/clock.h"
#include "check.h"
#include "storage/db/feed.h"
#include "storage/job_pool.h"
#include "users/session.h"
#include "waiting.h"

#include <stdio.h>

enum { ROOM = 5, OTHER_ROOM = 6, ALICE = 1, BOB = 2 };

static struct storage storage;
static struct users own;
static struct node node = {.storage = &storage, .users = &own};

static int set_up(void **state)
{
    node.storage->feed = feed_create(64, 1 << 20, 0);
    node_pools_create(&node);
    node.users->sessions = session_table_create(&node);
    node.users->typing = typing_create(&node);
    return 0;
}

static int tear_down(void **state)
{
    typing_destroy(node.users->typing);
    session_table_destroy(node.users->sessions);
    node_pools_destroy(&node);
    feed_destroy(node.storage->feed);
    return 0;
}

static void check_typing(const char *proves, int64_t room, const char *ids)
{
    arena_auto struct arena *a = arena_create();
    buf_auto struct buf b = {0};
    const char *const *users;
    size_t n;
    typing_list(node.users->typing, a, room, NULL, &users, &n);
    typing_add_event(users, n, NULL, &b);
    check_text(proves, buf_str(&b),
               quoted(a, arena_printf(a, "{'type':'m.typing','content':{'user_ids':[%s]}}", ids)));
}

static void test_start_and_stop(void **state)
{
    struct typing *t = node.users->typing;
    int64_t rooms[4], before = typing_serial(t);
    assert_true(before > 1000000000000); /* so that it grows over restarts */
    assert_int_equal(typing_room_serial(t, ROOM), 0);
    check_typing("no user", ROOM, "");
    typing_set(t, ROOM, ALICE, "@alice:x", 60000);
    typing_set(t, ROOM, BOB, "@bob:x", 60000);
    check_typing("two type", ROOM, "'@alice:x','@bob:x'");
    check_typing("not elsewhere", OTHER_ROOM, "");
    int64_t serial = typing_serial(t);
    assert_int_equal(serial, before + 2);
    assert_int_equal(typing_room_serial(t, ROOM), serial);
    typing_set(t, ROOM, ALICE, "@alice:x", 60000);
    assert_int_equal(typing_serial(t), serial); /* typing on is no change */
    typing_set(t, OTHER_ROOM, ALICE, "@alice:x", 60000);
    assert_int_equal(typing_changed_since(t, before, rooms, 4), 2);
    assert_int_equal(rooms[0], OTHER_ROOM);
    assert_int_equal(rooms[1], ROOM);
    assert_int_equal(typing_changed_since(t, serial, rooms, 4), 1);
    assert_int_equal(typing_changed_since(t, before, rooms, 1), 1);
    typing_set(t, ROOM, ALICE, "@alice:x", 0);
    check_typing("one has stopped", ROOM, "'@bob:x'");
    serial = typing_serial(t);
    typing_set(t, ROOM, ALICE, "@alice:x", 0);
    assert_int_equal(typing_serial(t), serial);
}

static void test_time_is_up(void **state)
{
    struct typing *t = node.users->typing;
    typing_set(t, ROOM, ALICE, "@alice:x", 60000);
    typing_set(t, ROOM, BOB, "@bob:x", 30000);
    int64_t serial = typing_serial(t);
    clock_advance(30000);
    WAIT_UNTIL(typing_serial(t) != serial);
    check_typing("the other goes on", ROOM, "'@alice:x'");
    typing_set(t, ROOM, ALICE, "@alice:x", 20000); /* the newest timeout counts */
    serial = typing_serial(t);
    clock_advance(20000);
    WAIT_UNTIL(typing_serial(t) != serial);
    check_typing("all have stopped", ROOM, "");
}

struct notices {
    pthread_mutex_t mutex;
    int64_t room;
    char text[64]; /* "+@alice:x -@bob:x " */
};

static void note_notice(void *ctx, int64_t room, const char *user_id, bool typing)
{
    struct notices *t = ctx;
    pthread_mutex_lock(&t->mutex);
    size_t n = strlen(t->text);
    t->room = room;
    snprintf(t->text + n, sizeof t->text - n, "%c%s ", typing ? '+' : '-', user_id);
    pthread_mutex_unlock(&t->mutex);
}

static void check_notices(struct notices *t, const char *when, const char *expected)
{
    pthread_mutex_lock(&t->mutex);
    check_text(when, str_of(t->text), expected);
    assert_int_equal(t->room, ROOM);
    pthread_mutex_unlock(&t->mutex);
}

static bool has_heard(struct notices *t, const char *what)
{
    pthread_mutex_lock(&t->mutex);
    bool has = strstr(t->text, what) != NULL;
    pthread_mutex_unlock(&t->mutex);
    return has;
}

static void test_others_are_notified(void **state)
{
    struct typing *t = node.users->typing;
    struct notices notices = {.mutex = PTHREAD_MUTEX_INITIALIZER};
    typing_listen(t, note_notice, &notices);
    typing_set(t, ROOM, ALICE, "@alice:x", 60000);
    typing_set(t, ROOM, ALICE, "@alice:x", 60000);
    check_notices(&notices, "once, while she goes on", "+@alice:x ");
    typing_set(t, ROOM, BOB, "@bob:x", 50000);
    typing_set(t, ROOM, ALICE, "@alice:x", 0);
    typing_set(t, ROOM, ALICE, "@alice:x", 0);
    check_notices(&notices, "and of the end", "+@alice:x +@bob:x -@alice:x ");
    clock_advance(50000);
    WAIT_UNTIL(has_heard(&notices, "-@bob"));
    check_notices(&notices, "also when time is up", "+@alice:x +@bob:x -@alice:x -@bob:x ");
    typing_listen(t, NULL, NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_start_and_stop, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_time_is_up, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_others_are_notified, set_up, tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
