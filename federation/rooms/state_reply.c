#include "federation/rooms/told.h"

#include "matrix/id.h"
#include "matrix/json_scan.h"
#include "rooms/state/state_key.h"

enum { EVENTS_MAX = 400 * 1000, SERVERS_MAX = 20 * 1000 };

/* ---- reading ---- */

static const struct err *read_servers(struct arena *a, struct str list, struct told *t)
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

/* `members_omitted`, or its name before v1.6, which some servers still send. */
static bool read_omitted(struct str reply)
{
    return str_is(json_scan_get(reply, "members_omitted"), "true") ||
           str_is(json_scan_get(reply, "org.matrix.msc3706.partial_state"), "true");
}

const struct err *told_read(struct job *job, struct str reply, const char *state_key,
                            struct told *ret)
{
    struct told t = {.members_omitted = read_omitted(reply),
                     .event = json_scan_get(reply, "event")};
    struct pdu *state, *auth;
    size_t state_n, auth_n;
    struct str state_list = json_scan_get(reply, state_key);
    struct str auth_list = json_scan_get(reply, "auth_chain");
    if (!state_list.p || !auth_list.p)
        return err(ERR_BAD_JSON, "The room's state is not in the reply");
    TRY(pdu_list(job->arena, state_list, EVENTS_MAX, &state, &state_n));
    TRY(pdu_list(job->arena, auth_list, EVENTS_MAX, &auth, &auth_n));
    TRY(read_servers(job->arena, json_scan_get(reply, "servers_in_room"), &t));
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

static const struct err *check_create(const struct event *create, const struct room_version *v,
                                      size_t refused)
{
    if (!create)
        return err(ERR_BAD_JSON, "The room's state has no m.room.create (%zu events were refused)",
                   refused);
    const char *version = json_text(event_content(create), "room_version");
    if (strcmp(version ? version : "1", v->id) != 0)
        return err(ERR_BAD_JSON, "The room is of another version than the server said");
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

static const struct event *sort_out(struct arena *a, const struct told *told, size_t *ret_refused,
                                    struct told_state *ret)
{
    const struct event **state = arena_alloc_array(a, told->state_n + 1, sizeof *state);
    const struct event **auth = arena_alloc_array(a, told->n + 1, sizeof *auth);
    const struct event *create = NULL;
    struct map seen = {0};
    *ret = (struct told_state){.state = state, .auth_chain = auth};
    *ret_refused = 0;
    for (size_t i = 0; i < told->n; i++) {
        const struct event *e = told->pdus[i].event;
        if (!e) {
            ++*ret_refused;
        } else if (i >= told->state_n) {
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

const struct err *told_check(struct job *job, const struct room_version *v, const char *room_id,
                             const struct told *told, struct told_state *ret)
{
    size_t refused;
    TRY(pdu_read(job, v, room_id, told->pdus, told->n));
    const struct event *create = sort_out(job->arena, told, &refused, ret);
    return check_create(create, v, refused);
}

/* ---- members that were left out ---- */

static bool cites(const struct event *event, const struct event *e)
{
    for (size_t i = 0; i < event->auth_n; i++)
        if (strcmp(event->auth_events[i], e->event_id) == 0)
            return true;
    return false;
}

static bool has_member(const struct told_state *told, const char *user_id)
{
    for (size_t i = 0; i < told->state_n; i++)
        if (strcmp(told->state[i]->type, "m.room.member") == 0 &&
            strcmp(told->state[i]->state_key, user_id) == 0)
            return true;
    return false;
}

void told_add_cited_members(struct arena *a, const struct event *event, struct told_state *told)
{
    const struct event **state =
        arena_alloc_array(a, told->state_n + EVENT_AUTH_MAX + 1, sizeof *state);
    if (told->state_n)
        memcpy(state, told->state, told->state_n * sizeof *state);
    told->state = state;
    size_t added = 0;
    for (size_t i = 0; i < told->auth_n && added < EVENT_AUTH_MAX; i++) {
        const struct event *e = told->auth_chain[i];
        if (!e->state_key || strcmp(e->type, "m.room.member") != 0 || !cites(event, e) ||
            has_member(told, e->state_key))
            continue;
        state[told->state_n++] = e;
        added++;
    }
}
