#include "node_fixture.h"
#include "waiting.h"

#include "rooms/room_cache.h"
#include "users/session.h"

#include <stdatomic.h>

static struct author alice, bob, carol;

static int set_up(void **state)
{
    node_begin();
    alice = author_named("@alice:test.example");
    bob = author_named("@bob:test.example");
    carol = author_named("@carol:test.example");
    return 0;
}

static int tear_down(void **state)
{
    node_end();
    return 0;
}

/* A waiter that counts its wakes. */
struct sleeper {
    struct waiter waiter;
    _Atomic int wakes;
    _Atomic int64_t position; /* of the feed at the last wake */
};

static void wake(struct waiter *w)
{
    struct sleeper *s = (struct sleeper *)w;
    s->wakes++;
    s->position = feed_position(node_store()->storage->feed);
}

static struct session *open_session(struct job *job, const struct author *who)
{
    struct session *s;
    NO_ERR(session_open(job, who->user, who->user_id, &s));
    return s;
}

static void sleep_on(struct sleeper *z, struct session *s)
{
    *z = (struct sleeper){.waiter.wake = wake};
    session_subscribe(s, &z->waiter);
}

static void get_up(struct sleeper *z)
{
    z->waiter.leave(&z->waiter);
}

/* Was it woken since the last call, and was the log at the given position? */
static bool was_woken(struct sleeper *z)
{
    bool woken = z->wakes > 0;
    if (woken)
        assert_true(z->position >= feed_newest(node_store()->storage->feed));
    z->wakes = 0;
    return woken;
}

/* The first test: she has none yet. */
static void looking_for_a_session_makes_none(void **state)
{
    struct scope s;
    struct session *found;
    scope_init(&s, node_store());
    for (int i = 0; i < 2; i++) {
        NO_ERR(session_find(&s.job, carol.user, &found));
        assert_null(found);
    }
    const char *room = create_public_room(&s.job, &carol, "12");
    struct session *opened = open_session(&s.job, &carol);
    NO_ERR(session_find(&s.job, carol.user, &found));
    assert_ptr_equal(found, opened);
    struct room *r;
    NO_ERR(room_find(&s.job, room, &r));
    assert_true(session_is_joined(found, r->id));
    scope_finish(&s);
}

static void members_are_woken_others_are_not(void **state)
{
    struct scope s;
    struct sleeper a, b;
    const char *id;
    scope_init(&s, node_store());
    const char *room = create_public_room(&s.job, &alice, "12");
    sleep_on(&a, open_session(&s.job, &alice));
    sleep_on(&b, open_session(&s.job, &bob));

    NO_ERR(send_text(&s.job, room, &alice, "x", &id));
    assert_true(was_woken(&a) && !was_woken(&b));
    NO_ERR(set_membership(&s.job, room, &bob, "join"));
    assert_true(was_woken(&a) && was_woken(&b));
    NO_ERR(send_text(&s.job, room, &alice, "y", &id));
    assert_true(was_woken(&a) && was_woken(&b));
    NO_ERR(set_membership(&s.job, room, &bob, "leave"));
    assert_true(was_woken(&a) && was_woken(&b)); /* the user's own leave is still sent */
    NO_ERR(send_text(&s.job, room, &alice, "z", &id));
    assert_true(was_woken(&a) && !was_woken(&b));

    get_up(&a);
    NO_ERR(send_text(&s.job, room, &alice, "z", &id));
    assert_false(was_woken(&a));
    get_up(&b);
    scope_finish(&s);
}

