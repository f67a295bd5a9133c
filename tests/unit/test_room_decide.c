/* Decisions about an event use the state that the event is built on, also when that state waits in
 * the committer's queue, or has changed since. */
#include "held_log.h"

#include "rooms/write/basis.h"
#include "rooms/write/membership.h"
#include "rooms/write/naming.h"
#include "rooms/write/upgrade.h"
#include "storage/rooms/aliases.h"
#include "users/profile.h"

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

/* ---- requests ---- */

static const struct err *ask_change(struct job *job, struct room *room, struct sender *s,
                                    const char **ret_id)
{
    return membership_change(job, room, &s->author, s->asked, ret_id);
}

/* A change of membership decided while the log is held: after the writes queued before. */
static struct sender *change(const char *room_id, struct author author,
                             const struct member_change *what)
{
    struct sender *s = start_asking(room_id, author, ask_change, what);
    while (!s->has_begun)
        wait_briefly();
    queue(room_id, alice, text_event("{\"body\":\"gives it time\"}"));
    assert_false(s->is_over);
    return s;
}

static const struct err *ask_to_set(struct job *job, struct room *room, struct sender *s,
                                    const char **ret_id)
{
    return room_set_state(job, room, &s->author, s->asked, ret_id);
}

static enum membership membership_of(struct job *job, const char *room_id, struct author user)
{
    return room_membership(room_named(job, room_id), user.user);
}

static const struct event *state_of(struct job *job, const char *room_id, const char *type)
{
    const struct event *e;
    NO_ERR(room_state(job, room_named(job, room_id), type, "", &e));
    return e;
}

static struct new_event state_event(const char *type, const char *content)
{
    return (struct new_event){.type = type, .state_key = "", .content = str_of(content)};
}

static void append(struct job *job, const char *room_id, struct author author, struct new_event e)
{
    const char *id;
    NO_ERR(room_append(job, room_named(job, room_id), &author, &e, 1, &id));
}

#define BAN "{\"membership\":\"ban\"}"
#define LEAVE "{\"membership\":\"leave\"}"
#define INVITE "{\"membership\":\"invite\"}"

static const struct member_change kick_bob = {.action = MEMBER_KICK, .target = "@bob:test.example"},
                                  unban_bob = {.action = MEMBER_UNBAN,
                                               .target = "@bob:test.example"},
                                  join_bob = {.action = MEMBER_JOIN, .target = "@bob:test.example"};

/* ---- members ---- */

static void a_kick_behind_a_ban_does_not_lift_it(void **state)
{
    struct scope s;
    scope_init(&s, node_store());
    const char *room_id = create_public_room(&s.job, &alice, "11");
    NO_ERR(set_membership(&s.job, room_id, &bob, "join"));
    PGconn *log = hold_log();
    queue(room_id, alice, ban_event(bob.user_id, BAN));
    struct sender *kick = change(room_id, alice, &kick_bob);
    let_log_go(log);
    join_senders();
    assert_int_equal(membership_of(&s.job, room_id, bob), MEMBERSHIP_BAN);
    assert_true(kick->is_refused && kick->code == ERR_BAD_STATE);
    check_room(&s.job, room_id);
    scope_finish(&s);
}

static void an_unban_behind_an_unban_does_not_kick(void **state)
{
    struct scope s;
    scope_init(&s, node_store());
    const char *room_id = create_public_room(&s.job, &alice, "12");
    append(&s.job, room_id, alice, ban_event(bob.user_id, BAN));
    PGconn *log = hold_log();
    queue(room_id, alice, ban_event(bob.user_id, LEAVE));
    queue(room_id, bob, member_event(bob.user_id, "join"));
    struct sender *unban = change(room_id, alice, &unban_bob);
    let_log_go(log);
    join_senders();
    assert_int_equal(membership_of(&s.job, room_id, bob), MEMBERSHIP_JOIN);
    assert_true(unban->is_refused && unban->code == ERR_BAD_STATE);
    check_room(&s.job, room_id);
    scope_finish(&s);
}

