/* State in the committer's queue: built upon, hidden from readers, dropped when its write fails. */
#include "held_log.h"

#include "rooms/room_cache.h"
#include "rooms/write/membership.h"
#include "rooms/write/template.h"
#include "storage/rooms/room_state.h"
#include "users/unread.h"

#include <stdatomic.h>

static struct author alice, bob;

static int set_up(void **state)
{
    node_begin();
    alice = author_named("@alice:test.example");
    bob = author_named("@bob:test.example");
    return 0;
}

static int tear_down(void **state)
{
    node_end();
    return 0;
}

/* ---- the room ---- */

static const struct stored_event *stored(struct job *job, const char *id)
{
    const struct stored_event *e;
    NO_ERR(events_get_by_id(job_tx(job), id, &e));
    assert_non_null(e);
    return e;
}

static bool cites(const struct event *e, const char *id)
{
    for (size_t i = 0; i < e->auth_n; i++)
        if (strcmp(e->auth_events[i], id) == 0)
            return true;
    return false;
}

static size_t intervals_of(struct job *job, const char *room_id, int64_t type,
                           const char *state_key)
{
    const struct stored_event *history;
    size_t n;
    NO_ERR(room_state_history(job_tx(job), room_named(job, room_id)->id, type, state_key, &history,
                              &n));
    return n;
}

/* ---- the tests ---- */

static void waiting_state_is_built_upon_and_not_read(void **state)
{
    struct scope s;
    scope_init(&s, node_store());
    const char *room_id = create_public_room(&s.job, &alice, "12");
    struct room *room = room_named(&s.job, room_id);
    const struct event *member;
    PGconn *log = hold_log();
    struct sender *join = queue(room_id, bob, member_event(bob.user_id, "join"));
    struct sender *text = queue(room_id, bob, text_event("{\"body\":\"here I am\"}"));
    assert_int_equal(room_membership(room, bob.user), MEMBERSHIP_NONE);
    assert_int_equal(room_joined_count(room), 1);
    NO_ERR(room_state(&s.job, room, "m.room.member", bob.user_id, &member));
    assert_null(member);
    assert_non_null(room_need_joined(room, bob.user));
    let_log_go(log);
    join_senders();
    assert_false(join->is_refused || text->is_refused);
    assert_int_equal(room_membership(room, bob.user), MEMBERSHIP_JOIN);
    assert_int_equal(room_joined_count(room), 2);
    assert_true(cites(stored(&s.job, text->id)->event, join->id));
    assert_int_equal(stored(&s.job, join->id)->position + 1, stored(&s.job, text->id)->position);
    check_room(&s.job, room_id);
    scope_finish(&s);
}

static void a_ban_holds_from_its_place_in_the_queue(void **state)
{
    struct scope s;
    scope_init(&s, node_store());
    const char *room_id = create_public_room(&s.job, &alice, "11");
    struct room *room = room_named(&s.job, room_id);
    PGconn *log = hold_log();
    struct sender *join = queue(room_id, bob, member_event(bob.user_id, "join"));
    struct sender *ban = queue(room_id, alice, ban_event(bob.user_id, "{\"membership\":\"ban\"}"));
    struct sender *text = start(room_id, bob, text_event("{\"body\":\"not any more\"}"));
    struct sender *again = start(room_id, bob, member_event(bob.user_id, "join"));
    struct sender *last = queue(room_id, alice, text_event("{\"body\":\"bye\"}"));
    assert_false(text->is_over || again->is_over); /* the ban may still fail */
    let_log_go(log);
    join_senders();
    assert_false(join->is_refused || ban->is_refused || last->is_refused);
    assert_true(text->is_refused && text->code == ERR_FORBIDDEN);
    assert_true(again->is_refused && again->code == ERR_FORBIDDEN);
    assert_int_equal(room_membership(room, bob.user), MEMBERSHIP_BAN);
    assert_int_equal(intervals_of(&s.job, room_id, TYPE_MEMBER, bob.user_id), 2);
    check_room(&s.job, room_id);
    scope_finish(&s);
}

