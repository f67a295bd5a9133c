#include "remote_events.h"

#include "base/clock.h"
#include "matrix/id.h"
#include "rooms/accept/history.h"
#include "rooms/accept/outliers.h"
#include "rooms/accept/remote_join.h"
#include "rooms/accept/remote_state.h"
#include "rooms/accept/resync.h"
#include "rooms/noted_rooms.h"
#include "rooms/room_cache.h"
#include "rooms/servers.h"
#include "rooms/state/state_at.h"
#include "rooms/write/membership.h"
#include "storage/rooms/partial_rooms.h"
#include "storage/rooms/retention.h"

#define CAROL "@carol:remote.example"
#define ALICE "@alice:test.example"

static int set_up(void **state)
{
    node_begin();
    return 0;
}

static int tear_down(void **state)
{
    node_end();
    return 0;
}

enum { MEMBERS = 40, EVENTS_MAX = 3 * REMOTE_STATE_AT_ONCE };

/* A room of another server, as that server would send it. */
struct far_room {
    struct scope s;
    struct job *job;
    const struct room_version *v;
    const char *room_id;
    const struct event *create, *carol, *power, *rules;
    const struct event *target; /* the membership that the next event changes; NULL: none */
    const struct event *line[EVENTS_MAX]; /* all of it, oldest first */
    size_t n;
    const struct event *state[EVENTS_MAX];
    size_t state_n;
};

static const struct event *far_add(struct far_room *r, const char *type, const char *sender,
                                   const char *key, const char *content, const struct event *member)
{
    struct wanted w = {.type = type, .sender = sender, .state_key = key, .content = content};
    size_t n = 0;
    if (r->create && !r->v->room_id_is_create_hash)
        w.auth[n++] = r->create->event_id;
    if (r->power)
        w.auth[n++] = r->power->event_id;
    if (r->rules && strcmp(type, "m.room.member") == 0)
        w.auth[n++] = r->rules->event_id;
    if (member)
        w.auth[n++] = member->event_id;
    if (r->target)
        w.auth[n++] = r->target->event_id;
    if (r->n)
        w.prev[0] = r->line[r->n - 1]->event_id;
    w.depth = (int64_t)r->n + 1;
    const struct event *e = remote_event(r->job, r->v, r->room_id, &w);
    r->line[r->n++] = e;
    if (key)
        r->state[r->state_n++] = e;
    return e;
}

static void make_far_room(struct far_room *r, const char *version)
{
    *r = (struct far_room){.v = room_version_find(version)};
    scope_init(&r->s, node_store());
    r->job = &r->s.job;
    const char *creator = r->v->creator_is_sender ? "" : "\"creator\":\"" CAROL "\",";
    if (!r->v->room_id_is_create_hash)
        r->room_id = id_make(r->job->arena, '!', "remote.example");
    r->create =
        far_add(r, "m.room.create", CAROL, "",
                arena_printf(r->job->arena, "{%s\"room_version\":\"%s\"}", creator, version), NULL);
    r->room_id = r->create->room_id;
    r->carol = far_add(r, "m.room.member", CAROL, CAROL, "{\"membership\":\"join\"}", NULL);
    const char *users = r->v->privileged_creators ? "{}" : "{\"" CAROL "\":100}";
    r->power = far_add(r, "m.room.power_levels", CAROL, "",
                       arena_printf(r->job->arena, "{\"users\":%s}", users), r->carol);
    r->rules = far_add(r, "m.room.join_rules", CAROL, "", "{\"join_rule\":\"public\"}", r->carol);
    for (int i = 0; i < MEMBERS; i++) {
        const char *id = arena_printf(r->job->arena, "@user%d:third.example", i);
        far_add(r, "m.room.member", id, id, "{\"membership\":\"join\"}", NULL);
    }
}

static const struct event *far_join(struct far_room *r)
{
    return far_add(r, "m.room.member", ALICE, ALICE, "{\"membership\":\"join\"}", NULL);
}

static struct room *enter(struct far_room *r, const struct event *join, size_t members_left_out)
{
    static const char *const servers[] = {"remote.example", "third.example"};
    struct room *room;
    struct remote_join entry = {
        .version = r->v,
        .room_id = r->room_id,
        .remote = {.state = r->state, .state_n = r->state_n - 1 - members_left_out},
        .join = join,
        .is_partial = members_left_out > 0,
        .servers = members_left_out ? servers : NULL,
        .servers_n = members_left_out ? 2 : 0,
        .resident = "remote.example",
    };
    NO_ERR(room_join_remote(r->job, &entry, &room));
    return room;
}

