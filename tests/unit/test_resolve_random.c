/* Whatever servers do on forks, the room's current state is what the algorithm of its version makes
 * of the states at its extremities, with all chains walked in full. */
#include "node_with_alice.h"
#include "random_draw.h"
#include "remote_events.h"

#include "matrix/auth/state_res.h"
#include "rooms/state/lookup.h"
#include "rooms/state/state_at.h"
#include "storage/rooms/event_lookup.h"

enum { USERS = 4, STEPS = 60, SEEDS = 3, EXTREMITIES_MAX = 20 };

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

/* ---- what a user might do ---- */

/* Cites what the state after `prev` has. */
struct citing {
    struct scene *c;
    int64_t prev;
    struct wanted *w;
    size_t n;
};

static void cite(void *ctx, const char *type, const char *key)
{
    struct citing *citing = ctx;
    struct job *job = citing->c->job;
    const struct stored_event *e;
    int64_t type_id;
    if (strcmp(type, "m.room.create") == 0 && citing->c->v->room_id_is_create_hash)
        return;
    pg_must("intern", intern_id(node_store()->intern, INTERN_TYPE, type, &type_id));
    pg_must("state", state_after_get(job, room_named(job, citing->c->room_id), citing->prev,
                                     type_id, key, &e));
    if (e)
        citing->w->auth[citing->n++] = e->event->event_id;
}

static struct wanted draw_event(struct scene *c)
{
    static const char *const memberships[] = {"join", "leave", "ban", "invite"};
    static const char *const rules[] = {"public", "invite", "knock"};
    struct arena *a = c->job->arena;
    struct wanted w = {.sender = users[draw(USERS)], .state_key = ""};
    const char *target = users[draw(USERS)];
    switch (draw(8)) {
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
    default:
        w.type = "m.room.member";
        w.state_key = w.sender;
        w.content = arena_printf(a, "{\"displayname\":\"%u\",\"membership\":\"join\"}", draw(1000));
    }
    return w;
}

static const struct known_event *known(struct scene *c, const char *id)
{
    struct lookup *l = lookup_create(c->job, c->v, room_named(c->job, c->room_id)->id);
    const struct known_event *e;
    pg_must("lookup", lookup_get(l, id, &e));
    return e;
}

static void step(struct scene *c)
{
    size_t at = draw(3);
    struct wanted w = draw_event(c);
    struct citing citing = {.c = c, .prev = known(c, c->heads[at])->e.position, .w = &w};
    json_auto_t *content = json_loads(w.content, 0, NULL);
    auth_events_for(c->v, w.type, w.sender, w.state_key, content, cite, &citing);
    w.prev[0] = c->heads[at];
    if (draw(6) == 0 && strcmp(c->heads[(at + 1) % 3], w.prev[0]) != 0)
        w.prev[1] = c->heads[(at + 1) % 3];
    w.depth = ++c->depth;
    w.ts = 1700000000000 + draw(40);
    const struct event *e = remote_event(c->job, c->v, c->room_id, &w);
    if (accept_one(c->job, c->room_id, e).verdict != VERDICT_ACCEPTED)
        return;
    c->accepted++;
    c->heads[at] = e->event_id;
}

/* ---- what must come of it ---- */

static const struct event *get_stored(void *ctx, const char *id, bool *ret_rejected)
{
    const struct known_event *e;
    pg_must("lookup", lookup_get(ctx, id, &e));
    *ret_rejected = e && e->e.status == EVENT_REJECTED;
    return e ? e->e.event : NULL;
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

static struct state_set state_after(struct scene *c, const char *id)
{
    const struct known_event *e = known(c, id);
    const struct stored_event *list;
    size_t n;
    bool is_known;
    pg_must("state_before_list", state_before_list(c->job, room_named(c->job, c->room_id),
                                                   e->e.position, &list, &n, &is_known));
    assert_true(is_known);
    struct state_set set = {arena_alloc_array(c->job->arena, n + 1, sizeof *set.entries), 0};
    for (size_t i = 0; i < n; i++)
        put(c->job->arena, &set, list[i].event);
    if (e->e.is_state)
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
