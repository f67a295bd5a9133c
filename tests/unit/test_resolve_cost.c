/* The cost of state resolution depends on the size of the conflict: an event of a fork takes few
 * statements, however long the auth chains of the room's state are. */
#include "node_with_alice.h"
#include "remote_events.h"

#include "rooms/accept/outliers.h"
#include "rooms/state/auth_chain.h"
#include "rooms/state/state_at.h"
#include "storage/rooms/room_state.h"

#define BOB "@bob:remote.example"
enum { CHAIN = 10000, AT_ONCE = 1000, FORK = 31, STATEMENTS = 10 };

/* A room of ours that bob of the other server has joined, who may change its topic. */
struct scene {
    struct scope s;
    struct job *job;
    const char *room_id;
    const struct room_version *v;
    const char *create, *power, *rules;
    const char *bob; /* his newest member event */
    const char *prev;
    int64_t depth;
};

static const struct event *bobs(struct scene *c, const char *type, const char *key,
                                const char *content)
{
    struct wanted w = {.type = type, .sender = BOB, .state_key = key, .content = content};
    size_t n = 0;
    if (!c->v->room_id_is_create_hash)
        w.auth[n++] = c->create;
    w.auth[n++] = c->power;
    if (strcmp(type, "m.room.member") == 0)
        w.auth[n++] = c->rules;
    if (c->bob)
        w.auth[n++] = c->bob;
    w.prev[0] = c->prev;
    w.depth = ++c->depth;
    const struct event *e = remote_event(c->job, c->v, c->room_id, &w);
    c->prev = e->event_id;
    if (strcmp(type, "m.room.member") == 0)
        c->bob = e->event_id;
    return e;
}

static const struct event *bob_is_called(struct scene *c, int number)
{
    return bobs(
        c, "m.room.member", BOB,
        arena_printf(c->job->arena, "{\"displayname\":\"%d\",\"membership\":\"join\"}", number));
}

static void take(struct scene *c, const struct event *e)
{
    assert_int_equal(accept_one(c->job, c->room_id, e).verdict, VERDICT_ACCEPTED);
}

static void set_state(struct scene *c, const char *type, const char *content)
{
    const char *id;
    struct new_event e = {.type = type, .state_key = "", .content = str_of(content)};
    NO_ERR(room_append(c->job, room_named(c->job, c->room_id), &alice, &e, 1, &id));
}

static void go_on_from_head(struct scene *c)
{
    struct room *room = room_named(c->job, c->room_id);
    c->prev = arena_strdup(c->job->arena, room->extremities[0]);
    c->depth = room->depth;
}

static void open_scene(struct scene *c, const char *version)
{
    *c = (struct scene){.v = room_version_find(version)};
    scope_init(&c->s, node_store());
    c->job = &c->s.job;
    c->room_id = create_public_room(c->job, &alice, version);
    set_state(c, "m.room.power_levels",
              c->v->privileged_creators ? "{\"users\":{\"" BOB "\":50}}"
                                        : "{\"users\":{\"@alice:test.example\":100,\"" BOB
                                          "\":50}}");
    c->create = state_id(c->job, c->room_id, "m.room.create", "");
    c->power = state_id(c->job, c->room_id, "m.room.power_levels", "");
    c->rules = state_id(c->job, c->room_id, "m.room.join_rules", "");
    go_on_from_head(c);
    take(c, bob_is_called(c, 0));
}

static void close_scene(struct scene *c)
{
    scope_finish(&c->s);
}

/* Bob changes his name again and again, as every user can. */
static void make_chain(struct scene *c, int length)
{
    struct incoming in[AT_ONCE];
    struct accept_outcome out[AT_ONCE];
    go_on_from_head(c);
    for (int done = 0; done < length;) {
        size_t n = 0;
        for (; n < AT_ONCE && done < length; n++, done++)
            in[n] = (struct incoming){.event = bob_is_called(c, done + 1)};
        NO_ERR(room_accept(c->job, room_named(c->job, c->room_id), in, n, out));
        for (size_t i = 0; i < n; i++)
            assert_int_equal(out[i].verdict, VERDICT_ACCEPTED);
    }
}

