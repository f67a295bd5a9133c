#include "node_with_alice.h"
#include "waiting.h"

#include "rooms/room_cache.h"
#include "storage/rooms/events.h"
#include "storage/rooms/room_state.h"

#include <stdatomic.h>

enum { THREADS = 16, SENT_EACH = 12 };

struct crowd {
    const char *room_id;
    _Atomic int64_t failed, sent;
};

static void join_and_send(void *ctx, int number)
{
    struct crowd *c = ctx;
    struct scope s;
    scope_init(&s, node_store());
    struct author me = author_named(arena_printf(s.arena, "@user%d:test.example", number));
    c->failed += set_membership(&s.job, c->room_id, &me, "join") != NULL;
    for (int i = 0; i < SENT_EACH; i++) {
        const char *id;
        const struct err *e = send_text(&s.job, c->room_id, &me, "hello", &id);
        *(e ? &c->failed : &c->sent) += 1;
    }
    scope_finish(&s);
}

/* All events of the room, oldest first. */
static void read_room(struct job *job, const char *room_id, const struct stored_event **ret,
                      size_t *ret_n)
{
    struct room *room = room_named(job, room_id);
    NO_ERR(events_page(job_tx(job), room->id, 0, INT64_MAX, false, 10000, ret, ret_n));
}

/* Every event follows the one before it and is one deeper: no two have the same parent. */
static void check_line(struct job *job, const char *room_id, size_t at_least)
{
    const struct stored_event *list;
    size_t n;
    read_room(job, room_id, &list, &n);
    assert_true(n >= at_least);
    for (size_t i = 1; i < n; i++) {
        const char *const *prev = list[i].event->prev_events;
        assert_int_equal(list[i].event->prev_n, 1);
        assert_string_equal(prev[0], list[i - 1].event->event_id);
        assert_int_equal(list[i].event->depth, list[i - 1].event->depth + 1);
    }
    struct room *room = room_named(job, room_id);
    assert_int_equal(room->extremities_n, 1);
    assert_string_equal(room->extremities[0], list[n - 1].event->event_id);
}

static void many_threads_make_one_line(void **state)
{
    static const char *const versions[] = {"1", "10", "12"};
    for (size_t i = 0; i < sizeof versions / sizeof *versions; i++) {
        struct scope s;
        scope_init(&s, node_store());
        struct crowd c = {.room_id = create_public_room(&s.job, &alice, versions[i])};
        crowd_run(THREADS, join_and_send, &c);
        assert_int_equal(c.failed, 0);
        assert_int_equal(c.sent, THREADS * SENT_EACH);
        check_line(&s.job, c.room_id, THREADS * (SENT_EACH + 1));
        scope_finish(&s);
    }
}

/* Other processes write, and so does a room object that was dropped from the cache: if another
 * writer commits first, the room is reloaded. */
static void forget_again_and_again(void *ctx, int number)
{
    struct crowd *c = ctx;
    if (number > 0) {
        join_and_send(ctx, number);
        return;
    }
    for (int i = 0; i < 40; i++) {
        struct scope s;
        scope_init(&s, node_store());
        room_forget(&s.job, room_named(&s.job, c->room_id));
        scope_finish(&s);
        wait_briefly();
    }
}

static void losers_of_races_build_anew(void **state)
{
    struct scope s;
    scope_init(&s, node_store());
    struct crowd c = {.room_id = create_public_room(&s.job, &alice, "12")};
    crowd_run(9, forget_again_and_again, &c);
    check_line(&s.job, c.room_id, 1 + 8);
    assert_int_equal(c.failed, 0);
    scope_finish(&s);
}

static void a_failed_commit_leaves_the_room_as_it_was(void **state)
{
    struct scope s;
    scope_init(&s, node_store());
    const char *room_id = create_public_room(&s.job, &alice, "12"), *id;
    NO_ERR(send_text(&s.job, room_id, &alice, "first", &id));
    struct room *room = room_named(&s.job, room_id);
    char tip[128];
    snprintf(tip, sizeof tip, "%s", room->extremities[0]);

    /* not allowed: nothing is queued, the head stays */
    struct author outsider = author_named("@outsider:test.example");
    const struct err *e = send_text(&s.job, room_id, &outsider, "no", &id);
    assert_true(e && e->code == ERR_FORBIDDEN);
    assert_string_equal(room_named(&s.job, room_id)->extremities[0], tip);

    /* another writer took the version that the cached room would build upon */
    char sql[128];
    snprintf(sql, sizeof sql, "UPDATE rooms SET version = version + 1 WHERE id = %lld",
             (long long)room->id);
    pg_must("foreign", pg_command(pg_uri(), sql));
    NO_ERR(send_text(&s.job, room_id, &alice, "second", &id));
    assert_true(room_named(&s.job, room_id) != room); /* reloaded */
    check_line(&s.job, room_id, 3);
    scope_finish(&s);
}