static void a_join_behind_a_leave_joins(void **state)
{
    struct scope s;
    scope_init(&s, node_store());
    const char *room_id = create_public_room(&s.job, &alice, "12");
    NO_ERR(set_membership(&s.job, room_id, &bob, "join"));
    PGconn *log = hold_log();
    queue(room_id, bob, member_event(bob.user_id, "leave"));
    struct sender *join = change(room_id, bob, &join_bob);
    let_log_go(log);
    join_senders();
    assert_false(join->is_refused);
    assert_int_equal(membership_of(&s.job, room_id, bob), MEMBERSHIP_JOIN);
    check_room(&s.job, room_id);
    scope_finish(&s);
}

/* It is answered with that event, but only once that is committed. */
static void a_join_behind_a_join_is_the_same(void **state)
{
    struct scope s;
    scope_init(&s, node_store());
    const char *room_id = create_public_room(&s.job, &alice, "12");
    PGconn *log = hold_log();
    struct sender *join = queue(room_id, bob, member_event(bob.user_id, "join"));
    struct sender *again = change(room_id, bob, &join_bob);
    let_log_go(log);
    join_senders();
    assert_false(join->is_refused || again->is_refused);
    assert_string_equal(join->id, again->id);
    check_room(&s.job, room_id);
    scope_finish(&s);
}

static void an_invite_that_waits_lets_in(void **state)
{
    struct scope s;
    scope_init(&s, node_store());
    const char *room_id = create_public_room(&s.job, &alice, "12");
    append(&s.job, room_id, alice, state_event("m.room.join_rules", "{\"join_rule\":\"invite\"}"));
    PGconn *log = hold_log();
    queue(room_id, alice, ban_event(bob.user_id, INVITE));
    struct sender *join = change(room_id, bob, &join_bob);
    let_log_go(log);
    join_senders();
    assert_false(join->is_refused);
    assert_int_equal(membership_of(&s.job, room_id, bob), MEMBERSHIP_JOIN);
    scope_finish(&s);
}

static void guests_are_kept_out_from_the_rule_on(void **state)
{
    static const struct member_change join = {
        .action = MEMBER_JOIN, .target = "@bob:test.example", .author_is_guest = true};
    struct scope s;
    scope_init(&s, node_store());
    const char *room_id = create_public_room(&s.job, &alice, "12");
    append(&s.job, room_id, alice,
           state_event("m.room.guest_access", "{\"guest_access\":\"can_join\"}"));
    PGconn *log = hold_log();
    queue(room_id, alice, state_event("m.room.guest_access", "{\"guest_access\":\"forbidden\"}"));
    struct sender *guest = change(room_id, bob, &join);
    let_log_go(log);
    join_senders();
    assert_true(guest->is_refused && guest->code == ERR_GUEST_ACCESS_FORBIDDEN);
    assert_int_equal(membership_of(&s.job, room_id, bob), MEMBERSHIP_NONE);
    scope_finish(&s);
}

/* ---- restricted rooms ---- */

/* Members of one room may join the other, whose moderators are alice and carol. */
static const char *create_restricted(struct job *job, const char **ret_lets_in)
{
    const char *lets_in = create_public_room(job, &alice, "11");
    const char *room_id = create_public_room(job, &alice, "11");
    NO_ERR(set_membership(job, lets_in, &bob, "join"));
    NO_ERR(set_membership(job, room_id, &carol, "join"));
    append(job, room_id, alice,
           state_event("m.room.power_levels",
                       "{\"users\":{\"@alice:test.example\":100,\"@carol:test.example\":100},"
                       "\"invite\":50}"));
    append(job, room_id, alice,
           state_event("m.room.join_rules",
                       arena_printf(job->arena,
                                    "{\"join_rule\":\"restricted\",\"allow\":[{\"type\":"
                                    "\"m.room_membership\",\"room_id\":\"%s\"}]}",
                                    lets_in)));
    *ret_lets_in = lets_in;
    return room_id;
}

