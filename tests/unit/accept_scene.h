/* A room of ours that bob of another server has joined, and events that he sends. */
#ifndef TESTS_ACCEPT_SCENE_H
#define TESTS_ACCEPT_SCENE_H

#include "node_with_alice.h"
#include "remote_events.h"

#include "rooms/room_cache.h"

#define BOB "@bob:remote.example"

struct scene {
    struct scope s;
    struct job *job;
    const char *room_id;
    const struct room_version *v;
    const char *create, *power, *rules; /* NULL: not cited in this version */
    const struct event *join;           /* bob's */
};

static inline const char *head_of(struct scene *c)
{
    struct room *room = room_named(c->job, c->room_id);
    return arena_strdup(c->job->arena, room->extremities[0]);
}

static inline int64_t depth_of(struct scene *c)
{
    return room_named(c->job, c->room_id)->depth;
}

static inline struct wanted bobs(struct scene *c, const char *type, const char *content)
{
    struct wanted w = {.type = type, .sender = BOB, .content = content};
    size_t n = 0;
    if (!c->v->room_id_is_create_hash)
        w.auth[n++] = c->create;
    w.auth[n++] = c->power;
    if (strcmp(type, "m.room.member") == 0)
        w.auth[n++] = c->rules;
    if (c->join)
        w.auth[n++] = c->join->event_id;
    w.prev[0] = head_of(c);
    w.depth = depth_of(c) + 1;
    return w;
}

static inline const struct event *make(struct scene *c, const struct wanted *w)
{
    return remote_event(c->job, c->v, c->room_id, w);
}

static inline enum accept_verdict take(struct scene *c, const struct event *e)
{
    return accept_one(c->job, c->room_id, e).verdict;
}

static inline void open_scene(struct scene *c, const char *version)
{
    *c = (struct scene){.job = NULL};
    scope_init(&c->s, node_store());
    c->job = &c->s.job;
    c->room_id = create_public_room(c->job, &alice, version);
    c->v = room_version_find(version);
    c->create = state_id(c->job, c->room_id, "m.room.create", "");
    c->power = state_id(c->job, c->room_id, "m.room.power_levels", "");
    c->rules = state_id(c->job, c->room_id, "m.room.join_rules", "");
    struct wanted w = bobs(c, "m.room.member", "{\"membership\":\"join\"}");
    w.state_key = BOB;
    const struct event *join = make(c, &w);
    assert_int_equal(take(c, join), VERDICT_ACCEPTED);
    c->join = join;
}

static inline void close_scene(struct scene *c)
{
    scope_finish(&c->s);
}

static inline void set_state(struct scene *c, const char *type, const char *key,
                             const char *content)
{
    const char *id;
    struct new_event e = {.type = type, .state_key = key, .content = str_of(content)};
    NO_ERR(room_append(c->job, room_named(c->job, c->room_id), &alice, &e, 1, &id));
}

#endif
