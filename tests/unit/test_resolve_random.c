/* Random events on forks: the verdict on each is what the rules say by its auth events, the state
 * before it and the current state; and the room's current state is the result of its version's
 * algorithm on the states at its extremities, with all chains walked in full. */
#include "node_with_alice.h"
#include "random_draw.h"
#include "remote_events.h"

#include "matrix/auth/state_res.h"
#include "rooms/accept/outliers.h"
#include "rooms/state/lookup.h"
#include "rooms/state/state_at.h"
#include "storage/rooms/event_lookup.h"
#include "storage/rooms/room_state.h"

enum { USERS = 4, STEPS = 30, SEEDS = 3, EXTREMITIES_MAX = 20, TOGETHER = 8 };

static const char *const users[USERS] = {"@bob:remote.example", "@carol:remote.example",
                                         "@dave:remote.example", "@erin:remote.example"};
struct scene {
    struct scope s;
    struct job *job;
    const char *room_id;
    const struct room_version *v;
    const char *heads[3]; /* forks, by the newest event of each */
    int64_t depth;
    size_t accepted, forks, shared; /* shared: with the event before in one write */
};

/* ---- states ---- */

static const struct known_event *known(const struct scene *c, const char *id)
{
    struct lookup *l = lookup_create(c->job, c->v, room_named(c->job, c->room_id)->id);
    const struct known_event *e;
    pg_must("lookup", lookup_get(l, id, &e));
    return e;
}

static void put(struct arena *a, struct state_set *set, const struct event *e)
{
    struct state_entry *entries = (struct state_entry *)set->entries, *own = NULL;
    for (size_t i = 0; i < set->n; i++)
        if (strcmp(entries[i].type, e->type) == 0 &&
            strcmp(entries[i].state_key, e->state_key) == 0)
            own = &entries[i];
    if (!own)
        own = &entries[set->n++];
    *own = (struct state_entry){e->type, e->state_key, e->event_id};
}

static struct state_set state_before(const struct scene *c, const char *id)
{
    const struct known_event *e = known(c, id);
    const struct stored_event *list;
    size_t n;
    bool is_known;
    pg_must("state_before_list", state_before_list(c->job, room_named(c->job, c->room_id),
                                                   e->e.position, &list, &n, &is_known));
    assert_true(is_known);
    struct state_set set = {arena_alloc_array(c->job->arena, n + 1 + TOGETHER, sizeof *set.entries),
                            0};
    for (size_t i = 0; i < n; i++)
        put(c->job->arena, &set, list[i].event);
    return set;
}

static struct state_set state_after(const struct scene *c, const char *id)
{
    const struct known_event *e = known(c, id);
    struct state_set set = state_before(c, id);
    if (e->e.is_state && e->e.status != EVENT_REJECTED)
        put(c->job->arena, &set, e->e.event);
    return set;
}

static const char *find(const struct state_set *set, const char *type, const char *key)
{
    for (size_t i = 0; i < set->n; i++)
        if (strcmp(set->entries[i].type, type) == 0 && strcmp(set->entries[i].state_key, key) == 0)
            return set->entries[i].event_id;
    return NULL;
}

/* ---- random events of users ---- */

/* Cites the events of a state. */
struct citing {
    const struct scene *c;
    const struct state_set *state;
    struct wanted *w;
    size_t n;
};

static void cite(void *ctx, const char *type, const char *key)
{
    struct citing *citing = ctx;
    const char *id = find(citing->state, type, key);
    if (strcmp(type, "m.room.create") == 0 && citing->c->v->room_id_is_create_hash)
        return;
    if (id)
        citing->w->auth[citing->n++] = id;
}

static const char *draw_power(struct scene *c)
{
    const char *owner = c->v->privileged_creators ? "" : "\"@alice:test.example\":100,";
    return arena_printf(c->job->arena, "{\"users\":{%s\"%s\":100,\"%s\":%u,\"%s\":%u,\"%s\":%u}}",
                        owner, users[0], users[1], draw(5) ? 50 : draw(3) * 50, users[2],
                        draw(3) ? 50 : draw(3) * 50, users[3], draw(3) * 50);
}