static void the_authorising_user_is_still_a_member(void **state)
{
    static const struct author *const moderators[] = {&alice, &carol};
    struct scope s;
    scope_init(&s, node_store());
    for (size_t i = 0; i < 2; i++) {
        const char *lets_in, *room_id = create_restricted(&s.job, &lets_in);
        PGconn *log = hold_log();
        queue(room_id, *moderators[i], member_event(moderators[i]->user_id, "leave"));
        struct sender *join = start_asking(room_id, bob, ask_change, &join_bob);
        while (!join->has_begun)
            wait_briefly();
        queue(room_id, *moderators[!i], text_event("{\"body\":\"gives it time\"}"));
        let_log_go(log);
        join_senders();
        assert_false(join->is_refused);
        assert_int_equal(membership_of(&s.job, room_id, bob), MEMBERSHIP_JOIN);
        check_room(&s.job, room_id);
    }
    scope_finish(&s);
}

static void a_condition_holds_until_the_rule_changes(void **state)
{
    struct scope s;
    scope_init(&s, node_store());
    const char *lets_in, *room_id = create_restricted(&s.job, &lets_in);
    PGconn *log = hold_log();
    queue(room_id, alice,
          state_event("m.room.join_rules", "{\"join_rule\":\"restricted\",\"allow\":[]}"));
    struct sender *join = change(room_id, bob, &join_bob);
    let_log_go(log);
    join_senders();
    assert_true(join->is_refused && join->code == ERR_FORBIDDEN);
    assert_int_equal(membership_of(&s.job, room_id, bob), MEMBERSHIP_NONE);
    scope_finish(&s);
}

/* ---- state that changes while it is read ---- */

struct surprise {
    const char *room_id;
    _Atomic int looked;
};

/* The ban comes between the check and the event. */
static const struct err *decide_to_kick(void *ctx, struct basis *on, struct new_event *ret,
                                        const char **ret_existing)
{
    struct surprise *s = ctx;
    enum membership m;
    TRY(basis_membership(on, bob.user_id, &m));
    if (s->looked++ == 0)
        queue(s->room_id, alice, ban_event(bob.user_id, BAN));
    if (m == MEMBERSHIP_BAN)
        return err(ERR_BAD_STATE, "It is a ban by now");
    *ret = ban_event(bob.user_id, LEAVE);
    return NULL;
}

static const struct err *ask_surprised(struct job *job, struct room *room, struct sender *s,
                                       const char **ret_id)
{
    const struct decision decision = {decide_to_kick, (void *)s->asked};
    return room_decide_state(job, room, &s->author, &decision, ret_id);
}

static void decisions_on_changed_state_are_repeated(void **state)
{
    struct scope s;
    scope_init(&s, node_store());
    struct surprise surprise = {.room_id = create_public_room(&s.job, &alice, "12")};
    NO_ERR(set_membership(&s.job, surprise.room_id, &bob, "join"));
    PGconn *log = hold_log();
    struct sender *kick = start_asking(surprise.room_id, alice, ask_surprised, &surprise);
    while (surprise.looked < 2 && !kick->is_over)
        wait_briefly();
    let_log_go(log);
    join_senders();
    assert_int_equal(surprise.looked, 2);
    assert_true(kick->is_refused && kick->code == ERR_BAD_STATE);
    assert_int_equal(membership_of(&s.job, surprise.room_id, bob), MEMBERSHIP_BAN);
    check_room(&s.job, surprise.room_id);
    scope_finish(&s);
}

/* ---- other state ---- */

static void repeating_an_earlier_value_is_a_change(void **state)
{
    struct scope s;
    scope_init(&s, node_store());
    const char *room_id = create_public_room(&s.job, &alice, "12");
    const struct new_event one = topic_event("{\"topic\":\"one\"}");
    append(&s.job, room_id, alice, one);
    PGconn *log = hold_log();
    queue(room_id, alice, topic_event("{\"topic\":\"two\"}"));
    struct sender *again = start_asking(room_id, alice, ask_to_set, &one);
    while (!again->has_begun)
        wait_briefly();
    queue(room_id, alice, text_event("{\"body\":\"gives it time\"}"));
    let_log_go(log);
    join_senders();
    const struct event *topic = state_of(&s.job, room_id, "m.room.topic");
    assert_string_equal(json_text(event_content(topic), "topic"), "one");
    assert_string_equal(topic->event_id, again->id);
    check_room(&s.job, room_id);
    scope_finish(&s);
}