/* The rooms that changed, by the session's memory; -1: it does not reach back so far. */
/* Peeking: users who follow a room without being in it. */
static void waiters_of_a_room_are_woken_for_it(void **state)
{
    struct scope s;
    struct sleeper a, b, other;
    const char *id;
    struct room *r;
    scope_init(&s, node_store());
    const char *room = create_public_room(&s.job, &alice, "12");
    const char *elsewhere = create_public_room(&s.job, &alice, "12");
    NO_ERR(room_find(&s.job, room, &r));
    struct session *session = open_session(&s.job, &bob);
    sleep_on(&a, session);
    sleep_on(&b, session);
    sleep_on(&other, open_session(&s.job, &carol));
    session_await_room(session, &a.waiter, r->id);
    session_await_room(session, &b.waiter, r->id);
    session_await_room(session, &b.waiter, r->id); /* it runs again, and waits for more */

    NO_ERR(send_text(&s.job, elsewhere, &alice, "x", &id));
    assert_false(was_woken(&a) || was_woken(&b));
    NO_ERR(send_text(&s.job, room, &alice, "x", &id));
    assert_true(was_woken(&a) && was_woken(&b));
    get_up(&b);
    NO_ERR(send_text(&s.job, room, &alice, "x", &id));
    assert_true(was_woken(&a) && !was_woken(&b));
    get_up(&a);

    sleep_on(&a, session); /* for other things */
    NO_ERR(send_text(&s.job, room, &alice, "x", &id));
    assert_false(was_woken(&a) || was_woken(&other));
    get_up(&a);
    get_up(&other);
    scope_finish(&s);
}

static int changed_rooms(struct job *job, struct session *s, int64_t since)
{
    const struct session_room *list;
    size_t n;
    return session_rooms_changed_since(job, s, since, &list, &n) ? (int)n : -1;
}

static void changed_rooms_are_remembered(void **state)
{
    struct scope s;
    const char *id, *rooms[3];
    scope_init(&s, node_store());
    for (int i = 0; i < 3; i++)
        rooms[i] = create_public_room(&s.job, &alice, "12");
    struct session *session = open_session(&s.job, &alice);
    int64_t start = feed_position(node_store()->storage->feed);
    assert_int_equal(changed_rooms(&s.job, session, start), 0);
    NO_ERR(send_text(&s.job, rooms[0], &alice, "x", &id));
    int64_t middle = feed_position(node_store()->storage->feed);
    NO_ERR(send_text(&s.job, rooms[1], &alice, "x", &id));
    NO_ERR(send_text(&s.job, rooms[1], &alice, "x", &id));
    assert_int_equal(changed_rooms(&s.job, session, start), 2);
    assert_int_equal(changed_rooms(&s.job, session, middle), 1);
    for (int i = 0; i < 200; i++)
        NO_ERR(send_text(&s.job, rooms[2], &alice, "x", &id));
    assert_int_equal(changed_rooms(&s.job, session, start), -1);
    assert_int_equal(
        changed_rooms(&s.job, session, feed_position(node_store()->storage->feed) - 50), 1);
    scope_finish(&s);
}

/* A change of a user that is sent to those who share rooms is no change of those rooms. */
static void changes_of_users_do_not_hide_those_of_rooms(void **state)
{
    struct scope s;
    const char *id;
    scope_init(&s, node_store());
    const char *room = create_public_room(&s.job, &alice, "12");
    NO_ERR(set_membership(&s.job, room, &bob, "join"));
    struct session *session = open_session(&s.job, &alice);
    struct sleeper z;
    int64_t since = feed_position(node_store()->storage->feed);
    NO_ERR(send_text(&s.job, room, &alice, "x", &id));
    sleep_on(&z, session);
    struct change c = {.kind = CHANGE_PROFILE, .user = bob.user};
    NO_ERR(session_fill_audience(&s.job, &c));
    assert_true(c.local.audience_n >= 1);
    struct write *w = write_begin(&s.job);
    write_change(w, &c);
    NO_ERR(write_commit(&s.job, w, NULL));
    assert_true(was_woken(&z));
    assert_int_equal(changed_rooms(&s.job, session, since), 1);
    assert_int_equal(changed_rooms(&s.job, session, feed_position(node_store()->storage->feed)), 0);
    get_up(&z);
    scope_finish(&s);
}

static void session_write_forgotten(struct job *job, int64_t room)
{
    struct write *w = write_begin(job);
    members_write_forgotten(w, room, bob.user);
    NO_ERR(write_commit(job, w, NULL));
}

