#include "users/typing.h"
#include "users/users.h"

#include "base/clock.h"
#include "check.h"
#include "storage/db/feed.h"
#include "storage/job_pool.h"
#include "users/session.h"
#include "waiting.h"

#include <stdio.h>

enum { ROOM = 5, OTHER_ROOM = 6, ALICE = 1, BOB = 2, END = 1000 };

static struct storage storage;
static struct users own;
static struct node node = {.storage = &storage, .users = &own};

/* While the node is alone, which needs no database. */
static void set(int64_t room, int64_t user, const char *user_id, int timeout_ms)
{
    arena_auto struct arena *a = arena_create();
    struct job job;
    job_init(&job, &node, a);
    assert_null(typing_set(&job, room, user, user_id, timeout_ms));
    job_finish(&job);
}

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

/* For a reader who has seen this, and reads up to END. */
static bool has_changed(int64_t room, int64_t position, int64_t serial)
{
    return typing_has_changed(node.users->typing, room, &(struct typing_place){position, serial},
                              &(struct typing_place){END, INT64_MAX});
}

static size_t changed_since(int64_t position, int64_t serial, int64_t *ret_rooms, size_t max)
{
    return typing_changed_since(node.users->typing, &(struct typing_place){position, serial},
                                ret_rooms, max);
}

static void test_start_and_stop(void **state)
{
    struct typing *t = node.users->typing;
    int64_t rooms[4], before = typing_serial(t);
    assert_true(before > 1000000000000); /* so that it grows over restarts */
    assert_false(has_changed(ROOM, 0, 0));
    check_typing("no user", ROOM, "");
    set(ROOM, ALICE, "@alice:x", 60000);
    set(ROOM, BOB, "@bob:x", 60000);
    check_typing("two type", ROOM, "'@alice:x','@bob:x'");
    check_typing("not elsewhere", OTHER_ROOM, "");
    int64_t serial = typing_serial(t);
    assert_int_equal(serial, before + 2);
    assert_true(has_changed(ROOM, END, serial - 1) && !has_changed(ROOM, END, serial));
    set(ROOM, ALICE, "@alice:x", 60000);
    assert_int_equal(typing_serial(t), serial); /* typing on is no change */
    set(OTHER_ROOM, ALICE, "@alice:x", 60000);
    assert_int_equal(changed_since(END, before, rooms, 4), 2);
    assert_int_equal(rooms[0], OTHER_ROOM);
    assert_int_equal(rooms[1], ROOM);
    assert_int_equal(changed_since(END, serial, rooms, 4), 1);
    assert_int_equal(changed_since(END, before, rooms, 1), 1);
    set(ROOM, ALICE, "@alice:x", 0);
    check_typing("one has stopped", ROOM, "'@bob:x'");
    serial = typing_serial(t);
    set(ROOM, ALICE, "@alice:x", 0);
    assert_int_equal(typing_serial(t), serial);
}

static void test_time_is_up(void **state)
{
    struct typing *t = node.users->typing;
    set(ROOM, ALICE, "@alice:x", 60000);
    set(ROOM, BOB, "@bob:x", 30000);
    int64_t serial = typing_serial(t);
    clock_advance(30000);
    WAIT_UNTIL(typing_serial(t) != serial);
    check_typing("the other goes on", ROOM, "'@alice:x'");
    set(ROOM, ALICE, "@alice:x", 20000); /* the newest timeout counts */
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
    set(ROOM, ALICE, "@alice:x", 60000);
    set(ROOM, ALICE, "@alice:x", 60000);
    check_notices(&notices, "once, while she goes on", "+@alice:x ");
    set(ROOM, BOB, "@bob:x", 50000);
    set(ROOM, ALICE, "@alice:x", 0);
    set(ROOM, ALICE, "@alice:x", 0);
    check_notices(&notices, "and of the end", "+@alice:x +@bob:x -@alice:x ");
    clock_advance(50000);
    WAIT_UNTIL(has_heard(&notices, "-@bob"));
    check_notices(&notices, "also when time is up", "+@alice:x +@bob:x -@alice:x -@bob:x ");
    typing_listen(t, NULL, NULL);
}

/* ---- in the log ---- */

static void apply(const struct change *c)
{
    typing_on_changes(node.users->typing, c, 1);
}

/* What other nodes wrote. */
static void hear(int64_t position, int64_t user, const char *user_id, int64_t until, bool repeated)
{
    apply(&(struct change){.kind = CHANGE_TYPING,
                           .position = position,
                           .room = ROOM,
                           .user = user,
                           .typing = {user_id, until, repeated},
                           .local.is_foreign = true});
}

