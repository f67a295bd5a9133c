/* Server-server API, "Retrieving events", "Retrieving event authorisation information" and
 * "Backfilling and retrieving missing events": requests of other servers in a room. */
#include "base/clock.h"
#include "federation/federation.h"
#include "federation/in/pdu.h"
#include "federation/in/share.h"
#include "federation/routes.h"
#include "federation/routes/event_walk.h"
#include "rooms/accept/resync.h"
#include "rooms/read/erasure.h"
#include "rooms/room_cache.h"
#include "rooms/servers.h"
#include "rooms/state/auth_chain.h"
#include "rooms/state/state_at.h"
#include "storage/servers/server_rooms.h"

enum {
    BACKFILL_MAX = 100,
    MISSING_MAX = 20,
    MISSING_DEFAULT = 10,
    IDS_MAX = 100,    /* in a request */
    FLUSH_EVERY = 64, /* events, in a streamed reply */
};

/* ---- access ---- */

static const struct err *not_in_room(void)
{
    return err(ERR_FORBIDDEN, "Your server is not in this room");
}

static const struct err *event_routes_find_room(struct request *rq, struct room **ret)
{
    struct job *job = rq->job;
    struct room *room;
    TRY(room_get(job, request_param(rq, "room"), &room));
    *ret = room;
    return NULL;
}

/* The server is in the room, or was in it at the time of the event. */
static const struct err *need_access(struct request *rq, struct room *room,
                                     const struct stored_event *e)
{
    struct job *job = rq->job;
    bool was_there = false;
    if (room_has_server(room, remote_of(rq)->name))
        return NULL;
    if (e->position > 0)
        TRY(server_was_in_room(job_tx(job), room->id, remote_of(rq)->name, e->position, false,
                               &was_there));
    return was_there ? NULL : not_in_room();
}

static const struct err *no_such_event(void)
{
    return err(ERR_NOT_FOUND, "There is no such event on this server");
}

/* The event of the room that the request names. */
static const struct err *event_routes_find_event(struct request *rq, struct room *room,
                                                 const char *event_id,
                                                 const struct stored_event **ret)
{
    const struct stored_event *e;
    struct job *job = rq->job;
    TRY(events_get_by_id(job_tx(job), event_id, &e));
    if (!e || e->room != room->id || e->status == EVENT_REJECTED)
        return no_such_event();
    TRY(need_access(rq, room, e));
    *ret = e;
    return NULL;
}

/* ---- writing events ---- */

/* Events that the server may not see are sent redacted. */
static const struct err *add_visible(struct request *rq, struct room *room,
                                     const struct stored_event *const *events, size_t n,
                                     struct buf *out)
{
    bool *visible = arena_alloc_array(rq->arena, n + 1, sizeof *visible);
    TRY(visibility_for_server(rq->job, room, remote_of(rq)->name, events, n, visible));
    TRY(onlooker_list(rq->job, onlooker_server(rq->arena, remote_of(rq)->name), &events, n));
    for (size_t i = 0; i < n; i++) {
        const struct event *e = events[i]->event;
        if (!visible[i] && events[i]->status != EVENT_OUTLIER)
            e = event_keep(rq->arena, event_redacted(e));
        if (i)
            buf_add_char(out, ',');
        buf_add_str(out, pdu_bytes(e));
    }
    return NULL;
}

static void begin_transaction(const struct request *rq, struct buf *out)
{
    const struct job *job = rq->job;
    BUF_LIT(out, "{\"origin\":");
    buf_add_json_string(out, str_of(job->config->server_name));
    buf_printf(out, ",\"origin_server_ts\":%lld,\"pdus\":[", (long long)now_ms());
}

static const struct err *event_routes_add_events(struct request *rq, struct reply *rp,
                                                 const struct stored_event *events, size_t n)
{
    struct onlooker *onlooker = onlooker_server(rq->arena, remote_of(rq)->name);
    for (size_t i = 0; i < n; i++) {
        const struct event *shown;
        TRY(onlooker_event(rq->job, onlooker, &events[i], &shown));
        if (i)
            buf_add_char(&rp->body, ',');
        buf_add_str(&rp->body, pdu_bytes(shown));
        if (i % FLUSH_EVERY == FLUSH_EVERY - 1)
            TRY(reply_flush(rp));
    }
    return NULL;
}

static void event_routes_add_ids(struct buf *out, const struct stored_event *events, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        if (i)
            buf_add_char(out, ',');
        buf_add_json_string(out, str_of(events[i].event->event_id));
    }
}

