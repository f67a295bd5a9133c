/* An auth chain of any shape equals the result of a plain walk: deep, wide, with events that are
 * rejected, off the timeline, or missing. */
#include "node_with_alice.h"
#include "random_draw.h"
#include "remote_events.h"

#include "rooms/accept/outliers.h"
#include "rooms/state/auth_chain.h"
#include "rooms/state/lookup.h"
#include "storage/rooms/event_lookup.h"

enum { EVENTS = 300, REACH = 6, AWAY = 5, ASKED = 40 };

struct scene {
    struct scope s;
    struct job *job;
    const char *room_id;
    const struct room_version *v;
    const char *ids[EVENTS];
};

static void open_scene(struct scene *c, const char *version)
{
    *c = (struct scene){.v = room_version_find(version)};
    scope_init(&c->s, node_store());
    c->job = &c->s.job;
    c->room_id = create_public_room(c->job, &alice, version);
}

/* The state events of a new room, and a few earlier events. */
static const struct event *draw_event(struct scene *c, int i)
{
    struct wanted w = {.type = "m.room.member", .depth = 10 + i};
    struct arena *a = c->job->arena;
    size_t n = 0;
    w.sender = w.state_key = arena_printf(a, "@u%u:remote.example", draw(4));
    w.content = arena_printf(a, "{\"displayname\":\"%d\",\"membership\":\"join\"}", i);
    w.prev[0] = room_named(c->job, c->room_id)->extremities[0];
    if (!c->v->room_id_is_create_hash)
        w.auth[n++] = state_id(c->job, c->room_id, "m.room.create", "");
    w.auth[n++] = state_id(c->job, c->room_id, "m.room.power_levels", "");
    if (draw(2))
        w.auth[n++] = state_id(c->job, c->room_id, "m.room.join_rules", "");
    for (size_t k = 0; k < 3 && i; k++) {
        unsigned back = 1 + draw(i < REACH ? (unsigned)i : REACH);
        bool is_new = true;
        for (size_t m = 0; m < n; m++)
            is_new = is_new && strcmp(w.auth[m], c->ids[(unsigned)i - back]) != 0;
        if (is_new && (k == 0 || draw(3) == 0))
            w.auth[n++] = c->ids[(unsigned)i - back];
    }
    return remote_event(c->job, c->v, c->room_id, &w);
}

static void store_events(struct scene *c)
{
    const struct event *events[EVENTS];
    for (int i = 0; i < EVENTS; i++) {
        events[i] = draw_event(c, i);
        c->ids[i] = events[i]->event_id;
    }
    NO_ERR(outliers_store(c->job, room_named(c->job, c->room_id), events, EVENTS, NULL, NULL));
}

/* Moves an event to another room, where it is not part of the chain. */
static void move_away(struct scene *c, const char *id)
{
    char sql[200];
    struct str bytes = event_id_to_bytes(c->job->arena, c->v, id);
    snprintf(sql, sizeof sql, "UPDATE events SET room = -room WHERE event_id = '\\x%s'",
             hex_encode(c->job->arena, bytes.p, bytes.n));
    NO_ERR(pg_command(pg_uri(), sql));
}

/* One by one. */
static void walk(struct scene *c, struct lookup *l, const char *id, struct map *ret)
{
    const struct known_event *e;
    NO_ERR(lookup_get(l, id, &e));
    for (size_t i = 0; e && i < e->e.event->auth_n; i++) {
        const char *cited = e->e.event->auth_events[i];
        const struct known_event *known;
        NO_ERR(lookup_get(l, cited, &known));
        if (known && !map_put(ret, str_of(cited), (void *)cited))
            walk(c, l, cited, ret);
    }
}

static size_t check_chain(struct scene *c, const char *const *ids, size_t n)
{
    struct room *room = room_named(c->job, c->room_id);
    struct lookup *l = lookup_create(c->job, c->v, room->id);
    struct map expected = {0};
    const struct stored_event *chain;
    size_t chain_n, rejected = 0;
    for (size_t i = 0; i < n; i++)
        walk(c, l, ids[i], &expected);
    NO_ERR(auth_chain(c->job, room, ids, n, &chain, &chain_n));
    assert_int_equal(chain_n, expected.n);
    for (size_t i = 0; i < chain_n; i++) {
        assert_non_null(map_remove(&expected, str_of(chain[i].event->event_id)));
        rejected += chain[i].status == EVENT_REJECTED;
    }
    map_finish(&expected);
    return rejected;
}

static void as_a_plain_walk_finds_it(void **state)
{
    static const char *const versions[] = {"2", "10", "12"};
    for (size_t v = 0; v < sizeof versions / sizeof *versions; v++) {
        struct scene c;
        size_t rejected = 0;
        random_state = 4711u + (uint32_t)v;
        open_scene(&c, versions[v]);
        store_events(&c);
        for (int i = 0; i < AWAY; i++)
            move_away(&c, c.ids[draw(EVENTS)]);
        rejected += check_chain(&c, &c.ids[EVENTS - 1], 1);
        for (int i = 0; i < ASKED; i++) {
            const char *ids[3] = {c.ids[draw(EVENTS)], c.ids[draw(EVENTS)], "$unknown"};
            rejected += check_chain(&c, ids, 1 + draw(3));
        }
        assert_in_range(rejected, 1, INT32_MAX);
        scope_finish(&c.s);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(as_a_plain_walk_finds_it, set_up, tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
