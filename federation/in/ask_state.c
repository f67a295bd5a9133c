/* State and auth events from other servers. They are stored as outliers, in the order they
 * arrive. */
#include "federation/in/ask_internal.h"
#include "federation/in/fetch.h"
#include "federation/in/inbound_internal.h"
#include "federation/peer/path.h"
#include "matrix/json_scan.h"
#include "rooms/accept/outliers.h"

enum {
    ROUNDS = 5,              /* of fetching auth events one by one */
    FETCH_MAX = 200,         /* events fetched one by one */
    CHAIN_MAX = 20000,       /* events of an auth chain received as a whole */
    STATE_MAX = 300000,      /* ids of a state */
    WHOLE_STATE_MAX = 50000, /* events received as a whole */
    MISSING_SHARE = 20       /* one in 20 state events may be missing */
};

/* ---- wanted ids ---- */

struct ids {
    struct map seen;
    const char **list;
    size_t n, cap;
};

static void ids_finish(struct ids *s)
{
    map_finish(&s->seen);
}
#define ids_auto __attribute__((cleanup(ids_finish)))

/* Adds each id once. */
static void ids_add(struct arena *a, struct ids *s, const char *id)
{
    if (map_put(&s->seen, str_of(id), s))
        return;
    if (s->n == s->cap) {
        size_t cap = s->cap ? s->cap * 2 : 64;
        const char **grown = arena_alloc_array(a, cap, sizeof *grown);
        if (s->n)
            memcpy(grown, s->list, s->n * sizeof *grown);
        s->list = grown;
        s->cap = cap;
    }
    s->list[s->n++] = id;
}

static void events_append(struct arena *a, struct events *to, const struct events *more)
{
    const struct event **list = arena_alloc_array(a, to->n + more->n + 1, sizeof *list);
    if (to->n)
        memcpy(list, to->list, to->n * sizeof *list);
    if (more->n)
        memcpy(list + to->n, more->list, more->n * sizeof *list);
    *to = (struct events){list, to->n + more->n};
}

/* ---- auth events ---- */

/* The auth events of `of` that are neither stored nor in `have`. */
static const struct err *unknown_auth(struct ask *a, const struct event *const *of, size_t n,
                                      const struct events *have, const char *const **ret,
                                      size_t *ret_n)
{
    ids_auto struct ids ids = {0};
    for (size_t i = 0; i < have->n; i++)
        map_put(&ids.seen, str_of(have->list[i]->event_id), &ids);
    for (size_t i = 0; i < n; i++)
        for (size_t k = 0; k < of[i]->auth_n; k++)
            ids_add(a->job->arena, &ids, of[i]->auth_events[k]);
    *ret = NULL;
    *ret_n = 0;
    return ids.n ? events_unknown(a->job, a->room, ids.list, ids.n, ret, ret_n) : NULL;
}

static size_t ask_state_leave_out(const struct events *got, const char *const *ids, size_t n,
                                  const char **ret)
{
    struct map have = {0};
    size_t left = 0;
    for (size_t i = 0; i < got->n; i++)
        map_put(&have, str_of(got->list[i]->event_id), ret);
    for (size_t i = 0; i < n; i++)
        if (!map_get(&have, str_of(ids[i])))
            ret[left++] = ids[i];
    map_finish(&have);
    return left;
}

/* One by one. If the server asks us to wait, the next one is asked for the rest. */
static const struct err *ask_state_fetch(struct ask *a, const char *const *ids, size_t n,
                                         struct events *ret)
{
    size_t server;
    bool goes_on = n > 0;
    n = n < FETCH_MAX ? n : FETCH_MAX;
    const char **left = arena_alloc_array(a->job->arena, n + 1, sizeof *left);
    *ret = (struct events){0};
    a->may_come_yet = false;
    while (n && goes_on && ask_may_go_on(a) && ask_find_server(a, &server)) {
        struct fetched_events got;
        a->requests--;
        TRY(federation_fetch_events(a->job, a->room, a->servers[server].name, ids, n, &got));
        a->denied += got.denied;
        goes_on = got.is_unreachable || got.wait_ms;
        a->may_come_yet |= goes_on;
        ask_note_failure(a, server, got.is_unreachable, got.wait_ms);
        events_append(a->job->arena, ret, &(struct events){got.list, got.n});
        n = ask_state_leave_out(&(struct events){got.list, got.n}, ids, n, left);
        ids = left;
    }
    a->may_come_yet &= n > 0;
    return NULL;
}

/* The whole auth chain of an event, where following it link by link would take too long. */
static const struct err *ask_chain(struct ask *a, const char *event_id, struct events *ret)
{
    struct fed_request r = {
        .method = GET,
        .path = federation_path(a->job->arena, "/_matrix/federation/v1/event_auth/%s/%s",
                                a->room->room_id, event_id),
    };
    struct str reply;
    TRY(ask_any(a, &r, "auth_chain", &reply));
    return ask_read_pdus(a, json_scan_get(reply, "auth_chain"), CHAIN_MAX, ret);
}