static struct wanted draw_event(struct scene *c)
{
    static const char *const memberships[] = {"join", "leave", "ban", "invite"};
    static const char *const rules[] = {"public", "invite", "knock"};
    struct arena *a = c->job->arena;
    struct wanted w = {.sender = users[draw(USERS)], .state_key = ""};
    const char *target = users[draw(USERS)];
    switch (draw(12)) {
    case 0:
        w.type = "m.room.power_levels";
        w.content = draw_power(c);
        break;
    case 1:
        w.type = "m.room.join_rules";
        w.content = arena_printf(a, "{\"join_rule\":\"%s\"}", rules[draw(3)]);
        break;
    case 2:
    case 3:
        w.type = "m.room.topic";
        w.content = arena_printf(a, "{\"topic\":\"%u\"}", draw(1000));
        break;
    case 4:
    case 5:
        w.type = "m.room.member";
        w.state_key = target;
        w.content = arena_printf(a, "{\"membership\":\"%s\"}", memberships[draw(4)]);
        break;
    case 6:
        w.type = "m.room.message";
        w.state_key = NULL;
        w.content = "{\"body\":\"hi\",\"msgtype\":\"m.text\"}";
        break;
    case 7:
        w.type = "m.room.redaction";
        w.state_key = NULL;
        w.redacts = c->heads[draw(3)];
        w.content =
            c->v->redacts_in_content ? arena_printf(a, "{\"redacts\":\"%s\"}", w.redacts) : "{}";
        break;
    case 8:
    case 9:
        w.type = "org.example.item";
        w.state_key = draw(2) ? "a" : "b";
        w.content = arena_printf(a, "{\"item\":\"%u\"}", draw(1000));
        break;
    default:
        w.type = "m.room.member";
        w.state_key = w.sender;
        w.content = arena_printf(a, "{\"displayname\":\"%u\",\"membership\":\"join\"}", draw(1000));
    }
    return w;
}

static const struct event *make_event(struct scene *c, struct wanted w,
                                      const struct state_set *state, const char *prev,
                                      const char *other_prev)
{
    struct citing citing = {.c = c, .state = state, .w = &w};
    json_auto_t *content = json_loads(w.content, 0, NULL);
    auth_events_for(c->v, w.type, w.sender, w.state_key, content, cite, &citing);
    w.prev[0] = prev;
    w.prev[1] = other_prev;
    w.depth = ++c->depth;
    w.ts = 1700000000000 + draw(40);
    return remote_event(c->job, c->v, c->room_id, &w);
}

/* The stored state before an event is the state after its parent. */
static void check_goes_on(struct scene *c, const struct event *e)
{
    struct state_set before = state_before(c, e->event_id),
                     after = state_after(c, e->prev_events[0]);
    for (size_t i = 0; i < before.n; i++) {
        const struct state_entry *entry = &before.entries[i];
        const char *id = find(&after, entry->type, entry->state_key);
        if (!id || strcmp(id, entry->event_id) != 0)
            fail_msg("v%s: before %s %s %s is %s, not %s", c->v->id, e->event_id, entry->type,
                     entry->state_key, entry->event_id, id ? id : "gone");
    }
    assert_int_equal(before.n, after.n);
}

/* ---- the expected result ---- */

/* A chain of events, as the rules judge them one by one. */
struct judged {
    const struct event *e;
    enum accept_verdict verdict;
};

struct model {
    struct scene *c;
    struct lookup *stored;
    struct judged judged[TOGETHER];
    size_t n;
    const char *extremities[EXTREMITIES_MAX + 1];
    struct state_set after[EXTREMITIES_MAX + 1]; /* each of them */
    size_t extremities_n;
    struct state_set before, current; /* before: the next event */
};