static void a_key_that_changes_often_has_intervals_that_meet(void **state)
{
    struct scope s;
    scope_init(&s, node_store());
    const char *room_id = create_public_room(&s.job, &alice, "12");
    const struct event *topic;
    for (int round = 0; round < 2; round++) { /* no state is replaced, then stored state */
        PGconn *log = hold_log();
        queue(room_id, alice, text_event("{\"body\":\"leads a batch\"}"));
        queue(room_id, alice, topic_event("{\"topic\":\"one\"}"));
        queue(room_id, alice, topic_event("{\"topic\":\"two\"}"));
        queue(room_id, alice, text_event("{\"body\":\"between\"}"));
        queue(room_id, alice, topic_event("{\"topic\":\"three\"}"));
        let_log_go(log);
        join_senders();
        NO_ERR(room_state(&s.job, room_named(&s.job, room_id), "m.room.topic", "", &topic));
        assert_string_equal(json_text(event_content(topic), "topic"), "three");
        check_room(&s.job, room_id);
    }
    assert_int_equal(intervals_of(&s.job, room_id, TYPE_TOPIC, ""), 6);
    PGconn *log = hold_log(); /* members too */
    queue(room_id, alice, topic_event("{\"topic\":\"four\"}"));
    queue(room_id, bob, member_event(bob.user_id, "join"));
    queue(room_id, bob, member_event(bob.user_id, "leave"));
    queue(room_id, bob, member_event(bob.user_id, "join"));
    let_log_go(log);
    join_senders();
    assert_int_equal(intervals_of(&s.job, room_id, TYPE_TOPIC, ""), 7);
    assert_int_equal(intervals_of(&s.job, room_id, TYPE_MEMBER, bob.user_id), 3);
    check_room(&s.job, room_id);
    scope_finish(&s);
}

#define POISON                                                                                     \
    "CREATE FUNCTION refuse_poison() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN "                \
    "IF position('poison'::bytea IN NEW.json) > 0 THEN RAISE 'poison'; END IF; RETURN NEW; "       \
    "END $$; CREATE TRIGGER poison BEFORE INSERT ON events FOR EACH ROW "                          \
    "EXECUTE FUNCTION refuse_poison()"

/* bob may set the topic by power levels that wait. They fail, and so do events that they allowed;
 * events that did not need them are rebuilt. */
static void events_built_on_a_failure_are_checked_again(void **state)
{
    struct scope s;
    scope_init(&s, node_store());
    const char *room_id = create_public_room(&s.job, &alice, "11");
    NO_ERR(set_membership(&s.job, room_id, &bob, "join"));
    pg_must("trigger", pg_command(pg_uri(), POISON));
    PGconn *log = hold_log();
    struct sender *first = queue(room_id, alice, text_event("{\"body\":\"leads a batch\"}"));
    struct sender *powers =
        queue(room_id, alice,
              (struct new_event){.type = "m.room.power_levels",
                                 .state_key = "",
                                 .content = STR("{\"users\":{\"@alice:test.example\":100,"
                                                "\"@bob:test.example\":50},\"x\":\"poison\"}")});
    struct sender *topic = queue(room_id, bob, topic_event("{\"topic\":\"mine\"}"));
    struct author carol = author_named("@carol:test.example");
    struct sender *join = queue(room_id, carol, member_event(carol.user_id, "join"));
    struct sender *text = queue(room_id, bob, text_event("{\"body\":\"hello\"}"));
    let_log_go(log);
    join_senders();
    pg_must("trigger", pg_command(pg_uri(), "DROP TRIGGER poison ON events; "
                                            "DROP FUNCTION refuse_poison"));
    assert_false(first->is_refused || join->is_refused || text->is_refused);
    assert_true(powers->is_refused && powers->code == ERR_INTERNAL);
    assert_true(topic->is_refused && topic->code == ERR_FORBIDDEN);
    const struct event *now;
    struct room *room = room_named(&s.job, room_id);
    NO_ERR(room_state(&s.job, room, "m.room.topic", "", &now));
    assert_null(now);
    assert_int_equal(room_membership(room, carol.user), MEMBERSHIP_JOIN);
    check_room(&s.job, room_id);
    scope_finish(&s);
}

