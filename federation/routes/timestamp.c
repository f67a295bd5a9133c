#include "federation/routes/timestamp.h"

#include "base/clock.h"
#include "federation/federation.h"
#include "federation/in/fetch.h"
#include "federation/in/history.h"
#include "federation/in/inbound.h"
#include "federation/peer/answers.h"
#include "federation/peer/path.h"
#include "federation/peer/request.h"
#include "federation/routes.h"
#include "matrix/id.h"
#include "rooms/read/event_by_time.h"
#include "rooms/room_cache.h"
#include "rooms/servers.h"
#include "rooms/state/state_at.h"
#include "storage/db/feed.h"

enum {
    NEIGHBOURS = 50,
    SERVERS_MAX = 3,
    TIMEOUT_MS = 10000,
    REACH_ROUNDS = 5,
    REACH_EVENTS = 500, /* in each round */
    REACH_MS = 20000
};

/* ---- our reply ---- */

/* On one side of the place, the closest event that the server may see. */
static const struct err *timestamp_look(struct request *rq, struct room *room, int64_t place,
                                        bool down, int64_t ts, bool backwards,
                                        const struct event **closest)
{
    struct job *job = rq->job;
    int64_t from = down ? EVENT_OFF_TIMELINE_MAX : place;
    int64_t to = down ? place : feed_position(job->storage->feed);
    const struct stored_event *events;
    size_t n;
    TRY(events_page(job_tx(job), room->id, from, to, down, NEIGHBOURS, &events, &n));
    const struct stored_event **list = arena_alloc_array(job->arena, n + 1, sizeof *list);
    bool *visible = arena_alloc_array(job->arena, n + 1, sizeof *visible);
    for (size_t i = 0; i < n; i++)
        list[i] = &events[i];
    TRY(visibility_for_server(job, room, remote_of(rq)->name, list, n, visible));
    for (size_t i = 0; i < n; i++)
        if (visible[i])
            event_by_time_closest(events[i].event, ts, backwards, closest);
    return NULL;
}

static const struct err *read_question(const struct request *rq, int64_t *ret_ts, bool *ret_back)
{
    const char *dir = request_query(rq, "dir");
    if (!request_query(rq, "ts") || !dir)
        return err(ERR_MISSING_PARAM, "Missing ts or dir");
    TRY(request_query_int(rq, "ts", 0, 0, INT64_MAX, ret_ts));
    *ret_back = strcmp(dir, "b") == 0;
    if (!*ret_back && strcmp(dir, "f") != 0)
        return err(ERR_INVALID_PARAM, "\"dir\" must be \"b\" or \"f\"");
    return NULL;
}

static const struct err *routes_timestamp_get_timestamp_to_event(struct request *rq,
                                                                 struct reply *rp)
{
    struct job *job = rq->job;
    const struct event *closest = NULL;
    struct room *room;
    int64_t ts, place;
    bool backwards;
    TRY(read_question(rq, &ts, &backwards));
    TRY(room_get(job, request_param(rq, "room"), &room));
    if (!room_has_server(room, remote_of(rq)->name))
        return err(ERR_FORBIDDEN, "Your server is not in this room");
    TRY(event_by_time_position(job, room, ts, &place));
    TRY(timestamp_look(rq, room, place, true, ts, backwards, &closest));
    TRY(timestamp_look(rq, room, place, false, ts, backwards, &closest));
    if (!closest)
        return err(ERR_NOT_FOUND, "There is no event %s that time", backwards ? "before" : "after");
    return reply_json(rp, 200, "{s:s, s:I}", "event_id", closest->event_id, "origin_server_ts",
                      (json_int_t)closest->origin_server_ts);
}

const struct route federation_timestamp_routes[] = {
    {.method = GET,
     .path = "/_matrix/federation/v1/timestamp_to_event/{room}",
     .handler = routes_timestamp_get_timestamp_to_event,
     .who = WHO_SERVER,
     .rate = RATE_SERVER,
     .pool = POOL_FEDERATION,
     .spec = "retrieving events",
     .also = "/_matrix/federation/unstable/org.matrix.msc3030/timestamp_to_event/{room}"},
    {.path = NULL},
};

/* ---- our request ---- */

/* *ret_event_id stays NULL if that server has no answer, or none that fits. */
static void timestamp_ask_one(struct job *job, struct room *room, const char *server, int64_t ts,
                              bool backwards, const char **ret_event_id, int64_t *ret_ts)
{
    struct fed_request r = {
        .server = server,
        .method = GET,
        .path = federation_path(
            job->arena, "/_matrix/federation/v1/timestamp_to_event/%s?dir=%s&ts=%s", room->room_id,
            backwards ? "b" : "f", arena_printf(job->arena, "%lld", (long long)ts)),
        .timeout_ms = TIMEOUT_MS};
    struct fed_reply reply;
    if (federation_question(job, &r, &reply))
        return;
    const char *id = json_text(reply.json, "event_id");
    const json_t *when = json_object_get(reply.json, "origin_server_ts");
    int64_t at = json_integer_value(when);
    if (id && id_is_event(str_of(id)) && json_is_integer(when) && at >= 0 &&
        (backwards ? at <= ts : at >= ts)) {
        *ret_event_id = id;
        *ret_ts = at;
    }
}

const struct err *federation_event_by_time(struct job *job, struct room *room, int64_t ts,
                                           bool backwards, const char **ret_event_id,
                                           int64_t *ret_ts, const char **ret_server)
{
    const char *const *servers;
    const char *id = NULL;
    size_t n, asked = 0;
    room_list_servers(job, room, &servers, &n);
    for (size_t i = 0; i < n && asked < SERVERS_MAX && !id; i++) {
        if (!federation_may_contact(job->config, servers[i]))
            continue;
        asked++;
        timestamp_ask_one(job, room, servers[i], ts, backwards, &id, ret_ts);
        if (id)
            *ret_server = servers[i];
    }
    *ret_event_id = id;
    return NULL;
}

static const struct err *timestamp_is_here(struct job *job, struct room *room, const char *event_id,
                                           int64_t *ret_position)
{
    const struct stored_event *e;
    TRY(events_get_by_id(job_tx(job), event_id, &e));
    *ret_position =
        e && e->room == room->id && !event_is_off_timeline(e->position) ? e->position : 0;
    return NULL;
}

static const struct err *exists(struct job *job, struct room *room, const char *server,
                                const char *event_id, int64_t ts, bool *ret)
{
    struct fetched_events found;
    TRY(federation_fetch_events(job, room, server, &event_id, 1, &found));
    *ret = found.n == 1 && found.list[0]->origin_server_ts == ts;
    return NULL;
}

const struct err *federation_reach_event(struct job *job, struct room *room, const char *server,
                                         const char *event_id, int64_t ts, bool *ret_here,
                                         bool *ret_exists)
{
    int64_t until = mono_ms() + REACH_MS, position;
    size_t added = 1;
    TRY(timestamp_is_here(job, room, event_id, &position));
    for (int i = 0; !position && added && i < REACH_ROUNDS && mono_ms() < until; i++) {
        TRY(federation_backfill(job, room, REACH_EVENTS, &added));
        TRY(timestamp_is_here(job, room, event_id, &position));
    }
    *ret_here = position != 0;
    *ret_exists = true;
    return position ? NULL : exists(job, room, server, event_id, ts, ret_exists);
}