static const struct event *model_event(void *ctx, const char *id, bool *ret_rejected)
{
    struct model *m = ctx;
    const struct known_event *e;
    for (size_t i = 0; i < m->n; i++)
        if (strcmp(m->judged[i].e->event_id, id) == 0) {
            *ret_rejected = m->judged[i].verdict == VERDICT_REJECTED;
            return m->judged[i].e;
        }
    pg_must("lookup", lookup_get(m->stored, id, &e));
    *ret_rejected = e && e->e.status == EVENT_REJECTED;
    return e ? e->e.event : NULL;
}

static struct state_set resolve(struct model *m, const struct state_set *sets, size_t n)
{
    struct state_set outcome;
    const struct state_res_source source = {.get_event = model_event, .ctx = m};
    NO_ERR(state_resolve(m->c->job->arena, m->c->v, &source, sets, n, &outcome));
    return outcome;
}

static struct state_set with(struct scene *c, const struct state_set *set, const struct event *e)
{
    struct state_set copy = {arena_alloc_array(c->job->arena, set->n + 1, sizeof *copy.entries),
                             set->n};
    memcpy((void *)copy.entries, set->entries, set->n * sizeof *copy.entries);
    if (e->state_key)
        put(c->job->arena, &copy, e);
    return copy;
}

struct by_set {
    struct model *m;
    const struct state_set *set;
};

static const struct event *get_of_set(const struct auth_state *s, const char *type,
                                      const char *state_key)
{
    const struct by_set *by = s->ctx;
    const char *id = find(by->set, type, state_key);
    bool rejected;
    return id ? model_event(by->m, id, &rejected) : NULL;
}

static bool is_allowed(struct model *m, const struct event *e, const struct state_set *set)
{
    struct by_set by = {m, set};
    return !auth_check(e, &(struct auth_state){.get = get_of_set, .ctx = &by});
}

static bool is_allowed_by_cited(struct model *m, const struct event *e)
{
    const struct event *cited[8];
    bool rejected[8] = {false};
    struct auth_state_list list;
    bool in_create;
    for (size_t i = 0; i < e->auth_n; i++)
        assert_non_null(cited[i] = model_event(m, e->auth_events[i], &rejected[i]));
    const char *create = find(&m->before, "m.room.create", "");
    auth_state_list_init(&list, cited, e->auth_n, model_event(m, create, &in_create));
    return !auth_check_auth_events(e, cited, rejected) && !auth_check(e, &list.state);
}

/* The event takes the place of the extremities that it cites. */
static void go_on_to(struct model *m, const struct event *e)
{
    size_t n = 0;
    for (size_t i = 0; i < m->extremities_n; i++) {
        bool is_cited = false;
        for (size_t k = 0; k < e->prev_n; k++)
            is_cited |= strcmp(e->prev_events[k], m->extremities[i]) == 0;
        m->extremities[n] = m->extremities[i];
        m->after[n] = m->after[i];
        n += !is_cited;
    }
    assert_in_range(n, 0, EXTREMITIES_MAX);
    m->extremities[n] = e->event_id;
    m->after[n++] = m->before;
    m->extremities_n = n;
    m->current = resolve(m, m->after, n);
}

static void judge(struct model *m, const struct event *e)
{
    struct judged *j = &m->judged[m->n];
    j->e = e;
    if (!is_allowed_by_cited(m, e) || !is_allowed(m, e, &m->before))
        j->verdict = VERDICT_REJECTED;
    else
        j->verdict = is_allowed(m, e, &m->current) ? VERDICT_ACCEPTED : VERDICT_SOFT_FAILED;
    m->n++;
    if (j->verdict != VERDICT_REJECTED)
        m->before = with(m->c, &m->before, e);
    if (j->verdict == VERDICT_ACCEPTED)
        go_on_to(m, e);
}

static void begin_model(struct scene *c, const char *prev, const char *other, struct model *ret)
{
    struct room *room = room_named(c->job, c->room_id);
    struct state_set parents[2] = {state_after(c, prev)};
    *ret = (struct model){.c = c, .stored = lookup_create(c->job, c->v, room->id)};
    if (other)
        parents[1] = state_after(c, other);
    ret->before = other ? resolve(ret, parents, 2) : parents[0];
    for (size_t i = 0; i < room->extremities_n; i++) {
        ret->extremities[i] = arena_strdup(c->job->arena, room->extremities[i]);
        ret->after[i] = state_after(c, room->extremities[i]);
    }
    ret->extremities_n = room->extremities_n;
    ret->current = resolve(ret, ret->after, ret->extremities_n);
}

