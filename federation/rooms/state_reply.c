#include "federation/rooms/state_reply.h"

#include "matrix/id.h"
#include "matrix/json_scan.h"
#include "rooms/state/state_key.h"

enum { EVENTS_MAX = 400 * 1000, SERVERS_MAX = 20 * 1000 };

/* ---- reading ---- */

static const struct err *state_reply_read_servers(struct arena *a, struct str list,
                                                  struct state_reply *t)
{
    if (!list.p || list.p[0] != '[')
        return NULL;
    struct json_member m;
    size_t n = 0;
    for (size_t pos = 0; json_scan_next(list, &pos, &m);)
        n++;
    if (n > SERVERS_MAX)
        return err(ERR_TOO_LARGE, "The room is said to have %zu servers", n);
    const char **servers = arena_alloc_array(a, n + 1, sizeof *servers);
    for (size_t pos = 0; json_scan_next(list, &pos, &m);) {
        const char *name = json_scan_string(a, m.value);
        if (name && id_is_server_name(str_of(name)))
            servers[t->servers_n++] = name;
    }
    t->servers = servers;
    return NULL;
}

/* `members_omitted`, or its name before v1.6, which some servers still use. */
static bool read_omitted(struct str reply)
{
    return str_is(json_scan_get(reply, "members_omitted"), "true") ||
           str_is(json_scan_get(reply, "org.matrix.msc3706.partial_state"), "true");
}

const struct err *state_reply_read(struct job *job, struct str reply, const char *state_key,
                                   struct state_reply *ret)
{
    struct state_reply t = {.members_omitted = read_omitted(reply),
                            .event = json_scan_get(reply, "event")};
    struct pdu *state, *auth;
    size_t state_n, auth_n;
    struct str state_list = json_scan_get(reply, state_key);
    struct str auth_list = json_scan_get(reply, "auth_chain");
    if (!state_list.p || !auth_list.p)
        return err(ERR_BAD_JSON, "The room's state is not in the reply");
    TRY(pdu_list(job->arena, state_list, EVENTS_MAX, &state, &state_n));
    TRY(pdu_list(job->arena, auth_list, EVENTS_MAX, &auth, &auth_n));
    TRY(state_reply_read_servers(job->arena, json_scan_get(reply, "servers_in_room"), &t));
    t.pdus = arena_alloc_array(job->arena, state_n + auth_n + 1, sizeof *t.pdus);
    if (state_n)
        memcpy(t.pdus, state, state_n * sizeof *state);
    if (auth_n)
        memcpy(t.pdus + state_n, auth, auth_n * sizeof *auth);
    t.state_n = state_n;
    t.n = state_n + auth_n;
    *ret = t;
    return NULL;
}

/* ---- checking ---- */

static const struct err *state_reply_check_create(const struct event *create,
                                                  const struct room_version *v, size_t refused)
{
    if (!create)
        return err(ERR_BAD_JSON, "The room's state has no m.room.create (%zu events were refused)",
                   refused);
    const char *version = json_text(event_content(create), "room_version");
    if (strcmp(version ? version : "1", v->id) != 0)
        return err(ERR_BAD_JSON, "The room has another version than the server said");
    return NULL;
}

static bool is_new_key(struct arena *a, struct map *seen, const struct event *e)
{
    struct str key = state_key_join(a, e->type, e->state_key);
    if (map_get(seen, key))
        return false;
    map_put(seen, key, (void *)e);
    return true;
}

static const struct event *sort_out(struct arena *a, const struct state_reply *reply_state,
                                    size_t *ret_refused, struct received_state *ret)
{
    const struct event **state = arena_alloc_array(a, reply_state->state_n + 1, sizeof *state);
    const struct event **auth = arena_alloc_array(a, reply_state->n + 1, sizeof *auth);
    const struct event *create = NULL;
    struct map seen = {0};
    *ret = (struct received_state){.state = state, .auth_chain = auth};
    *ret_refused = 0;
    for (size_t i = 0; i < reply_state->n; i++) {
        const struct event *e = reply_state->pdus[i].event;
        if (!e) {
            ++*ret_refused;
        } else if (i >= reply_state->state_n) {
            auth[ret->auth_n++] = e;
        } else if (e->state_key && is_new_key(a, &seen, e)) {
            state[ret->state_n++] = e;
            if (strcmp(e->type, "m.room.create") == 0 && !*e->state_key)
                create = e;
        }
    }
    map_finish(&seen);
    return create;
}

const struct err *state_reply_check(struct job *job, const struct room_version *v,
                                    const char *room_id, const struct state_reply *reply_state,
                                    struct received_state *ret)
{
    size_t refused;
    TRY(pdu_read(job, v, room_id, reply_state->pdus, reply_state->n));
    const struct event *create = sort_out(job->arena, reply_state, &refused, ret);
    return state_reply_check_create(create, v, refused);
}

/* ---- omitted members ---- */

static bool state_reply_cites(const struct event *event, const struct event *e)
{
    for (size_t i = 0; i < event->auth_n; i++)
        if (strcmp(event->auth_events[i], e->event_id) == 0)
            return true;
    return false;
}

static bool has_member(const struct received_state *reply_state, const char *user_id)
{
    for (size_t i = 0; i < reply_state->state_n; i++)
        if (strcmp(reply_state->state[i]->type, "m.room.member") == 0 &&
            strcmp(reply_state->state[i]->state_key, user_id) == 0)
            return true;
    return false;
}

void state_reply_add_cited_members(struct arena *a, const struct event *event,
                                   struct received_state *reply_state)
{
    const struct event **state =
        arena_alloc_array(a, reply_state->state_n + EVENT_AUTH_MAX + 1, sizeof *state);
    if (reply_state->state_n)
        memcpy(state, reply_state->state, reply_state->state_n * sizeof *state);
    reply_state->state = state;
    size_t added = 0;
    for (size_t i = 0; i < reply_state->auth_n && added < EVENT_AUTH_MAX; i++) {
        const struct event *e = reply_state->auth_chain[i];
        if (!e->state_key || strcmp(e->type, "m.room.member") != 0 ||
            !state_reply_cites(event, e) || has_member(reply_state, e->state_key))
            continue;
        state[reply_state->state_n++] = e;
        added++;
    }
}