static const struct err *ask_to_drop(struct job *job, struct room *room, struct sender *s,
                                     const char **ret_id)
{
    *ret_id = "";
    return naming_drop_canonical(job, room, &s->author, s->asked);
}

static void an_alias_is_dropped_from_the_newest_list(void **state)
{
    struct scope s;
    scope_init(&s, node_store());
    const char *room_id = create_public_room(&s.job, &alice, "12");
    append(&s.job, room_id, alice,
           state_event("m.room.canonical_alias", "{\"alias\":\"#old:test.example\"}"));
    PGconn *log = hold_log();
    queue(room_id, alice,
          state_event("m.room.canonical_alias",
                      "{\"alias\":\"#old:test.example\",\"alt_aliases\":[\"#b:test.example\"]}"));
    struct sender *drop = start_asking(room_id, alice, ask_to_drop, "#old:test.example");
    while (!drop->has_begun)
        wait_briefly();
    queue(room_id, alice, text_event("{\"body\":\"gives it time\"}"));
    let_log_go(log);
    join_senders();
    assert_false(drop->is_refused);
    const struct event *now = state_of(&s.job, room_id, "m.room.canonical_alias");
    assert_null(json_text(event_content(now), "alias"));
    assert_int_equal(json_array_size(json_object_get(event_content(now), "alt_aliases")), 1);
    scope_finish(&s);
}

static const struct err *ask_to_upgrade(struct job *job, struct room *room, struct sender *s,
                                        const char **ret_id)
{
    return room_upgrade(job, room, &s->author, room_version_find("11"), NULL, ret_id);
}

/* A user who loses power by a queued event gets no aliases by an upgrade. */
static void an_upgrade_behind_a_demotion_takes_nothing(void **state)
{
    struct scope s;
    struct alias alias;
    bool found;
    scope_init(&s, node_store());
    const char *room_id = create_public_room(&s.job, &alice, "11");
    NO_ERR(set_membership(&s.job, room_id, &bob, "join"));
    append(&s.job, room_id, alice,
           state_event("m.room.power_levels",
                       "{\"users\":{\"@alice:test.example\":100,\"@bob:test.example\":60}}"));
    struct write *w = write_begin(&s.job);
    aliases_write_new(w, "#place:test.example", room_named(&s.job, room_id)->id, alice.user);
    NO_ERR(write_commit(&s.job, w, NULL));
    PGconn *log = hold_log();
    queue(room_id, alice,
          state_event("m.room.power_levels", "{\"users\":{\"@alice:test.example\":100}}"));
    struct sender *upgrade = start_asking(room_id, bob, ask_to_upgrade, NULL);
    while (!upgrade->has_begun)
        wait_briefly();
    queue(room_id, alice, text_event("{\"body\":\"gives it time\"}"));
    let_log_go(log);
    join_senders();
    assert_true(upgrade->is_refused && upgrade->code == ERR_FORBIDDEN);
    NO_ERR(aliases_find(job_tx(&s.job), "#place:test.example", &found, &alias));
    assert_true(found);
    assert_string_equal(alias.room_id, room_id);
    scope_finish(&s);
}

static void an_upgrade_takes_along_bans_that_come_meanwhile(void **state)
{
    struct scope s;
    scope_init(&s, node_store());
    const char *room_id = create_public_room(&s.job, &alice, "11");
    NO_ERR(set_membership(&s.job, room_id, &bob, "join"));
    PGconn *log = hold_log();
    queue(room_id, alice, ban_event(bob.user_id, BAN));
    struct sender *upgrade = start_asking(room_id, alice, ask_to_upgrade, NULL);
    while (!upgrade->has_begun)
        wait_briefly();
    queue(room_id, alice, text_event("{\"body\":\"gives it time\"}"));
    let_log_go(log);
    join_senders();
    assert_false(upgrade->is_refused);
    const char *new =
        json_text(event_content(state_of(&s.job, room_id, "m.room.tombstone")), "replacement_room");
    assert_int_equal(membership_of(&s.job, new, bob), MEMBERSHIP_BAN);
    scope_finish(&s);
}

/* ---- profiles ---- */

