/* Events as another server may send them: signed with its key, citing the given events. */
#ifndef TESTS_REMOTE_EVENTS_H
#define TESTS_REMOTE_EVENTS_H

#include "node_fixture.h"
#include "rooms/accept/accept.h"

static struct signing_key remote_key_;

static inline const struct signing_key *remote_key(void)
{
    if (!remote_key_.id[0])
        signing_key_make(&remote_key_);
    return &remote_key_;
}

struct wanted {
    const char *type, *sender, *state_key, *content, *redacts;
    const char *prev[4]; /* ids, NULL behind the last */
    const char *auth[8];
    int64_t depth, ts;
};

static inline size_t count_ids_(const char *const *ids)
{
    size_t n = 0;
    while (ids[n])
        n++;
    return n;
}

static inline const struct event *remote_event(struct job *job, const struct room_version *v,
                                               const char *room_id, const struct wanted *w)
{
    static int64_t clock = 1700000000000;
    const char *no_hashes[8] = {"", "", "", "", "", "", "", ""};
    struct event_template t = {
        .room_id = room_id,
        .type = w->type,
        .sender = w->sender,
        .state_key = w->state_key,
        .redacts = w->redacts,
        .content = str_of(w->content),
        .origin_server_ts = w->ts ? w->ts : clock++,
        .depth = w->depth,
        .prev_events = w->prev,
        .prev_n = count_ids_(w->prev),
        .auth_events = w->auth,
        .auth_n = count_ids_(w->auth),
        .prev_hashes = no_hashes,
        .auth_hashes = no_hashes,
    };
    struct event *e;
    pg_must("event_build", event_build(v, &t, "remote.example", remote_key(), &e));
    return event_keep(job->arena, e);
}

/* The id of the current state event. */
static inline const char *state_id(struct job *job, const char *room_id, const char *type,
                                   const char *state_key)
{
    const struct event *e;
    pg_must("room_state", room_state(job, room_named(job, room_id), type, state_key, &e));
    return e ? e->event_id : NULL;
}

static inline struct accept_outcome accept_one(struct job *job, const char *room_id,
                                               const struct event *e)
{
    struct accept_outcome o;
    struct incoming in = {.event = e};
    pg_must("room_accept", room_accept(job, room_named(job, room_id), &in, 1, &o));
    return o;
}

#endif