static bool session_is_forgotten(struct job *job, int64_t room)
{
    struct session_room of_session;
    bool is_remembered;
    assert_true(session_get_room(open_session(job, &bob), room, &of_session));
    NO_ERR(members_remember(job_tx(job), room, bob.user, &is_remembered));
    assert_int_equal(of_session.forgotten, !is_remembered);
    return of_session.forgotten;
}

static void only_rooms_that_were_left_are_forgotten(void **state)
{
    static const struct {
        const char *membership;
        bool is_forgotten;
    } rows[] = {{"join", false}, {"leave", true}, {"join", false}, {"ban", true}};
    struct scope s;
    scope_init(&s, node_store());
    const char *room_id = create_public_room(&s.job, &alice, "12");
    int64_t room = room_named(&s.job, room_id)->id;
    struct sleeper z;
    sleep_on(&z, open_session(&s.job, &bob));
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        NO_ERR(set_membership(&s.job, room_id, &bob, rows[i].membership));
        assert_false(session_is_forgotten(&s.job, room));
        was_woken(&z);
        session_write_forgotten(&s.job, room);
        assert_int_equal(session_is_forgotten(&s.job, room), rows[i].is_forgotten);
        assert_false(was_woken(&z));
    }
    get_up(&z);
    scope_finish(&s);
}

static void a_reset_wakes_all_sessions_and_reads_anew(void **state)
{
    struct scope s;
    struct sleeper z;
    const char *id;
    scope_init(&s, node_store());
    const char *room_id = create_public_room(&s.job, &alice, "12");
    struct room *room = room_named(&s.job, room_id);
    struct session *session = open_session(&s.job, &bob);
    assert_false(session_is_joined(session, room->id));
    sleep_on(&z, session);
    /* another process let bob join: this one was not notified */
    char sql[512];
    snprintf(sql, sizeof sql,
             "INSERT INTO room_members (room, \"user\", membership, event, is_local) "
             "VALUES (%lld, %lld, 1, 1, true); UPDATE log_head SET position = position + 1",
             (long long)room->id, (long long)bob.user);
    pg_must("foreign", pg_command(pg_uri(), sql));
    NO_ERR(send_text(&s.job, create_public_room(&s.job, &alice, "12"), &alice, "x", &id));
    assert_true(z.wakes > 0);
    z.wakes = 0;
    assert_true(session_is_joined(open_session(&s.job, &bob), room->id));
    NO_ERR(send_text(&s.job, room_id, &alice, "x", &id));
    assert_true(was_woken(&z)); /* the room is watched from now on */
    get_up(&z);
    scope_finish(&s);
}

static void lazily_loaded_members_are_sent_once(void **state)
{
    enum { DEVICE = 1, OTHER = 2, ROOM = 3, MEMBER = 4 };
    struct scope s;
    scope_init(&s, node_store());
    struct session *session = open_session(&s.job, &alice);
    assert_true(session_member_is_new(session, DEVICE, 100, ROOM, MEMBER, 7));
    assert_false(session_member_is_new(session, DEVICE, 100, ROOM, MEMBER, 7));
    assert_true(session_member_is_new(session, OTHER, 100, ROOM, MEMBER, 7));
    assert_true(session_member_is_new(session, DEVICE, 100, ROOM, MEMBER, 8)); /* changed */
    assert_true(session_member_is_new(session, DEVICE, 100, ROOM + 1, MEMBER, 7));
    session_begin_reply(session, DEVICE, 101); /* the reply arrived */
    assert_false(session_member_is_new(session, DEVICE, 101, ROOM, MEMBER, 8));
    session_begin_reply(session, DEVICE, 101); /* this one did not */
    assert_true(session_member_is_new(session, DEVICE, 101, ROOM, MEMBER, 8));
    assert_false(session_member_is_new(session, OTHER, 100, ROOM, MEMBER, 7));
    scope_finish(&s);
}