const struct err *ask_auth(struct ask *a, const struct event *const *events, size_t n)
{
    struct events have = {0}, more = {0};
    const char *const *unknown;
    size_t unknown_n;
    a->may_come_yet = false;
    TRY(unknown_auth(a, events, n, &have, &unknown, &unknown_n));
    for (int round = 0; unknown_n && round < ROUNDS; round++) {
        TRY(ask_state_fetch(a, unknown, unknown_n, &more));
        if (!more.n)
            break;
        events_append(a->job->arena, &have, &more);
        TRY(unknown_auth(a, more.list, more.n, &have, &unknown, &unknown_n));
    }
    if (unknown_n && ask_may_go_on(a)) {
        TRY(ask_chain(a, events[n - 1]->event_id, &more));
        events_append(a->job->arena, &have, &more);
    }
    return have.n ? outliers_store(a->job, a->room, have.list, have.n, NULL, NULL) : NULL;
}

/* ---- state ---- */

static void ask_state_add_ids(struct arena *a, struct str list, struct ids *ids)
{
    struct json_member m;
    for (size_t pos = 0; ids->n < STATE_MAX && json_scan_next(list, &pos, &m);) {
        const char *id = json_scan_string(a, m.value);
        if (id)
            ids_add(a, ids, id);
    }
}

static const struct err *ask_whole_state(struct ask *a, const char *event_id, struct events *ret)
{
    struct fed_request r = {
        .method = GET,
        .path = federation_path(a->job->arena, "/_matrix/federation/v1/state/%s?event_id=%s",
                                a->room->room_id, event_id),
    };
    struct str reply;
    struct events chain;
    TRY(ask_any(a, &r, "pdus", &reply));
    TRY(ask_read_pdus(a, json_scan_get(reply, "pdus"), WHOLE_STATE_MAX, ret));
    TRY(ask_read_pdus(a, json_scan_get(reply, "auth_chain"), WHOLE_STATE_MAX, &chain));
    events_append(a->job->arena, ret, &chain);
    return NULL;
}

/* Fetches and stores what is unknown of a state and its auth chain. */
static const struct err *store_unknown(struct ask *a, const char *event_id, const struct ids *ids)
{
    const char *const *unknown;
    size_t n;
    struct events events;
    TRY(events_unknown(a->job, a->room, ids->list, ids->n, &unknown, &n));
    if (!n)
        return NULL;
    if (n > FETCH_MAX)
        TRY(ask_whole_state(a, event_id, &events));
    else
        TRY(ask_state_fetch(a, unknown, n, &events));
    return events.n ? outliers_store(a->job, a->room, events.list, events.n, NULL, NULL) : NULL;
}

/* Drops unavailable events from the state. A few may be missing, but none that may be available
 * later. Those of servers that closed federation denies are not counted. */
static const struct err *drop_unknown(struct ask *a, const char *const *ids, size_t n,
                                      size_t denied, const char *const **ret, size_t *ret_n,
                                      bool *ret_known)
{
    const char *const *unknown;
    size_t unknown_n, kept = 0;
    TRY(events_unknown(a->job, a->room, ids, n, &unknown, &unknown_n));
    const char **list = arena_alloc_array(a->job->arena, n + 1, sizeof *list);
    struct map lost = {0};
    for (size_t i = 0; i < unknown_n; i++)
        map_put(&lost, str_of(unknown[i]), list);
    for (size_t i = 0; i < n; i++)
        if (!map_get(&lost, str_of(ids[i])))
            list[kept++] = ids[i];
    map_finish(&lost);
    *ret = list;
    *ret_n = kept;
    bool may_come_yet = unknown_n && a->may_come_yet && !a->takes_losses;
    *ret_known = kept && !may_come_yet && unknown_n <= n / MISSING_SHARE + denied;
    return NULL;
}

/* The ids of the state before the event; none if no server answered. */
static const struct err *ask_state_ids(struct ask *a, const char *event_id, struct ids *state,
                                       struct str *ret_auth_chain)
{
    struct fed_request r = {
        .method = GET,
        .path = federation_path(a->job->arena, "/_matrix/federation/v1/state_ids/%s?event_id=%s",
                                a->room->room_id, event_id),
    };
    struct str reply;
    TRY(ask_any(a, &r, "pdu_ids", &reply));
    ask_state_add_ids(a->job->arena, json_scan_get(reply, "pdu_ids"), state);
    *ret_auth_chain = json_scan_get(reply, "auth_chain_ids");
    return NULL;
}

/* The state before the event or, with and_itself, after it. */
static const struct err *ask_state(struct ask *a, const char *event_id, bool and_itself,
                                   const char *const **ret, size_t *ret_n, bool *ret_known)
{
    ids_auto struct ids ids = {0};
    struct str auth_chain;
    *ret_known = false;
    *ret_n = 0;
    TRY(ask_state_ids(a, event_id, &ids, &auth_chain));
    size_t denied = a->denied;
    if (!ids.n)
        return NULL;
    if (and_itself) /* the last event of a type and state key counts */
        ids_add(a->job->arena, &ids, event_id);
    size_t state_n = ids.n;
    ask_state_add_ids(a->job->arena, auth_chain, &ids);
    TRY(store_unknown(a, event_id, &ids));
    return drop_unknown(a, ids.list, state_n, a->denied - denied, ret, ret_n, ret_known);
}

const struct err *ask_state_before(struct ask *a, const char *event_id, const char *const **ret,
                                   size_t *ret_n, bool *ret_known)
{
    return ask_state(a, event_id, false, ret, ret_n, ret_known);
}

const struct err *ask_state_after(struct ask *a, const char *event_id, const char *const **ret,
                                  size_t *ret_n, bool *ret_known)
{
    TRY(ask_state(a, event_id, true, ret, ret_n, ret_known));
    *ret_known = *ret_known && strcmp((*ret)[*ret_n - 1], event_id) == 0;
    return NULL;
}