/* ---- the result ---- */

static const char *const verdicts[] = {
    [VERDICT_ACCEPTED] = "accepted",       [VERDICT_KNOWN] = "known",
    [VERDICT_MISSING] = "missing",         [VERDICT_REJECTED] = "rejected",
    [VERDICT_SOFT_FAILED] = "soft-failed",
};

static void accept_and_check(struct scene *c, const struct model *m, const struct incoming *in,
                             size_t n, size_t known_n)
{
    struct accept_outcome out[TOGETHER];
    NO_ERR(room_accept(c->job, room_named(c->job, c->room_id), in, n, out));
    for (size_t i = 0; i < n; i++) {
        enum accept_verdict wanted = i < known_n ? VERDICT_KNOWN : m->judged[i].verdict;
        if (out[i].verdict != wanted)
            fail_msg("v%s: %s (%s of %s, %zu of %zu) is %s, not %s: %s", c->v->id,
                     in[i].event->event_id, in[i].event->type, in[i].event->sender, i, n,
                     verdicts[out[i].verdict], verdicts[wanted],
                     out[i].reason ? out[i].reason : "");
        if (in[i].event->prev_n == 1)
            check_goes_on(c, in[i].event);
    }
}

/* As when other events cite some of them. */
static void store_some_as_outliers(struct scene *c, const struct incoming *in, size_t n)
{
    const struct event *some[TOGETHER];
    const char *const *missing;
    size_t some_n = 0, missing_n;
    for (size_t i = 0; i < n; i++)
        if (draw(3) == 0)
            some[some_n++] = in[i].event;
    NO_ERR(
        outliers_store(c->job, room_named(c->job, c->room_id), some, some_n, &missing, &missing_n));
}

/* The first write then fails, as when another process has changed the room, and is tried anew. */
static void change_head_elsewhere(struct scene *c)
{
    char sql[100];
    snprintf(sql, sizeof sql, "UPDATE rooms SET version = version + 1 WHERE id = %lld",
             (long long)room_named(c->job, c->room_id)->id);
    NO_ERR(pg_command(pg_uri(), sql));
}

/* One event, or a chain of them that arrives together. */
static void step(struct scene *c)
{
    struct incoming in[TOGETHER];
    struct model m;
    size_t at = draw(3), n = draw(2) ? 1 : 1 + draw(TOGETHER),
           first = draw(6) ? 0 : draw((uint32_t)n);
    const char *prev = c->heads[at], *other = NULL;
    if (draw(6) == 0 && strcmp(c->heads[(at + 1) % 3], prev) != 0)
        other = c->heads[(at + 1) % 3];
    begin_model(c, prev, other, &m);
    struct state_set cited = m.before;
    for (size_t i = 0; i < n; i++) {
        const struct event *e = make_event(c, draw_event(c), &cited, prev, i ? NULL : other);
        in[i] = (struct incoming){.event = e};
        judge(&m, e);
        prev = e->event_id;
        cited = with(c, draw(4) ? &m.before : &cited, e); /* it may have been refused */
    }
    if (draw(4) == 0)
        store_some_as_outliers(c, in, n);
    if (draw(5) == 0)
        change_head_elsewhere(c);
    int64_t writes = committer_counted(node_store()->storage->committer, "concorde_writes_total");
    if (first)
        accept_and_check(c, &m, in, first, 0);
    accept_and_check(c, &m, in, n, first);
    for (size_t i = 0; i < n; i++)
        if (m.judged[i].verdict == VERDICT_ACCEPTED) {
            c->accepted++;
            c->heads[at] = in[i].event->event_id;
        }
    writes = committer_counted(node_store()->storage->committer, "concorde_writes_total") - writes;
    c->shared += m.extremities_n > 1 && (int64_t)n > writes ? n - (size_t)writes : 0;
}