/* ---- one event ---- */

static const struct err *event_routes_get_event(struct request *rq, struct reply *rp)
{
    struct job *job = rq->job;
    const struct stored_event *e;
    struct room *room;
    TRY(events_get_by_id(job_tx(job), request_param(rq, "event"), &e));
    if (!e || e->status == EVENT_REJECTED)
        return no_such_event();
    TRY(room_get_by_id(job, e->room, &room));
    if (!room)
        return no_such_event();
    TRY(room_check_acl(job, room, remote_of(rq)->name));
    TRY(need_access(rq, room, e));
    begin_transaction(rq, &rp->body);
    TRY(add_visible(rq, room, &e, 1, &rp->body));
    BUF_LIT(&rp->body, "]}");
    return reply_body(rp, 200);
}

/* ---- state and auth events ---- */

struct state {
    const struct stored_event *state, *chain;
    size_t state_n, chain_n;
};

static const struct err *event_routes_read_state(struct request *rq, struct state *ret)
{
    struct job *job = rq->job;
    struct room *room;
    const struct stored_event *e;
    const char *event_id = request_query(rq, "event_id");
    bool known;
    if (!event_id)
        return err(ERR_MISSING_PARAM, "Missing event_id");
    TRY(event_routes_find_room(rq, &room));
    TRY(event_routes_find_event(rq, room, event_id, &e));
    if (room_is_partial(room))
        return err(ERR_NOT_FOUND, "This server does not know the whole state of the room yet");
    TRY(state_before_list(job, room, e->position, &ret->state, &ret->state_n, &known));
    if (!known)
        return err(ERR_NOT_FOUND, "This server does not know the state at that event");
    const char **ids = arena_alloc_array(rq->arena, ret->state_n + 1, sizeof *ids);
    for (size_t i = 0; i < ret->state_n; i++)
        ids[i] = ret->state[i].event->event_id;
    return auth_chain(job, room, ids, ret->state_n, &ret->chain, &ret->chain_n);
}

static const struct err *event_routes_get_state(struct request *rq, struct reply *rp)
{
    struct state s;
    TRY(event_routes_read_state(rq, &s));
    BUF_LIT(&rp->body, "{\"pdus\":[");
    TRY(event_routes_add_events(rq, rp, s.state, s.state_n));
    BUF_LIT(&rp->body, "],\"auth_chain\":[");
    TRY(event_routes_add_events(rq, rp, s.chain, s.chain_n));
    BUF_LIT(&rp->body, "]}");
    return reply_body(rp, 200);
}

static const struct err *get_state_ids(struct request *rq, struct reply *rp)
{
    struct state s;
    TRY(event_routes_read_state(rq, &s));
    BUF_LIT(&rp->body, "{\"pdu_ids\":[");
    event_routes_add_ids(&rp->body, s.state, s.state_n);
    BUF_LIT(&rp->body, "],\"auth_chain_ids\":[");
    event_routes_add_ids(&rp->body, s.chain, s.chain_n);
    BUF_LIT(&rp->body, "]}");
    return reply_body(rp, 200);
}

static const struct err *get_event_auth(struct request *rq, struct reply *rp)
{
    struct room *room;
    const struct stored_event *e, *chain;
    size_t n;
    TRY(event_routes_find_room(rq, &room));
    TRY(event_routes_find_event(rq, room, request_param(rq, "event"), &e));
    TRY(auth_chain(rq->job, room, (const char *const[]){e->event->event_id}, 1, &chain, &n));
    BUF_LIT(&rp->body, "{\"auth_chain\":[");
    TRY(event_routes_add_events(rq, rp, chain, n));
    BUF_LIT(&rp->body, "]}");
    return reply_body(rp, 200);
}

/* ---- earlier events ---- */

static const struct err *find_room_of_members(struct request *rq, struct room **ret)
{
    TRY(event_routes_find_room(rq, ret));
    return room_has_server(*ret, remote_of(rq)->name) ? NULL : not_in_room();
}