static const char *versions[] = {"1", "3", "6", "10", "11", "12"};
#define EACH_VERSION(v)                                                                            \
    for (size_t v##_i = 0; v##_i < sizeof versions / sizeof *versions; v##_i++)                    \
        for (const char *v = versions[v##_i]; v; v = NULL)

static void joining_makes_the_received_state_current(void **state)
{
    EACH_VERSION(v)
    {
        struct far_room r;
        make_far_room(&r, v);
        const struct event *join = far_join(&r);
        struct room *room = enter(&r, join, 0);
        assert_int_equal(room->joined_n, MEMBERS + 2);
        assert_true(room_is_resident(room));
        assert_false(room_is_partial(room));
        assert_true(room_has_server(room, "third.example"));
        assert_string_equal(state_id(r.job, r.room_id, "m.room.power_levels", ""),
                            r.power->event_id);
        assert_string_equal(room->extremities[0], join->event_id);
        const struct event *hello =
            far_add(&r, "m.room.message", CAROL, NULL, "{\"body\":\"hello\"}", r.carol);
        assert_int_equal(accept_one(r.job, r.room_id, hello).verdict, VERDICT_ACCEPTED);
        struct author alice = author_named(ALICE);
        const char *id;
        NO_ERR(send_text(r.job, r.room_id, &alice, "hello back", &id));
        scope_finish(&r.s);
    }
}

static void a_forged_state_is_left_out(void **state)
{
    struct far_room r;
    make_far_room(&r, "11");
    far_add(&r, "m.room.topic", "@user1:third.example", "", "{\"topic\":\"forged\"}", NULL);
    const struct event *join = far_join(&r);
    enter(&r, join, 0);
    assert_null(state_id(r.job, r.room_id, "m.room.topic", ""));
    scope_finish(&r.s);
}

static void members_may_come_later(void **state)
{
    EACH_VERSION(v)
    {
        struct far_room r;
        make_far_room(&r, v);
        const struct event *join = far_join(&r);
        struct room *room = enter(&r, join, MEMBERS);
        bool done;
        assert_true(room_is_partial(room));
        assert_true(room_has_server(room, "third.example"));
        assert_int_equal(room->joined_n, 2);
        NO_ERR(room_await_resync(r.job, &room, mono_ms() + 10, &done));
        assert_false(done);
        struct author alice = author_named(ALICE);
        const char *id;
        NO_ERR(send_text(r.job, r.room_id, &alice, "already here", &id));
        /* a user whose membership is not known yet sends an event */
        const struct event *said = far_add(&r, "m.room.message", "@user3:third.example", NULL,
                                           "{\"body\":\"hi\"}", r.state[4 + 3]);
        assert_int_equal(accept_one(r.job, r.room_id, said).verdict, VERDICT_MISSING);
        const struct event *member = r.state[4 + 3];
        NO_ERR(outliers_store(r.job, room_named(r.job, r.room_id), &member, 1, NULL, NULL));
        assert_int_equal(accept_one(r.job, r.room_id, said).verdict, VERDICT_ACCEPTED);
        assert_string_equal(state_id(r.job, r.room_id, "m.room.member", "@user3:third.example"),
                            member->event_id);

        const struct partial_room *list;
        size_t n;
        NO_ERR(rooms_partial_list(job_tx(r.job), &list, &n));
        assert_true(n >= 1);
        struct received_state remote = {.state = r.state, .state_n = r.state_n - 1};
        NO_ERR(room_resync(r.job, room_named(r.job, r.room_id), &remote));
        room = room_named(r.job, r.room_id);
        assert_false(room_is_partial(room));
        assert_int_equal(room->joined_n, MEMBERS + 2);
        NO_ERR(room_await_resync(r.job, &room, mono_ms() + 10, &done));
        assert_true(done);
        NO_ERR(room_resync(r.job, room, &remote)); /* after a restart: once more */
        /* events that fork from the join have the members that were received later */
        const struct stored_event *late = NULL;
        for (size_t i = 0; i < n; i++)
            if (list[i].room == room->id)
                NO_ERR(state_after_get(r.job, room, list[i].position, TYPE_MEMBER,
                                       "@user5:third.example", &late));
        assert_non_null(late);
        assert_string_equal(late->event->event_id, r.state[4 + 5]->event_id);
        scope_finish(&r.s);
    }
}

static void history_is_added_in_order(void **state)
{
    EACH_VERSION(v)
    {
        struct far_room r;
        const struct history_end *ends;
        const struct stored_event *list;
        size_t n, added;
        make_far_room(&r, v);
        const struct event *said[5];
        for (int i = 0; i < 5; i++)
            said[i] = far_add(&r, "m.room.message", CAROL, NULL, "{\"body\":\"old\"}", r.carol);
        const struct event *join = far_join(&r);
        struct room *room = enter(&r, join, 0);
        NO_ERR(history_ends(r.job, room, 5, &ends, &n));
        assert_int_equal(n, 1);
        assert_string_equal(ends[0].event_id, join->event_id);
        assert_int_equal(ends[0].missing_n, 1);
        assert_string_equal(ends[0].missing[0], said[4]->event_id);

        const char **ids = arena_alloc_array(r.job->arena, r.state_n, sizeof *ids);
        for (size_t i = 0; i + 1 < r.state_n; i++)
            ids[i] = r.state[i]->event_id;
        /* the newest three, then all that is left: from the last member on to the first event */
        NO_ERR(history_add(r.job, room, said + 2, 3, ids, r.state_n - 1, &added));
        assert_int_equal(added, 3);
        NO_ERR(history_ends(r.job, room, 5, &ends, &n));
        assert_int_equal(n, 1);
        assert_string_equal(ends[0].missing[0], said[1]->event_id);
        NO_ERR(history_add(r.job, room, r.line, r.n - 4, NULL, 0, &added));
        assert_int_equal(added, r.n - 4);
        NO_ERR(history_ends(r.job, room, 5, &ends, &n));
        assert_int_equal(n, 0);

        NO_ERR(events_page(job_tx(r.job), room->id, EVENT_OFF_TIMELINE_MAX, INT64_MAX, false, 1000,
                           &list, &n));
        assert_int_equal(n, r.n);
        for (size_t i = 0; i < n; i++)
            assert_string_equal(list[i].event->event_id, r.line[i]->event_id);
        const struct stored_event *rules;
        NO_ERR(state_before_get(r.job, room, list[2].position, TYPE_JOIN_RULES, "", &rules));
        assert_null(rules); /* came later */
        NO_ERR(state_before_get(r.job, room, list[10].position, TYPE_JOIN_RULES, "", &rules));
        assert_string_equal(rules->event->event_id, r.rules->event_id);
        scope_finish(&r.s);
    }
}

/* ---- large states ---- */

SQL(largest_write_sql, "SELECT COALESCE(max(n), 0) FROM (SELECT count(*) AS n FROM room_state s "
                       "JOIN rooms r ON r.id = s.room WHERE r.room_id = $1 "
                       "AND valid_to = 9223372036854775807 GROUP BY valid_from) w")

static int64_t largest_write(struct far_room *r)
{
    int64_t n;
    NO_ERR(db_one(job_tx(r->job), &largest_write_sql, P(TEXT(r->room_id)), NULL, R(INT_OUT(&n))));
    return n;
}

static void add_much_state(struct far_room *r)
{
    for (int i = 0; i < REMOTE_STATE_AT_ONCE; i++) {
        const char *id = arena_printf(r->job->arena, "@crowd%d:fifth.example", i);
        far_add(r, "m.room.member", id, id, "{\"membership\":\"join\"}", NULL);
    }
    for (int i = 0; i < REMOTE_STATE_AT_ONCE; i++)
        far_add(r, "m.policy.rule.user", CAROL, arena_printf(r->job->arena, "rule%d", i), "{}",
                r->carol);
    far_add(r, "m.room.topic", CAROL, "", "{\"topic\":\"comes with the join\"}", r->carol);
}

/* Other writes wait for one part of it only. */
static void a_large_state_comes_in_pieces(void **state)
{
    struct far_room r;
    make_far_room(&r, "11");
    add_much_state(&r);
    const struct event *join = far_join(&r);
    struct room *room = enter(&r, join, 0);
    assert_true(room_is_partial(room));
    assert_true(room_has_server(room, "fifth.example"));
    assert_non_null(state_id(r.job, r.room_id, "m.room.topic", ""));
    assert_in_range(largest_write(&r), REMOTE_STATE_AT_ONCE / 2, REMOTE_STATE_AT_ONCE + 1);
    struct received_state remote = {.state = r.state, .state_n = r.state_n - 1};
    NO_ERR(room_resync(r.job, room, &remote));
    assert_in_range(largest_write(&r), REMOTE_STATE_AT_ONCE / 2, REMOTE_STATE_AT_ONCE + 1);
    room = room_named(r.job, r.room_id);
    assert_false(room_is_partial(room));
    assert_int_equal(room->joined_n, MEMBERS + REMOTE_STATE_AT_ONCE + 2);
    for (size_t i = 0; i < r.state_n; i += 7)
        assert_string_equal(state_id(r.job, r.room_id, r.state[i]->type, r.state[i]->state_key),
                            r.state[i]->event_id);
    scope_finish(&r.s);
}

static void too_many_kinds_of_state_are_refused(void **state)
{
    struct far_room r;
    struct room *room;
    make_far_room(&r, "11");
    for (int i = 0; i < REMOTE_STATE_AT_ONCE; i++)
        far_add(&r, arena_printf(r.job->arena, "example.%d", i), CAROL, "", "{}", r.carol);
    struct remote_join entry = {.version = r.v,
                                .room_id = r.room_id,
                                .remote = {.state = r.state, .state_n = r.state_n},
                                .join = far_join(&r)};
    const struct err *e = room_join_remote(r.job, &entry, &room);
    assert_true(e && e->code == ERR_TOO_LARGE);
    scope_finish(&r.s);
}

/* Membership changes during our absence are known after the rejoin. */
static void members_of_a_former_membership_are_replaced(void **state)
{
    struct far_room r;
    make_far_room(&r, "11");
    const char *user = "@user3:third.example";
    const struct event *join = far_join(&r);
    enter(&r, join, 0);
    struct author alice = author_named(ALICE);
    const struct event *renamed =
        far_add(&r, "m.room.member", user, user,
                "{\"membership\":\"join\",\"displayname\":\"Three\"}", r.state[4 + 3]);
    assert_int_equal(accept_one(r.job, r.room_id, renamed).verdict, VERDICT_ACCEPTED);
    const char *id;
    struct member_change leave = {.action = MEMBER_LEAVE, .target = ALICE};
    NO_ERR(membership_change(r.job, room_named(r.job, r.room_id), &alice, &leave, &id));
    r.state_n -= 2; /* neither join nor name is state any more */
    const struct event *newest =
        far_add(&r, "m.room.member", user, user,
                "{\"membership\":\"join\",\"displayname\":\"Third\"}", renamed);
    r.state_n--;
    r.state[4 + 3] = newest;
    r.target = NULL;
    join = far_join(&r);
    struct room *room = enter(&r, join, MEMBERS);
    assert_true(room_is_partial(room));
    struct received_state remote = {.state = r.state, .state_n = r.state_n - 1};
    NO_ERR(room_resync(r.job, room, &remote));
    assert_string_equal(state_id(r.job, r.room_id, "m.room.member", user), newest->event_id);
    room = room_named(r.job, r.room_id);
    assert_int_equal(room->joined_n, MEMBERS + 2);
    scope_finish(&r.s);
}

SQL(largest_end_sql, "SELECT COALESCE(max(n), 0) FROM (SELECT count(*) AS n FROM room_state s "
                     "JOIN rooms r ON r.id = s.room WHERE r.room_id = $1 "
                     "AND valid_to < 9223372036854775807 GROUP BY valid_to) w")

/* Removes most of the room from the other server's answers. */
static void a_large_former_state_ends_in_pieces(void **state)
{
    struct far_room r;
    int64_t most;
    const char *id;
    make_far_room(&r, "11");
    struct author alice = author_named(ALICE);
    add_much_state(&r);
    struct room *room = enter(&r, far_join(&r), 0);
    struct received_state remote = {.state = r.state, .state_n = r.state_n - 1};
    NO_ERR(room_resync(r.job, room, &remote));
    struct member_change leave = {.action = MEMBER_LEAVE, .target = ALICE};
    NO_ERR(membership_change(r.job, room_named(r.job, r.room_id), &alice, &leave, &id));
    r.state_n = 4 + MEMBERS;
    room = enter(&r, far_join(&r), 0);
    assert_int_equal(room->joined_n, MEMBERS + 2);
    assert_int_equal(room->members.n, MEMBERS + 2);
    assert_null(state_id(r.job, r.room_id, "m.policy.rule.user", "rule7"));
    assert_string_equal(state_id(r.job, r.room_id, "m.room.power_levels", ""), r.power->event_id);
    NO_ERR(db_one(job_tx(r.job), &largest_end_sql, P(TEXT(r.room_id)), NULL, R(INT_OUT(&most))));
    assert_in_range(most, REMOTE_STATE_AT_ONCE / 2, REMOTE_STATE_AT_ONCE);
    scope_finish(&r.s);
}

struct completion {
    const struct far_room *r;
    pthread_t thread;
};

static void *complete_the_room(void *arg)
{
    struct completion *c = arg;
    struct scope s;
    scope_init(&s, c->r->job->node);
    struct received_state remote = {.state = c->r->state, .state_n = c->r->state_n - 1};
    NO_ERR(room_resync(&s.job, room_named(&s.job, c->r->room_id), &remote));
    scope_finish(&s);
    return NULL;
}

/* The members are received off the timeline. Meanwhile backfill puts them on it: the current state
 * then has their positions. */
static void members_and_history_may_come_at_once(void **state)
{
    enum { ROUNDS = 12 };
    for (int i = 0; i < ROUNDS; i++) {
        struct far_room r;
        size_t added;
        make_far_room(&r, i % 2 ? "10" : "12");
        size_t before_n = r.n;
        const struct event *join = far_join(&r);
        struct room *room = enter(&r, join, MEMBERS);
        struct completion c = {.r = &r};
        pthread_create(&c.thread, NULL, complete_the_room, &c);
        while (history_add(r.job, room, r.line, before_n, NULL, 0, &added))
            room = room_named(r.job, r.room_id); /* the other was first */
        pthread_join(c.thread, NULL);
        room = room_named(r.job, r.room_id);
        assert_int_equal(room->joined_n, MEMBERS + 2);
        for (size_t k = 0; k + 1 < r.state_n; k++)
            assert_string_equal(state_id(r.job, r.room_id, r.state[k]->type, r.state[k]->state_key),
                                r.state[k]->event_id);
        scope_finish(&r.s);
    }
}

static void invites_are_noted_and_undone(void **state)
{
    struct far_room r;
    make_far_room(&r, "11");
    const struct event *invite =
        far_add(&r, "m.room.member", CAROL, ALICE, "{\"membership\":\"invite\"}", r.carol);
    struct room_note note = {
        .version = r.v, .room_id = r.room_id, .event = invite, .stripped = STR("[]")};
    struct author alice = author_named(ALICE);
    NO_ERR(room_note_membership(r.job, &note));
    NO_ERR(room_note_membership(r.job, &note)); /* received twice */
    assert_int_equal(room_membership(room_named(r.job, r.room_id), alice.user), MEMBERSHIP_INVITE);
    assert_false(room_is_resident(room_named(r.job, r.room_id)));
    r.target = invite;
    note.event = far_add(&r, "m.room.member", "@user1:third.example", ALICE,
                         "{\"membership\":\"leave\"}", r.carol);
    const struct err *e = room_note_membership(r.job, &note);
    assert_true(e && e->code == ERR_FORBIDDEN); /* not the inviting user */
    r.n--;
    r.state_n--;
    note.event = far_add(&r, "m.room.member", CAROL, ALICE, "{\"membership\":\"leave\"}", r.carol);
    NO_ERR(room_note_membership(r.job, &note));
    assert_int_equal(room_membership(room_named(r.job, r.room_id), alice.user), MEMBERSHIP_LEAVE);
    r.target = NULL;
    r.state_n -= 2; /* neither is state when she joins */
    r.state[r.state_n++] = r.line[r.n - 1];
    const struct event *join = far_join(&r);
    struct room *room = enter(&r, join, 0);
    assert_int_equal(room_membership(room, alice.user), MEMBERSHIP_JOIN);
    scope_finish(&r.s);
}

static void note(struct far_room *r, const char *membership)
{
    const char *content = arena_printf(r->job->arena, "{\"membership\":\"%s\"}", membership);
    struct room_note n = {.version = r->v, .room_id = r->room_id, .stripped = STR("[]")};
    r->target = n.event = far_add(r, "m.room.member", CAROL, ALICE, content, r->carol);
    r->state_n--;
    NO_ERR(room_note_membership(r->job, &n));
}

SQL(room_rows_sql, "SELECT (SELECT count(*) FROM rooms WHERE id = $1) + "
                   "(SELECT count(*) FROM events WHERE room = $1) + "
                   "(SELECT count(*) FROM room_state WHERE room = $1) + "
                   "(SELECT count(*) FROM room_members WHERE room = $1) + "
                   "(SELECT count(*) FROM push_actions WHERE room = $1)")

static int64_t rows_of_room(struct far_room *r, int64_t id)
{
    int64_t n;
    NO_ERR(db_one(job_tx(r->job), &room_rows_sql, P(INT(id)), NULL, R(INT_OUT(&n))));
    return n;
}

SQL(note_time_sql, "INSERT INTO log_times SELECT position, $1 FROM log_head ON CONFLICT DO NOTHING")

static void sweep_noted(int64_t days_later, int64_t since)
{
    struct scope s; /* rooms are held no longer than needed */
    scope_init(&s, node_store());
    NO_ERR(noted_rooms_sweep(&s.job, since + days_later * 24 * 3600 * 1000));
    scope_finish(&s);
}

/* Old noted rooms are removed unless a user of ours is in them or invited to them, whatever server
 * had them noted. */
static void noted_rooms_go_when_they_are_old(void **state)
{
    struct far_room rejected, waiting, joined_at;
    int64_t then = now_ms() + INT64_C(1000) * 24 * 3600 * 1000;
    make_far_room(&rejected, "11");
    make_far_room(&waiting, "12");
    make_far_room(&joined_at, "11");
    note(&rejected, "invite");
    note(&rejected, "leave");
    note(&waiting, "invite");
    note(&joined_at, "invite");
    joined_at.target = NULL;
    enter(&joined_at, far_join(&joined_at), 0);
    int64_t id = room_named(rejected.job, rejected.room_id)->id;
    NO_ERR(db_exec(job_tx(rejected.job), &note_time_sql, P(INT(then)), NULL));
    sweep_noted(RETENTION_ROOMS_DAYS - 1, then);
    assert_true(rows_of_room(&rejected, id) > 0);
    sweep_noted(RETENTION_ROOMS_DAYS, then);
    assert_int_equal(rows_of_room(&rejected, id), 0);
    struct room *room;
    NO_ERR(room_find(rejected.job, rejected.room_id, &room));
    assert_null(room);
    assert_int_equal(
        room_membership(room_named(waiting.job, waiting.room_id), author_named(ALICE).user),
        MEMBERSHIP_INVITE);
    assert_int_equal(room_named(joined_at.job, joined_at.room_id)->joined_n, MEMBERS + 2);
    note(&rejected, "invite"); /* it can be noted anew */
    assert_int_not_equal(room_named(rejected.job, rejected.room_id)->id, id);
    sweep_noted(RETENTION_ROOMS_DAYS, then);
    note(&waiting, "leave"); /* it was confirmed meanwhile, and changed */
    sweep_noted(RETENTION_ROOMS_DAYS, then);
    assert_int_equal(
        room_membership(room_named(waiting.job, waiting.room_id), author_named(ALICE).user),
        MEMBERSHIP_LEAVE);
    scope_finish(&rejected.s);
    scope_finish(&waiting.s);
    scope_finish(&joined_at.s);
}

/* Any server may send an invite with any room id and version. */
static void a_lie_about_the_version_does_not_last(void **state)
{
    struct far_room r;
    make_far_room(&r, "11");
    const struct event *join = far_join(&r);
    struct wanted w = {.type = "m.room.member",
                       .sender = "@mallory:fourth.example",
                       .state_key = ALICE,
                       .content = "{\"membership\":\"invite\"}",
                       .prev = {r.create->event_id},
                       .depth = 2};
    const struct room_version *lie = room_version_find("6");
    struct room_note note = {.version = lie,
                             .room_id = r.room_id,
                             .event = remote_event(r.job, lie, r.room_id, &w),
                             .stripped = STR("[]")};
    NO_ERR(room_note_membership(r.job, &note));
    struct room *room = enter(&r, join, 0);
    assert_ptr_equal(room->version, r.v);
    assert_int_equal(room->joined_n, MEMBERS + 2);
    scope_finish(&r.s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(joining_makes_the_received_state_current),
        cmocka_unit_test(a_forged_state_is_left_out),
        cmocka_unit_test(members_may_come_later),
        cmocka_unit_test(history_is_added_in_order),
        cmocka_unit_test(members_and_history_may_come_at_once),
        cmocka_unit_test(a_large_state_comes_in_pieces),
        cmocka_unit_test(too_many_kinds_of_state_are_refused),
        cmocka_unit_test(members_of_a_former_membership_are_replaced),
        cmocka_unit_test(a_large_former_state_ends_in_pieces),
        cmocka_unit_test(invites_are_noted_and_undone),
        cmocka_unit_test(noted_rooms_go_when_they_are_old),
        cmocka_unit_test(a_lie_about_the_version_does_not_last),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
