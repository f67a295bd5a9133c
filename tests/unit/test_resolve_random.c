/* For random forks, the room's current state is the result of its version's algorithm on the states
 * at its extremities, with all chains walked in full. */
#include "node_with_alice.h"
#include "random_draw.h"
#include "remote_events.h"

#include "matrix/auth/state_res.h"
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
    size_t accepted, forks;
};

/* ---- states ---- */

static const struct known_event *known(struct scene *c, const char *id)
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

static struct state_set state_before(struct scene *c, const char *id)
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

static struct state_set state_after(struct scene *c, const char *id)
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

static struct wanted draw_event(struct scene *c)
{
    static const char *const memberships[] = {"join", "leave", "ban", "invite"};
    static const char *const rules[] = {"public", "invite", "knock"};
    struct arena *a = c->job->arena;
    struct wanted w = {.sender = users[draw(USERS)], .state_key = ""};
    const char *target = users[draw(USERS)];
    switch (draw(9)) {
    case 0:
        w.type = "m.room.power_levels";
        w.content =
            arena_printf(a, "{\"users\":{%s\"%s\":100,\"%s\":%u,\"%s\":%u,\"%s\":%u}}",
                         c->v->privileged_creators ? "" : "\"@alice:test.example\":100,", users[0],
                         users[1], draw(3) * 50, users[2], draw(3) * 50, users[3], draw(2) * 50);
        break;
    case 1:
        w.type = "m.room.join_rules";
        w.content = arena_printf(a, "{\"join_rule\":\"%s\"}", rules[draw(3)]);
        break;
    case 2:
        w.type = "m.room.topic";
        w.content = arena_printf(a, "{\"topic\":\"%u\"}", draw(1000));
        break;
    case 3:
    case 4:
        w.type = "m.room.member";
        w.state_key = target;
        w.content = arena_printf(a, "{\"membership\":\"%s\"}", memberships[draw(4)]);
        break;
    case 5:
        w.type = "m.room.message";
        w.state_key = NULL;
        w.content = "{\"body\":\"hi\",\"msgtype\":\"m.text\"}";
        break;
    default:
        w.type = "m.room.member";
        w.state_key = w.sender;
        w.content = arena_printf(a, "{\"displayname\":\"%u\",\"membership\":\"join\"}", draw(1000));
    }
    return w;
}

static const struct event *make_event(struct scene *c, const struct state_set *state,
                                      const char *prev, const char *other_prev)
{
    struct wanted w = draw_event(c);
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

/* One event, or a chain of them that arrives together. */
static void step(struct scene *c)
{
    struct incoming in[TOGETHER];
    struct accept_outcome out[TOGETHER];
    size_t at = draw(3), n = draw(2) ? 1 : 1 + draw(TOGETHER);
    const char *prev = c->heads[at], *other = NULL;
    struct state_set state = state_after(c, prev);
    if (draw(6) == 0 && strcmp(c->heads[(at + 1) % 3], prev) != 0)
        other = c->heads[(at + 1) % 3];
    for (size_t i = 0; i < n; i++) {
        in[i] = (struct incoming){.event = make_event(c, &state, prev, i ? NULL : other)};
        prev = in[i].event->event_id;
        if (in[i].event->state_key)
            put(c->job->arena, &state, in[i].event); /* it may be refused after all */
    }
    NO_ERR(room_accept(c->job, room_named(c->job, c->room_id), in, n, out));
    for (size_t i = 0; i < n; i++) {
        if (out[i].verdict == VERDICT_MISSING)
            continue;
        if (in[i].event->prev_n == 1)
            check_goes_on(c, in[i].event);
        if (out[i].verdict != VERDICT_ACCEPTED)
            continue;
        c->accepted++;
        c->heads[at] = in[i].event->event_id;
    }
}

/* ---- the expected result ---- */

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

static void check_room(const char *version, uint32_t seed)
{
    struct scene c = {.v = room_version_find(version), .depth = 100};
    random_state = seed;
    scope_init(&c.s, node_store());
    c.job = &c.s.job;
    c.room_id = create_public_room(c.job, &alice, version);
    for (size_t i = 0; i < 3; i++)
        c.heads[i] = arena_strdup(c.job->arena, room_named(c.job, c.room_id)->extremities[0]);
    const char *content = arena_printf(
        c.job->arena, "{\"users\":{%s\"%s\":100,\"%s\":50}}",
        c.v->privileged_creators ? "" : "\"@alice:test.example\":100,", users[0], users[1]);
    const char *id;
    const struct new_event power = {
        .type = "m.room.power_levels", .state_key = "", .content = str_of(content)};
    NO_ERR(room_append(c.job, room_named(c.job, c.room_id), &alice, &power, 1, &id));
    for (size_t i = 0; i < 3; i++)
        c.heads[i] = id;
    for (size_t i = 0; i < STEPS; i++) {
        step(&c);
        check_state(&c);
    }
    print_message("v%s: %zu events accepted, %zu times with forks\n", version, c.accepted, c.forks);
    assert_in_range(c.forks, 1, STEPS);
    scope_finish(&c.s);
}

static void resolved_as_by_the_definition(void **state)
{
    static const char *const versions[] = {"1", "2", "10", "12"};
    for (size_t i = 0; i < sizeof versions / sizeof *versions; i++)
        for (uint32_t seed = 1; seed <= SEEDS; seed++)
            check_room(versions[i], seed * 2654435761u);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(resolved_as_by_the_definition, set_up, tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