static const struct err *get_backfill(struct request *rq, struct reply *rp)
{
    struct room *room;
    struct event_walk w = {.with_from = true};
    const struct stored_event **events;
    size_t n;
    int64_t limit;
    TRY(request_query_int(rq, "limit", BACKFILL_MAX, 1, INT64_MAX, &limit));
    w.limit = (size_t)(limit < BACKFILL_MAX ? limit : BACKFILL_MAX);
    w.from_n = request_query_all(rq, "v", &w.from);
    if (!w.from_n)
        return err(ERR_MISSING_PARAM, "Missing v");
    if (w.from_n > IDS_MAX)
        return err(ERR_INVALID_PARAM, "At most %d events can be named", IDS_MAX);
    TRY(find_room_of_members(rq, &room));
    TRY(event_walk_back(rq->job, room, &w, &events, &n));
    begin_transaction(rq, &rp->body);
    TRY(add_visible(rq, room, events, n, &rp->body));
    BUF_LIT(&rp->body, "]}");
    return reply_body(rp, 200);
}

static const struct err *event_routes_read_ids(struct request *rq, const char *name,
                                               const char *const **ret, size_t *ret_n)
{
    const json_t *list;
    TRY(json_need_array(rq->body, name, &list));
    size_t n = json_array_size(list);
    if (n > IDS_MAX)
        return err(ERR_INVALID_PARAM, "\"%s\" may name at most %d events", name, IDS_MAX);
    const char **ids = arena_alloc_array(rq->arena, n + 1, sizeof *ids);
    for (size_t i = 0; i < n; i++)
        if (!(ids[i] = json_string_text(json_array_get(list, i))))
            return err(ERR_BAD_JSON, "\"%s\" must be a list of event ids", name);
    *ret = ids;
    *ret_n = n;
    return NULL;
}

static const struct err *post_missing_events(struct request *rq, struct reply *rp)
{
    struct room *room;
    struct event_walk w = {0};
    const struct stored_event **events;
    size_t n;
    int64_t limit;
    TRY(json_want_int(rq->body, "limit", MISSING_DEFAULT, &limit));
    TRY(json_want_int(rq->body, "min_depth", 0, &w.min_depth));
    TRY(event_routes_read_ids(rq, "earliest_events", &w.until, &w.until_n));
    TRY(event_routes_read_ids(rq, "latest_events", &w.from, &w.from_n));
    w.limit = (size_t)(limit < 0 ? 0 : limit < MISSING_MAX ? limit : MISSING_MAX);
    TRY(find_room_of_members(rq, &room));
    TRY(event_walk_back(rq->job, room, &w, &events, &n));
    for (size_t i = 0; i < n / 2; i++) { /* oldest first, the order in which they are accepted */
        const struct stored_event *swapped = events[i];
        events[i] = events[n - 1 - i];
        events[n - 1 - i] = swapped;
    }
    BUF_LIT(&rp->body, "{\"events\":[");
    TRY(add_visible(rq, room, events, n, &rp->body));
    BUF_LIT(&rp->body, "]}");
    return reply_body(rp, 200);
}

const struct route federation_event_routes[] = {
    {.method = GET,
     .path = "/_matrix/federation/v1/event/{event}",
     .handler = event_routes_get_event,
     .who = WHO_SERVER,
     .rate = RATE_SERVER,
     .pool = POOL_FEDERATION,
     .spec = "retrieving events"},
    {.method = GET,
     .path = "/_matrix/federation/v1/state/{room}",
     .handler = share_run,
     .inner = event_routes_get_state,
     .who = WHO_SERVER,
     .rate = RATE_SERVER,
     .pool = POOL_FEDERATION,
     .spec = "retrieving events"},
    {.method = GET,
     .path = "/_matrix/federation/v1/state_ids/{room}",
     .handler = share_run,
     .inner = get_state_ids,
     .who = WHO_SERVER,
     .rate = RATE_SERVER,
     .pool = POOL_FEDERATION,
     .spec = "retrieving events"},
    {.method = GET,
     .path = "/_matrix/federation/v1/event_auth/{room}/{event}",
     .handler = share_run,
     .inner = get_event_auth,
     .who = WHO_SERVER,
     .rate = RATE_SERVER,
     .pool = POOL_FEDERATION,
     .spec = "retrieving event authorisation information"},
    {.method = GET,
     .path = "/_matrix/federation/v1/backfill/{room}",
     .handler = share_run,
     .inner = get_backfill,
     .who = WHO_SERVER,
     .rate = RATE_SERVER,
     .pool = POOL_FEDERATION,
     .spec = "backfilling and retrieving missing events"},
    {.method = POST,
     .path = "/_matrix/federation/v1/get_missing_events/{room}",
     .handler = share_run,
     .inner = post_missing_events,
     .who = WHO_SERVER,
     .body = BODY_JSON,
     .rate = RATE_SERVER,
     .pool = POOL_FEDERATION,
     .spec = "backfilling and retrieving missing events"},
    {.path = NULL},
};