static const struct event *get_stored(void *ctx, const char *id, bool *ret_rejected)
{
    const struct known_event *e;
    pg_must("lookup", lookup_get(ctx, id, &e));
    *ret_rejected = e && e->e.status == EVENT_REJECTED;
    return e ? e->e.event : NULL;
}

static void check_state(struct scene *c)
{
    struct room *room = room_named(c->job, c->room_id);
    struct state_set sets[EXTREMITIES_MAX], expected;
    size_t n = 0, now_n;
    const struct stored_event *now;
    assert_in_range(room->extremities_n, 1, EXTREMITIES_MAX);
    for (; n < room->extremities_n; n++)
        sets[n] = state_after(c, room->extremities[n]);
    const struct state_res_source source = {.get_event = get_stored,
                                            .ctx = lookup_create(c->job, c->v, room->id)};
    NO_ERR(state_resolve(c->job->arena, c->v, &source, sets, n, &expected));
    NO_ERR(room_state_list(job_tx(c->job), room->id, VALID_FOREVER - 1, STATE_ALL, &now, &now_n));
    c->forks += n > 1;
    for (size_t i = 0; i < now_n; i++) {
        const char *id = find(&expected, now[i].event->type, now[i].event->state_key);
        if (!id || strcmp(id, now[i].event->event_id) != 0)
            fail_msg("v%s: %s %s is %s, not %s", c->v->id, now[i].event->type,
                     now[i].event->state_key, now[i].event->event_id, id ? id : "gone");
    }
    assert_int_equal(now_n, expected.n);
}

/* All but the last may change the state. */
static void let_all_join(struct scene *c)
{
    for (size_t i = 0; i < USERS; i++) {
        struct state_set state = state_after(c, c->heads[0]);
        const struct wanted join = {.type = "m.room.member",
                                    .sender = users[i],
                                    .state_key = users[i],
                                    .content = "{\"membership\":\"join\"}"};
        const struct event *e = make_event(c, join, &state, c->heads[0], NULL);
        assert_int_equal(accept_one(c->job, c->room_id, e).verdict, VERDICT_ACCEPTED);
        for (size_t k = 0; k < 3; k++)
            c->heads[k] = e->event_id;
    }
}

static void open_scene(struct scene *c, const char *version, uint32_t seed)
{
    *c = (struct scene){.v = room_version_find(version), .depth = 100};
    random_state = seed;
    scope_init(&c->s, node_store());
    c->job = &c->s.job;
    c->room_id = create_public_room(c->job, &alice, version);
    const char *content =
        arena_printf(c->job->arena, "{\"users\":{%s\"%s\":100,\"%s\":50,\"%s\":50}}",
                     c->v->privileged_creators ? "" : "\"@alice:test.example\":100,", users[0],
                     users[1], users[2]);
    const struct new_event power = {
        .type = "m.room.power_levels", .state_key = "", .content = str_of(content)};
    NO_ERR(room_append(c->job, room_named(c->job, c->room_id), &alice, &power, 1, &c->heads[0]));
    let_all_join(c);
}

static void check_room(const char *version, uint32_t seed)
{
    struct scene c;
    open_scene(&c, version, seed);
    for (size_t i = 0; i < STEPS; i++) {
        step(&c);
        check_state(&c);
    }
    print_message(
        "v%s, seed %u: %zu accepted, %zu of them in shared writes, %zu times with forks\n", version,
        seed, c.accepted, c.shared, c.forks);
    assert_in_range(c.forks, 1, STEPS);
    scope_finish(&c.s);
}

/* ---- at the same time ---- */

enum { BRANCHES = 3, BRINGERS = 4, TALKERS = 2, RUNS = 3, TALKS = 12 };

struct branch {
    const struct event *events[RUNS * TOGETHER];
};

struct crowd {
    const char *room_id;
    struct branch branches[BRANCHES];
};