/* A refusal because of a queued ban is final only when the ban is committed. */
static void a_refusal_is_judged_anew_when_the_ban_fails(void **state)
{
    struct scope s;
    scope_init(&s, node_store());
    const char *room_id = create_public_room(&s.job, &alice, "12");
    pg_must("trigger", pg_command(pg_uri(), POISON));
    PGconn *log = hold_log();
    struct sender *ban = queue(room_id, alice,
                               ban_event(bob.user_id, "{\"membership\":\"ban\",\"reason\":"
                                                      "\"poison\"}"));
    struct sender *join = start(room_id, bob, member_event(bob.user_id, "join"));
    let_log_go(log);
    join_senders();
    pg_must("trigger", pg_command(pg_uri(), "DROP TRIGGER poison ON events; "
                                            "DROP FUNCTION refuse_poison"));
    assert_true(ban->is_refused);
    assert_false(join->is_refused);
    assert_int_equal(room_membership(room_named(&s.job, room_id), bob.user), MEMBERSHIP_JOIN);
    check_room(&s.job, room_id);
    scope_finish(&s);
}

static const struct err *ask_for_template(struct job *job, struct room *room, struct sender *s,
                                          const char **ret_id)
{
    json_t *template = NULL;
    const struct err *e = room_template(job, room, s->author.user_id, &s->event, &template);
    *ret_id = "";
    return e;
}

/* The same for a template for another server. */
static void a_template_is_refused_when_the_ban_is_there(void **state)
{
    struct scope s;
    scope_init(&s, node_store());
    struct author remote = author_named("@bob:elsewhere.example");
    const char *room_id = create_public_room(&s.job, &alice, "12");
    pg_must("trigger", pg_command(pg_uri(), POISON));
    PGconn *log = hold_log();
    struct sender *ban = queue(room_id, alice,
                               ban_event(remote.user_id, "{\"membership\":\"ban\",\"reason\":"
                                                         "\"poison\"}"));
    struct sender *template = start_((struct sender){.room_id = room_id,
                                                     .author = remote,
                                                     .event = member_event(remote.user_id, "join"),
                                                     .ask = ask_for_template});
    while (!template->has_begun)
        wait_briefly();
    queue(room_id, alice, text_event("{\"body\":\"gives it time\"}"));
    let_log_go(log);
    join_senders();
    pg_must("trigger", pg_command(pg_uri(), "DROP TRIGGER poison ON events; "
                                            "DROP FUNCTION refuse_poison"));
    assert_true(ban->is_refused);
    assert_false(template->is_refused);
    scope_finish(&s);
}

static int64_t highlights(struct job *job, const char *room_id, const struct author *user)
{
    struct unread_counts counts;
    NO_ERR(unread_get(job, room_named(job, room_id), user->user, user->user_id, false, &counts));
    return counts.highlight;
}

/* A message behind a join notifies the joining user like every member. */
static void a_joining_user_is_mentioned(void **state)
{
    struct scope s;
    scope_init(&s, node_store());
    const char *room_id = create_public_room(&s.job, &alice, "12");
    PGconn *log = hold_log();
    queue(room_id, bob, member_event(bob.user_id, "join"));
    queue(room_id, alice,
          text_event("{\"body\":\"hi\",\"m.mentions\":{\"user_ids\":[\"@bob:test.example\"]},"
                     "\"msgtype\":\"m.text\"}"));
    queue(room_id, alice, text_event("{\"body\":\"well, bob?\",\"msgtype\":\"m.text\"}"));
    let_log_go(log);
    join_senders();
    assert_int_equal(highlights(&s.job, room_id, &bob), 2);

    log = hold_log();
    queue(room_id, bob, member_event(bob.user_id, "leave"));
    queue(room_id, alice, text_event("{\"body\":\"where is bob\",\"msgtype\":\"m.text\"}"));
    queue(room_id, bob, member_event(bob.user_id, "join"));
    queue(room_id, alice, text_event("{\"body\":\"bob is here\",\"msgtype\":\"m.text\"}"));
    let_log_go(log);
    join_senders();
    assert_int_equal(highlights(&s.job, room_id, &bob), 1);
    check_room(&s.job, room_id);
    scope_finish(&s);
}

/* ---- push rules of a joining user ---- */

static bool joins_with_own_rules(struct job *job, struct known_rules rules)
{
    const char *room_id = create_public_room(job, &alice, "12"), *id;
    struct new_event e = member_event(bob.user_id, "join");
    e.rules = rules;
    NO_ERR(room_append(job, room_named(job, room_id), &bob, &e, 1, &id));
    return member_has_own_rules(job, room_named(job, room_id), bob.user);
}