/* Whatever their hashes are. */
static void a_few_lazily_loaded_members_are_never_sent_twice(void **state)
{
    enum { DEVICES = 300, ROOM = 3, MEMBERS = 8 };
    struct scope s;
    scope_init(&s, node_store());
    struct session *session = open_session(&s.job, &bob);
    for (int device = 1; device <= DEVICES; device++)
        for (int turn = 0; turn < 2; turn++)
            for (int member = 1; member <= MEMBERS; member++)
                assert_int_equal(
                    session_member_is_new(session, device, 100, ROOM + device, member, 7),
                    turn == 0);
    scope_finish(&s);
}

/* ---- opening while things change ---- */

struct churn {
    const char *room_id;
    _Atomic bool done;
    _Atomic int64_t wrong;
};

/* Number 0 joins and leaves; the others reopen their session, as after a reset. */
static void come_and_go(void *ctx, int number)
{
    struct churn *c = ctx;
    struct scope s;
    for (int i = 0; number == 0 && i < 30; i++) {
        scope_init(&s, node_store());
        pg_must("join", set_membership(&s.job, c->room_id, &bob, "join"));
        if (i < 29)
            pg_must("leave", set_membership(&s.job, c->room_id, &bob, "leave"));
        scope_finish(&s);
    }
    if (number == 0)
        c->done = true;
    while (number > 0 && !c->done) {
        scope_init(&s, node_store());
        if (number == 1) /* as if another process had written */
            pg_must("foreign", pg_command(pg_uri(), "UPDATE log_head SET position = position + 1"));
        open_session(&s.job, &bob);
        scope_finish(&s);
        wait_briefly();
    }
}

static void no_membership_is_missed_while_loading(void **state)
{
    struct scope s;
    scope_init(&s, node_store());
    struct churn c = {.room_id = create_public_room(&s.job, &alice, "12")};
    struct room *room = room_named(&s.job, c.room_id);
    crowd_run(5, come_and_go, &c);
    struct session *session = open_session(&s.job, &bob);
    struct sleeper z;
    const char *id;
    assert_true(session_is_joined(session, room->id));
    sleep_on(&z, session);
    NO_ERR(send_text(&s.job, c.room_id, &alice, "x", &id));
    assert_true(was_woken(&z));
    get_up(&z);
    scope_finish(&s);
}

/* Their clients get an empty reply: no user parks more than a share. */
static void the_oldest_of_too_many_waiters_is_displaced(void **state)
{
    enum { MORE = 3, ALL = SESSION_WAITERS_MAX + MORE };
    static struct sleeper sleepers[ALL];
    struct scope scope;
    scope_init(&scope, node_store());
    struct session *s = open_session(&scope.job, &alice);
    for (size_t i = 0; i < ALL; i++)
        sleep_on(&sleepers[i], s);
    for (size_t i = 0; i < ALL; i++) {
        assert_int_equal(sleepers[i].waiter.is_displaced, i < MORE);
        assert_int_equal(sleepers[i].wakes, i < MORE);
    }
    session_subscribe(s, &sleepers[0].waiter); /* it runs again, to answer */
    for (size_t i = 0; i < ALL; i++)
        get_up(&sleepers[i]);
    for (size_t i = 0; i < SESSION_WAITERS_MAX; i++)
        sleep_on(&sleepers[i], s); /* there is space again for as many */
    assert_false(sleepers[0].waiter.is_displaced);
    for (size_t i = 0; i < SESSION_WAITERS_MAX; i++)
        get_up(&sleepers[i]);
    scope_finish(&scope);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(looking_for_a_session_makes_none),
        cmocka_unit_test(members_are_woken_others_are_not),
        cmocka_unit_test(waiters_of_a_room_are_woken_for_it),
        cmocka_unit_test(the_oldest_of_too_many_waiters_is_displaced),
        cmocka_unit_test(changed_rooms_are_remembered),
        cmocka_unit_test(changes_of_users_do_not_hide_those_of_rooms),
        cmocka_unit_test(only_rooms_that_were_left_are_forgotten),
        cmocka_unit_test(a_reset_wakes_all_sessions_and_reads_anew),
        cmocka_unit_test(lazily_loaded_members_are_sent_once),
        cmocka_unit_test(a_few_lazily_loaded_members_are_never_sent_twice),
        cmocka_unit_test(no_membership_is_missed_while_loading),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