/* The i-th event of bob on his side: messages, and every other kind of state. */
static const struct event *on_the_fork(struct scene *c, int i)
{
    if (i % 3 == 0)
        return bob_is_called(c, i);
    if (i % 3 == 1)
        return bobs(c, "m.room.topic", "", arena_printf(c->job->arena, "{\"topic\":\"%d\"}", i));
    return bobs(c, "m.room.message", NULL, "{\"body\":\"hi\",\"msgtype\":\"m.text\"}");
}

/* Statements of this test's job, without those of others. */
static int64_t statements(const struct scene *c)
{
    return c->job->tx.statements;
}

static int64_t counted(const char *name)
{
    return committer_counted(node_store()->storage->committer, name);
}

static int64_t count_rows(const char *sql)
{
    PGconn *pg;
    NO_ERR(db_connect(pg_uri(), &pg));
    PGresult *result = PQexec(pg, sql);
    int64_t n = atoll(PQgetvalue(result, 0, 0));
    PQclear(result);
    PQfinish(pg);
    return n;
}

static const char *versions[] = {"2", "12"};
#define EACH_VERSION(v)                                                                            \
    for (size_t v##_i = 0; v##_i < sizeof versions / sizeof *versions; v##_i++)                    \
        for (const char *v = versions[v##_i]; v; v = NULL)

/* The answers of /state, /event_auth and send_join. */
static void check_auth_chain(struct scene *c)
{
    const struct stored_event *chain;
    size_t n;
    int64_t before = statements(c);
    NO_ERR(auth_chain(c->job, room_named(c->job, c->room_id), &c->bob, 1, &chain, &n));
    assert_in_range(n, CHAIN, CHAIN + 10);
    assert_in_range(statements(c) - before, 1, STATEMENTS);
}

static void long_chains_cost_no_statements(void **state)
{
    EACH_VERSION(v)
    {
        struct scene c;
        int64_t most = 0, all;
        open_scene(&c, v);
        make_chain(&c, CHAIN);
        check_auth_chain(&c);
        set_state(&c, "m.room.topic", "{\"topic\":\"ours\"}"); /* bob has not seen it */
        all = statements(&c);
        for (int i = 0; i < FORK; i++) {
            int64_t before = statements(&c);
            take(&c, on_the_fork(&c, i));
            int64_t took = statements(&c) - before;
            if (took > STATEMENTS)
                print_message("v%s: event %d of the fork took %lld statements\n", v, i,
                              (long long)took);
            most = took > most ? took : most;
        }
        print_message("v%s: %lld statements for %d events\n", v, (long long)(statements(&c) - all),
                      FORK);
        assert_in_range(most, 1, STATEMENTS);
        close_scene(&c);
    }
}

/* Only the event itself is written: no other commit is made to find out which events are stored. */
static void an_event_of_a_fork_is_one_commit(void **state)
{
    EACH_VERSION(v)
    {
        struct scene c;
        open_scene(&c, v);
        set_state(&c, "m.room.topic", "{\"topic\":\"ours\"}");
        for (int i = 0; i < FORK; i++) {
            int64_t commits = counted("concorde_commits_total");
            int64_t writes = counted("concorde_writes_total");
            take(&c, on_the_fork(&c, i));
            assert_int_equal(counted("concorde_commits_total") - commits, 1);
            assert_int_equal(counted("concorde_writes_total") - writes, 1);
        }
        close_scene(&c);
    }
}

/* As after a gap: a chain of events is stored at once, up to 50. */
static void check_commits(int n, int commits_n)
{
    EACH_VERSION(v)
    {
        enum { MOST = 51 };
        struct scene c;
        struct incoming in[MOST];
        struct accept_outcome out[MOST];
        open_scene(&c, v);
        set_state(&c, "m.room.topic", "{\"topic\":\"ours\"}");
        take(&c, on_the_fork(&c, 1)); /* the current state is resolved */
        for (int i = 0; i < n; i++)
            in[i] = (struct incoming){.event = on_the_fork(&c, i)};
        int64_t commits = counted("concorde_commits_total"), before = statements(&c);
        NO_ERR(room_accept(c.job, room_named(c.job, c.room_id), in, (size_t)n, out));
        for (int i = 0; i < n; i++)
            assert_int_equal(out[i].verdict, VERDICT_ACCEPTED);
        for (int i = 1; i < n; i++)
            assert_int_equal(out[i].position, out[i - 1].position + 1);
        print_message("v%s: %lld statements for %d events at once\n", v,
                      (long long)(statements(&c) - before), n);
        assert_int_equal(counted("concorde_commits_total") - commits, commits_n);
        assert_in_range(statements(&c) - before, 1, commits_n * STATEMENTS);
        assert_string_equal(state_id(c.job, c.room_id, "m.room.member", BOB), c.bob);
        close_scene(&c);
    }
}

static void events_that_go_on_share_a_commit(void **state)
{
    check_commits(FORK, 1);
    check_commits(50, 1);
    check_commits(51, 2);
}

enum { TALKERS = 3, MESSAGES = 40 };

static void talk_or_fork(void *ctx, int number)
{
    struct scene *c = ctx;
    struct scope own;
    if (number == 0) {
        for (int i = 0; i < FORK; i++)
            take(c, on_the_fork(c, i));
        return;
    }
    scope_init(&own, node_store());
    for (int i = 0; i < MESSAGES; i++) {
        const char *id;
        struct new_event e = {.type = "m.room.message", .content = STR("{\"body\":\"hi\"}")};
        pg_must("append",
                room_append(&own.job, room_named(&own.job, c->room_id), &alice, &e, 1, &id));
    }
    scope_finish(&own);
}

/* Our queued events are stored before an event of a fork that arrives later, and none is lost. */
static void forks_and_our_messages_cross(void **state)
{
    EACH_VERSION(v)
    {
        struct scene c;
        char sql[160];
        open_scene(&c, v);
        set_state(&c, "m.room.topic", "{\"topic\":\"ours\"}");
        int64_t id = room_named(c.job, c.room_id)->id;
        crowd_run(TALKERS + 1, talk_or_fork, &c);
        snprintf(sql, sizeof sql,
                 "SELECT count(*) FROM events WHERE room = %lld AND position > 0 "
                 "AND json LIKE '%%\"body\":\"hi\"%%'",
                 (long long)id);
        assert_int_equal(count_rows(sql), TALKERS * MESSAGES + FORK / 3);
        assert_string_equal(state_id(c.job, c.room_id, "m.room.member", BOB), c.bob);
        close_scene(&c);
    }
}

/* Other writers of the room must not wait until the whole chain was read for each of the events: of
 * a name, a topic, a message, and the same again, only the messages share a write. */
static void check_writes_of_a_long_conflict(struct scene *c)
{
    enum { N = 6, STATES = 4 };
    struct incoming in[N];
    struct accept_outcome out[N];
    for (int i = 0; i < N; i++)
        in[i] = (struct incoming){.event = on_the_fork(c, i)};
    int64_t before = counted("concorde_writes_total");
    NO_ERR(room_accept(c->job, room_named(c->job, c->room_id), in, N, out));
    for (int i = 0; i < N; i++)
        assert_int_equal(out[i].verdict, VERDICT_ACCEPTED);
    assert_int_equal(counted("concorde_writes_total") - before, STATES);
}

/* Bob's server was away, and returns with a chain that is itself in conflict: all of it is read, in
 * few statements. */
static void a_long_conflict_costs_no_statements(void **state)
{
    static const char *const some[] = {"10", "12"};
    for (size_t k = 0; k < 2; k++) {
        struct scene c;
        struct accept_outcome out;
        open_scene(&c, some[k]);
        const struct event **chain = arena_alloc_array(c.job->arena, CHAIN, sizeof *chain);
        const char *was = c.bob;
        go_on_from_head(&c);
        for (int i = 0; i < CHAIN; i++)
            chain[i] = bob_is_called(&c, i + 1);
        set_state(&c, "m.room.topic", "{\"topic\":\"ours\"}");
        NO_ERR(outliers_store(c.job, room_named(c.job, c.room_id), chain, CHAIN, NULL, NULL));
        const struct stored_event *now;
        size_t now_n, ids_n = 0;
        NO_ERR(room_state_list(job_tx(c.job), room_named(c.job, c.room_id)->id, VALID_FOREVER - 1,
                               STATE_ALL, &now, &now_n));
        const char **ids = arena_alloc_array(c.job->arena, now_n + 1, sizeof *ids);
        for (size_t i = 0; i < now_n; i++)
            if (strcmp(now[i].event->type, "m.room.topic") != 0)
                ids[ids_n++] =
                    strcmp(now[i].event->event_id, was) == 0 ? c.bob : now[i].event->event_id;
        struct incoming back = {.event = bobs(&c, "m.room.message", NULL, "{\"body\":\"back\"}"),
                                .state_ids = ids,
                                .state_n = ids_n};
        int64_t before = statements(&c);
        NO_ERR(room_accept(c.job, room_named(c.job, c.room_id), &back, 1, &out));
        assert_int_equal(out.verdict, VERDICT_ACCEPTED);
        print_message("v%s: %lld statements for the first event\n", some[k],
                      (long long)(statements(&c) - before));
        /* And the received state, and two new names. */
        assert_in_range(statements(&c) - before, 1, STATEMENTS + 4);
        assert_string_equal(state_id(c.job, c.room_id, "m.room.member", BOB), c.bob);
        for (int i = 0; i < 4; i++) {
            before = statements(&c);
            take(&c, on_the_fork(&c, i));
            assert_in_range(statements(&c) - before, 1, STATEMENTS);
        }
        check_writes_of_a_long_conflict(&c);
        close_scene(&c);
    }
}

/* Moves an event into another room, where it does not count, or back. */
static void move_away_or_back(struct scene *c, const char *id)
{
    char sql[200];
    struct str bytes = event_id_to_bytes(c->job->arena, c->v, id);
    snprintf(sql, sizeof sql, "UPDATE events SET room = -room WHERE event_id = '\\x%s'",
             hex_encode(c->job->arena, bytes.p, bytes.n));
    NO_ERR(pg_command(pg_uri(), sql));
}

/* An auth event that was missing when numbers were assigned gets its number when it arrives. */
static void missing_events_get_their_number(void **state)
{
    struct scene c;
    open_scene(&c, "10");
    make_chain(&c, 3);
    const char *missing = c.bob;
    make_chain(&c, 40); /* more than are kept in memory before they are stored */
    set_state(&c, "m.room.topic", "{\"topic\":\"ours\"}");
    move_away_or_back(&c, missing);
    for (int i = 0; i < 4; i++)
        take(&c, on_the_fork(&c, i));
    assert_int_equal(count_rows("SELECT count(*) FROM auth_nodes WHERE lacks IS NOT NULL"), 1);
    int64_t nodes = count_rows("SELECT count(*) FROM auth_nodes");
    move_away_or_back(&c, missing);
    for (int i = 0; i < 4; i++)
        take(&c, on_the_fork(&c, i));
    assert_int_equal(count_rows("SELECT count(*) FROM auth_nodes WHERE lacks IS NOT NULL"), 0);
    assert_in_range(count_rows("SELECT count(*) FROM auth_nodes"), nodes + 1, INT32_MAX);
    close_scene(&c);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(long_chains_cost_no_statements, set_up, tear_down),
        cmocka_unit_test_setup_teardown(an_event_of_a_fork_is_one_commit, set_up, tear_down),
        cmocka_unit_test_setup_teardown(events_that_go_on_share_a_commit, set_up, tear_down),
        cmocka_unit_test_setup_teardown(forks_and_our_messages_cross, set_up, tear_down),
        cmocka_unit_test_setup_teardown(missing_events_get_their_number, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_long_conflict_costs_no_statements, set_up, tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