static void known_rules_hold_until_rules_change(void **state)
{
    struct scope s;
    scope_init(&s, node_store());
    int64_t now = room_cache_rules_position(node_store()->rooms->cache);
    pg_must("rules", pg_command(pg_uri(), arena_printf(s.arena,
                                                       "INSERT INTO account_data (\"user\", room, "
                                                       "type, content, position) VALUES (%lld, 0, "
                                                       "'m.push_rules', '{}', 1)",
                                                       (long long)bob.user)));
    assert_true(joins_with_own_rules(&s.job, (struct known_rules){0}));
    assert_false(joins_with_own_rules(&s.job, (struct known_rules){true, false, now}));
    assert_true(joins_with_own_rules(&s.job, (struct known_rules){true, false, now - 1}));
    scope_finish(&s);
}

/* They are published while the join, which was built without them, still waits. No reader sees a
 * join before it is stored. */
static void rules_that_change_before_the_join_count(void **state)
{
    static const char *const versions[] = {"1", "12"};
    for (size_t i = 0; i < sizeof versions / sizeof *versions; i++) {
        struct scope s;
        scope_init(&s, node_store());
        struct author whose = author_named(arena_printf(s.arena, "@rules%zu:test.example", i));
        const char *room_id = create_public_room(&s.job, &alice, versions[i]);
        struct new_event join = member_event(whose.user_id, "join");
        join.rules.is_known = true;
        join.rules.as_of = room_cache_rules_position(node_store()->rooms->cache);
        struct write *rules = write_begin(&s.job);
        write_change(rules, &(struct change){.kind = CHANGE_ACCOUNT_DATA,
                                             .user = whose.user,
                                             .account_data.is_push_rules = true});
        PGconn *log = hold_log();
        write_enqueue(&s.job, rules);
        queue(room_id, whose, join);
        let_log_go(log);
        join_senders();
        NO_ERR(write_wait(&s.job, rules, NULL));
        assert_true(member_has_own_rules(&s.job, room_named(&s.job, room_id), whose.user));
        scope_finish(&s);
    }
}

/* ---- a crowd ---- */

enum { THREADS = 16, TURNS = 20 };

struct crowd {
    const char *room_id;
    _Atomic int64_t failed;
};

/* Some are banned and unbanned, some forget the room, all join and leave. */
static void come_and_go(void *ctx, int number)
{
    struct crowd *c = ctx;
    for (int i = 0; i < TURNS; i++) {
        struct scope s;
        scope_init(&s, node_store());
        struct author me = author_named(arena_printf(s.arena, "@user%d:test.example", number));
        const char *id;
        const struct err *e;
        if (number == 0) {
            struct new_event ban =
                ban_event(arena_printf(s.arena, "@user%d:test.example", i % 4),
                          i % 8 < 4 ? "{\"membership\":\"ban\"}" : "{\"membership\":\"leave\"}");
            e = room_append(&s.job, room_named(&s.job, c->room_id), &alice, &ban, 1, &id);
        } else if (number == 1) {
            room_forget(&s.job, room_named(&s.job, c->room_id));
            e = send_text(&s.job, c->room_id, &alice, "hello", &id);
        } else {
            e = set_membership(&s.job, c->room_id, &me, i % 3 == 2 ? "leave" : "join");
        }
        c->failed += e && e->code != ERR_FORBIDDEN;
        scope_finish(&s);
    }
}

static void a_crowd_leaves_a_room_that_agrees_with_itself(void **state)
{
    static const char *const versions[] = {"1", "11", "12"};
    for (size_t i = 0; i < sizeof versions / sizeof *versions; i++) {
        struct scope s;
        scope_init(&s, node_store());
        struct crowd c = {.room_id = create_public_room(&s.job, &alice, versions[i])};
        crowd_run(THREADS, come_and_go, &c);
        assert_int_equal(c.failed, 0);
        check_room(&s.job, c.room_id);
        scope_finish(&s);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(waiting_state_is_built_upon_and_not_read),
        cmocka_unit_test(a_ban_holds_from_its_place_in_the_queue),
        cmocka_unit_test(a_key_that_changes_often_has_intervals_that_meet),
        cmocka_unit_test(events_built_on_a_failure_are_checked_again),
        cmocka_unit_test(a_refusal_is_judged_anew_when_the_ban_fails),
        cmocka_unit_test(a_template_is_refused_when_the_ban_is_there),
        cmocka_unit_test(a_joining_user_is_mentioned),
        cmocka_unit_test(known_rules_hold_until_rules_change),
        cmocka_unit_test(rules_that_change_before_the_join_count),
        cmocka_unit_test(a_crowd_leaves_a_room_that_agrees_with_itself),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