/* Blocks the commit of events that contain "slow". */
#define HOLD_SLOW                                                                                  \
    "CREATE FUNCTION wait_if_slow() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN "                 \
    "IF position('slow'::bytea IN NEW.json) > 0 THEN PERFORM pg_advisory_xact_lock(4711); END "    \
    "IF; RETURN NEW; END $$; CREATE TRIGGER slow BEFORE INSERT ON events FOR EACH ROW "            \
    "EXECUTE FUNCTION wait_if_slow()"

static const struct err *ask_for_name(struct job *job, struct room *room, struct sender *s,
                                      const char **ret_id)
{
    json_auto_t *name = json_string("Bob");
    *ret_id = "";
    return profile_set_field(job, s->author.user, s->author.user_id, "displayname", name);
}

static void command(PGconn *pg, const char *sql)
{
    PGresult *r = PQexec(pg, sql);
    assert_true(PQresultStatus(r) == PGRES_TUPLES_OK || PQresultStatus(r) == PGRES_COMMAND_OK);
    PQclear(r);
}

static bool has_name(struct job *job, const struct author *user)
{
    struct profile p;
    NO_ERR(profile_get(job_tx(job), user->user, &p));
    return p.displayname != NULL;
}

/* The committer has begun a batch, and waits for the log. */
static void wait_for_batch(PGconn *pg)
{
    bool waits = false;
    while (!waits) {
        PGresult *r = PQexec(pg, "SELECT FROM pg_stat_activity WHERE datname = current_database() "
                                 "AND wait_event_type = 'Lock'");
        waits = PQntuples(r) > 0;
        PQclear(r);
        wait_briefly();
    }
}

/* The name changes while the leave still waits: it must not become a join. */
static void a_new_name_brings_no_one_back(void **state)
{
    struct scope s;
    scope_init(&s, node_store());
    const char *room_id = create_public_room(&s.job, &alice, "12");
    NO_ERR(set_membership(&s.job, room_id, &bob, "join"));
    pg_must("account",
            pg_command(pg_uri(), arena_printf(s.arena,
                                              "INSERT INTO accounts (\"user\", "
                                              "created_ts) VALUES (%lld, 1) ON CONFLICT DO NOTHING",
                                              (long long)bob.user)));
    PGconn *slow;
    pg_must("connect", db_connect(pg_uri(), &slow));
    command(slow, HOLD_SLOW);
    command(slow, "SELECT pg_advisory_lock(4711)");
    PGconn *log = hold_log();
    struct sender *name = start_asking(room_id, bob, ask_for_name, NULL);
    wait_for_batch(slow); /* with the name alone */
    queue(room_id, bob, ban_event(bob.user_id, "{\"membership\":\"leave\",\"reason\":\"slow\"}"));
    let_log_go(log);
    while (!has_name(&s.job, &bob) && !name->is_over)
        wait_briefly();
    command(slow, "SELECT pg_advisory_unlock(4711)");
    join_senders();
    command(slow, "DROP TRIGGER slow ON events; DROP FUNCTION wait_if_slow");
    PQfinish(slow);
    assert_false(name->is_refused);
    assert_int_equal(membership_of(&s.job, room_id, bob), MEMBERSHIP_LEAVE);
    check_room(&s.job, room_id);
    scope_finish(&s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_kick_behind_a_ban_does_not_lift_it),
        cmocka_unit_test(an_unban_behind_an_unban_does_not_kick),
        cmocka_unit_test(a_join_behind_a_leave_joins),
        cmocka_unit_test(a_join_behind_a_join_is_the_same),
        cmocka_unit_test(an_invite_that_waits_lets_in),
        cmocka_unit_test(guests_are_kept_out_from_the_rule_on),
        cmocka_unit_test(the_authorising_user_is_still_a_member),
        cmocka_unit_test(a_condition_holds_until_the_rule_changes),
        cmocka_unit_test(decisions_on_changed_state_are_repeated),
        cmocka_unit_test(repeating_an_earlier_value_is_a_change),
        cmocka_unit_test(an_alias_is_dropped_from_the_newest_list),
        cmocka_unit_test(an_upgrade_behind_a_demotion_takes_nothing),
        cmocka_unit_test(an_upgrade_takes_along_bans_that_come_meanwhile),
        cmocka_unit_test(a_new_name_brings_no_one_back),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