static void bring_run(struct crowd *crowd, const struct event *const *events)
{
    struct scope s;
    struct incoming in[TOGETHER];
    struct accept_outcome out[TOGETHER];
    scope_init(&s, node_store());
    for (size_t i = 0; i < TOGETHER; i++)
        in[i] = (struct incoming){.event = events[i]};
    pg_must("room_accept",
            room_accept(&s.job, room_named(&s.job, crowd->room_id), in, TOGETHER, out));
    for (size_t i = 0; i < TOGETHER; i++)
        assert_int_not_equal(out[i].verdict, VERDICT_MISSING);
    scope_finish(&s);
}

static void talk(struct crowd *crowd, int i)
{
    struct scope s;
    const char *id;
    scope_init(&s, node_store());
    const char *content = arena_printf(s.job.arena, "{\"topic\":\"%d\"}", i);
    const struct new_event topic = {
        .type = "m.room.topic", .state_key = "", .content = str_of(content)};
    if (i % 3 == 0)
        pg_must("topic",
                room_append(&s.job, room_named(&s.job, crowd->room_id), &alice, &topic, 1, &id));
    else
        pg_must("text", send_text(&s.job, crowd->room_id, &alice, "hi", &id));
    scope_finish(&s);
}

/* Two bring the first branch. */
static void bring_or_talk(void *ctx, int number)
{
    struct crowd *crowd = ctx;
    for (size_t i = 0; i < RUNS && number < BRINGERS; i++)
        bring_run(crowd, crowd->branches[number % BRANCHES].events + i * TOGETHER);
    for (int i = 0; i < TALKS && number >= BRINGERS; i++)
        talk(crowd, i);
}

static void draw_branch(struct scene *c, struct branch *ret)
{
    struct state_set cited = state_after(c, c->heads[0]);
    const char *prev = c->heads[0];
    for (size_t i = 0; i < RUNS * TOGETHER; i++) {
        ret->events[i] = make_event(c, draw_event(c), &cited, prev, NULL);
        prev = ret->events[i]->event_id;
        cited = with(c, &cited, ret->events[i]);
    }
}

static void check_room_of_many(const char *version, uint32_t seed)
{
    struct scene c;
    struct crowd crowd;
    open_scene(&c, version, seed);
    crowd.room_id = c.room_id;
    for (size_t i = 0; i < BRANCHES; i++)
        draw_branch(&c, &crowd.branches[i]);
    crowd_run(BRINGERS + TALKERS, bring_or_talk, &crowd);
    check_state(&c);
    for (size_t i = 0; i < BRANCHES; i++)
        for (size_t k = 0; k < RUNS * TOGETHER; k++)
            check_goes_on(&c, crowd.branches[i].events[k]);
    scope_finish(&c.s);
}

/* For a long search: from which seed on, and how many. */
static uint32_t number_of(const char *variable, uint32_t otherwise)
{
    const char *text = getenv(variable);
    return text ? (uint32_t)atoi(text) : otherwise;
}

static void the_same_with_all_at_once(void **state)
{
    static const char *const versions[] = {"1", "10", "12"};
    uint32_t from = number_of("RESOLVE_FROM", 1), seeds = number_of("RESOLVE_CROWDS", 1);
    for (size_t i = 0; i < sizeof versions / sizeof *versions; i++)
        for (uint32_t seed = from; seed < from + seeds; seed++)
            check_room_of_many(versions[i], seed * 2654435761u);
}

static void resolved_as_by_the_definition(void **state)
{
    static const char *const versions[] = {"1", "2", "10", "12"};
    uint32_t from = number_of("RESOLVE_FROM", 1), seeds = number_of("RESOLVE_SEEDS", SEEDS);
    for (size_t i = 0; i < sizeof versions / sizeof *versions; i++)
        for (uint32_t seed = from; seed < from + seeds; seed++)
            check_room(versions[i], seed * 2654435761u);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(resolved_as_by_the_definition, set_up, tear_down),
        cmocka_unit_test_setup_teardown(the_same_with_all_at_once, set_up, tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