static void several_events_are_one_write(void **state)
{
    struct scope s;
    scope_init(&s, node_store());
    const char *room_id = create_public_room(&s.job, &alice, "12"), *ids[3];
    struct room *room = room_named(&s.job, room_id);
    const struct new_event good[] = {
        {.type = "m.room.topic", .state_key = "", .content = STR("{\"topic\":\"a\"}")},
        {.type = "m.room.topic", .state_key = "", .content = STR("{\"topic\":\"b\"}")},
        {.type = "m.room.message", .content = STR("{\"body\":\"c\"}")},
    };
    NO_ERR(room_append(&s.job, room, &alice, good, 3, ids));
    const struct event *topic;
    NO_ERR(room_state(&s.job, room, "m.room.topic", "", &topic));
    assert_string_equal(topic->event_id, ids[1]);
    const struct stored_event *history;
    size_t n;
    NO_ERR(room_state_history(job_tx(&s.job), room->id, TYPE_TOPIC, "", &history, &n));
    assert_int_equal(n, 2); /* the first was current between the two */

    /* one of them is refused: none is stored */
    const struct new_event bad[] = {
        {.type = "m.room.message", .content = STR("{\"body\":\"d\"}")},
        {.type = "m.room.create", .state_key = "", .content = STR("{}")},
    };
    assert_non_null(room_append(&s.job, room, &alice, bad, 2, ids));
    const struct stored_event *list;
    read_room(&s.job, room_id, &list, &n);
    assert_string_equal(list[n - 1].event->type, "m.room.message");
    assert_true(str_is(list[n - 1].event->content, "{\"body\":\"c\"}"));
    check_line(&s.job, room_id, 3);
    scope_finish(&s);
}

struct repeated {
    const char *room_id;
    char ids[THREADS][128];
    int64_t device;
};

static void send_the_same(void *ctx, int number)
{
    struct repeated *r = ctx;
    struct scope s;
    scope_init(&s, node_store());
    struct author me = alice;
    me.device = r->device;
    const struct new_event e = {
        .type = "m.room.message",
        .content = STR("{\"body\":\"once\"}"),
        .client_txn = "same",
        .txn_scope = "scope",
    };
    const char *id;
    pg_must("room_append", room_append(&s.job, room_named(&s.job, r->room_id), &me, &e, 1, &id));
    snprintf(r->ids[number], sizeof r->ids[number], "%s", id);
    scope_finish(&s);
}

/* The same transaction id from many threads at once is one event. */
static void a_transaction_happens_once(void **state)
{
    struct scope s;
    scope_init(&s, node_store());
    struct repeated r = {.room_id = create_public_room(&s.job, &alice, "12"), .device = 4711};
    const struct stored_event *list;
    size_t before, n;
    read_room(&s.job, r.room_id, &list, &before);
    crowd_run(THREADS, send_the_same, &r);
    for (int i = 1; i < THREADS; i++)
        assert_string_equal(r.ids[i], r.ids[0]);
    read_room(&s.job, r.room_id, &list, &n);
    assert_int_equal(n, before + 1);
    scope_finish(&s);
}

/* The cached room equals the database after many joined and left. */
static void the_cache_equals_the_database(void **state)
{
    struct scope s;
    scope_init(&s, node_store());
    struct crowd c = {.room_id = create_public_room(&s.job, &alice, "11")};
    crowd_run(8, join_and_send, &c);
    struct author first = author_named("@user0:test.example");
    NO_ERR(set_membership(&s.job, c.room_id, &first, "leave"));
    struct room *cached = room_named(&s.job, c.room_id);
    int64_t joined = room_joined_count(cached), depth = cached->depth,
            version = cached->head_version, notify = cached->notify_total;
    size_t state_n = cached->members.n;
    room_forget(&s.job, cached);
    struct room *anew = room_named(&s.job, c.room_id);
    assert_true(anew != cached);
    assert_int_equal(joined, 8);
    assert_int_equal(room_joined_count(anew), joined);
    assert_true(anew->depth == depth && anew->head_version == version &&
                anew->notify_total == notify && anew->members.n == state_n);
    scope_finish(&s);
}

/* An event cites 20 events at most; the others stay to be cited by the next. */
static void extremities_that_do_not_fit_are_kept(void **state)
{
    struct scope s;
    scope_init(&s, node_store());
    const char *room_id = create_public_room(&s.job, &alice, "12"), *ids[3];
    struct room *room = room_named(&s.job, room_id);
    pg_must("extremities",
            pg_command(pg_uri(), arena_printf(s.arena,
                                              "UPDATE rooms SET extremities = ARRAY(SELECT "
                                              "sha256(i::text::bytea) FROM generate_series(1, 45) "
                                              "i) WHERE id = %lld",
                                              (long long)room->id)));
    room_forget(&s.job, room);
    for (int i = 0; i < 3; i++)
        NO_ERR(send_text(&s.job, room_id, &alice, "x", &ids[i]));
    const struct stored_event *list;
    size_t n;
    read_room(&s.job, room_id, &list, &n);
    assert_int_equal(list[n - 3].event->prev_n, 20); /* leaves 25 and itself, ... */
    assert_int_equal(list[n - 2].event->prev_n, 20); /* ... 6 and itself */
    assert_string_equal(list[n - 2].event->prev_events[0], ids[0]);
    assert_int_equal(list[n - 1].event->prev_n, 7);
    assert_int_equal(room_named(&s.job, room_id)->extremities_n, 1);
    scope_finish(&s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(many_threads_make_one_line),
        cmocka_unit_test(losers_of_races_build_anew),
        cmocka_unit_test(a_failed_commit_leaves_the_room_as_it_was),
        cmocka_unit_test(several_events_are_one_write),
        cmocka_unit_test(a_transaction_happens_once),
        cmocka_unit_test(the_cache_equals_the_database),
        cmocka_unit_test(extremities_that_do_not_fit_are_kept),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