static void a_change_is_seen_with_its_position(void **state)
{
    int64_t rooms[4], now = now_ms();
    hear(10, ALICE, "@alice:x", now + 30000, false);
    check_typing("as the log says", ROOM, "'@alice:x'");
    assert_true(has_changed(ROOM, 9, INT64_MAX) && !has_changed(ROOM, 10, INT64_MAX));
    const struct typing_place seen = {8, now}, before = {9, INT64_MAX};
    assert_false(typing_has_changed(node.users->typing, ROOM, &seen, &before));
    assert_int_equal(changed_since(9, INT64_MAX, rooms, 4), 1);
    assert_int_equal(changed_since(9, 0, rooms, 4), 1);
    assert_int_equal(changed_since(10, INT64_MAX, rooms, 4), 0);
    hear(11, ALICE, "@alice:x", now + 40000, true);
    assert_false(has_changed(ROOM, 10, INT64_MAX)); /* she types on */
    hear(12, BOB, "@bob:x", now + 40000, true);
    assert_true(has_changed(ROOM, 11, INT64_MAX)); /* this node came later */
    hear(13, ALICE, "@alice:x", 0, false);
    check_typing("one has stopped", ROOM, "'@bob:x'");
    assert_true(has_changed(ROOM, 12, INT64_MAX));
    hear(14, ALICE, "@alice:x", 0, false);
    assert_true(has_changed(ROOM, 13, INT64_MAX)); /* readers may know of her from elsewhere */
}

static void an_end_is_seen_with_its_time(void **state)
{
    struct typing *t = node.users->typing;
    int64_t until = now_ms() + 30000;
    hear(10, ALICE, "@alice:x", until, false);
    assert_in_range(typing_serial(t), until - 31000, until - 1);
    assert_false(has_changed(ROOM, 10, until - 30000));
    clock_advance(30000);
    WAIT_UNTIL(has_changed(ROOM, 10, until - 1));
    assert_false(has_changed(ROOM, 10, until)); /* of another node's token, too */
    const struct typing_place seen = {10, until - 2}, before = {10, until - 1};
    assert_false(typing_has_changed(t, ROOM, &seen, &before)); /* the next time */
    check_typing("none any more", ROOM, "");
    assert_in_range(typing_serial(t), until, until + 60000);
}

static void an_end_may_come_after_its_time(void **state)
{
    int64_t until = now_ms() - 10;
    hear(10, ALICE, "@alice:x", until, false);
    check_typing("it is over", ROOM, "");
    assert_true(has_changed(ROOM, 9, INT64_MAX)); /* who has not read that she typed */
    assert_true(has_changed(ROOM, 10, until - 1));
    hear(11, ALICE, "@alice:x", now_ms() + 24 * 3600 * 1000, false);
    check_typing("none types for a day", ROOM, "");
}

static void a_token_of_another_node_is_not_taken_back(void **state)
{
    struct typing *t = node.users->typing;
    int64_t mine = typing_serial(t);
    assert_int_equal(typing_serial_after(t, mine + 500), mine); /* alone */
    hear(10, ALICE, "@alice:x", mine + 120000, false);
    mine = typing_serial(t);
    assert_int_equal(typing_serial_after(t, mine + 30000), mine + 30000);
    assert_in_range(typing_serial_after(t, mine + 3600000), mine, mine + 59000);
    assert_in_range(typing_serial_after(t, 5), mine, mine + 59000);
}

static void serials_grow_from_one_to_the_other(void **state)
{
    int64_t until = now_ms() + 1000;
    hear(10, ALICE, "@alice:x", until, false);
    clock_advance(60000);
    WAIT_UNTIL(has_changed(ROOM, 10, until - 1));
    set(ROOM, BOB, "@bob:x", 60000); /* alone again */
    assert_true(has_changed(ROOM, 10, until + 58000));
    assert_false(has_changed(ROOM, 10, typing_serial(node.users->typing)));
}

static void missed_changes_end_what_was_in_the_log(void **state)
{
    set(ROOM, BOB, "@bob:x", 60000);
    hear(10, ALICE, "@alice:x", now_ms() + 30000, false);
    feed_reset(node.storage->feed, 20);
    typing_on_changes(node.users->typing, NULL, 0);
    check_typing("this node's own", ROOM, "'@bob:x'");
    assert_true(has_changed(ROOM, 19, INT64_MAX) && !has_changed(ROOM, 20, INT64_MAX));
}

static void other_servers_are_notified_by_all_nodes(void **state)
{
    struct typing *t = node.users->typing;
    struct notices notices = {.mutex = PTHREAD_MUTEX_INITIALIZER};
    int64_t now = now_ms();
    typing_listen(t, note_notice, &notices);
    hear(10, ALICE, "@alice:x", now + 30000, false);
    hear(11, ALICE, "@alice:x", now + 40000, true);
    check_notices(&notices, "once, while she goes on", "+@alice:x ");
    hear(12, ALICE, "@alice:x", 0, false);
    hear(13, BOB, "@bob:x", now + 50000, false);
    clock_advance(50000);
    WAIT_UNTIL(has_heard(&notices, "-@bob"));
    check_notices(&notices, "and of the ends", "+@alice:x -@alice:x +@bob:x -@bob:x ");
    typing_listen(t, NULL, NULL);
}

#define WITH_NODE(test) cmocka_unit_test_setup_teardown(test, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_start_and_stop, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_time_is_up, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_others_are_notified, set_up, tear_down),
        WITH_NODE(a_change_is_seen_with_its_position),
        WITH_NODE(an_end_is_seen_with_its_time),
        WITH_NODE(an_end_may_come_after_its_time),
        WITH_NODE(a_token_of_another_node_is_not_taken_back),
        WITH_NODE(serials_grow_from_one_to_the_other),
        WITH_NODE(missed_changes_end_what_was_in_the_log),
        WITH_NODE(other_servers_are_notified_by_all_nodes),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
