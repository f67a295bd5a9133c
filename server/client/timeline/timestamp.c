/* Client-server API, "Getting events for a room": the event closest to a time. */
#include "federation/routes/timestamp.h"
#include "rooms/accept/history.h"
#include "rooms/read/event_by_time.h"
#include "rooms/read/walk.h"
#include "server/client/shared/room_reading.h"
#include "server/remote_request.h"
#include "server/routes.h"
#include "storage/db/feed.h"

enum { NEIGHBOURS = 50, ENDS_MAX = 5 };

/* The walked event whose time is closest to ts in the wanted direction; the first of several. */
static void choose_closest(const struct walked *walked, int64_t ts, bool backwards,
                           const struct event **closest)
{
    for (size_t i = 0; i < walked->n; i++)
        event_by_time_closest(walked->events[i]->event, ts, backwards, closest);
}

static const struct err *timestamp_find_event(struct request *rq, struct room *room, int64_t ts,
                                              bool backwards, const struct event **ret)
{
    struct viewer viewer = viewer_of(rq);
    struct room_walk w = {.room = room, .viewer = &viewer, .limit = NEIGHBOURS};
    struct walked ahead, around;
    const struct event *closest = NULL;
    TRY(event_by_time_position(job_of(rq), room, ts, &w.from));
    /* First in the wanted direction, then events on the other side that are out of order. */
    for (int side = 0; side < 2; side++) {
        w.backwards = side == 0 ? backwards : !backwards;
        w.to = w.backwards ? WALK_START : feed_position(job_of(rq)->storage->feed);
        TRY(walk_room(job_of(rq), &w, side == 0 ? &ahead : &around));
        choose_closest(side == 0 ? &ahead : &around, ts, backwards, &closest);
    }
    *ret = closest;
    return NULL;
}

/* ---- where our history has a gap ---- */

/* The place just after the requested time. */
static const struct err *place_after(struct job *job, struct room *room, int64_t ts, int64_t *ret)
{
    int64_t position, end = feed_position(job->storage->feed);
    const struct stored_event *next;
    size_t n;
    TRY(event_by_time_position(job, room, ts, &position));
    TRY(events_page(job_tx(job), room->id, position, end, false, 1, &next, &n));
    *ret = n ? next->position : end;
    return NULL;
}

/* Whether history is missing between the time and the closest stored event (NULL: none). Then
 * another server may know a closer one. */
static const struct err *is_gap_between(struct job *job, struct room *room, int64_t ts,
                                        bool backwards, const struct event *closest, bool *ret)
{
    int64_t place, from = EVENT_OFF_TIMELINE_MAX;
    const struct history_end *ends;
    const struct stored_event *e;
    size_t n;
    TRY(place_after(job, room, ts, &place));
    TRY(history_ends(job, room, ENDS_MAX, &ends, &n));
    if (n && closest && backwards) {
        TRY(events_get_by_id(job_tx(job), closest->event_id, &e));
        from = e ? e->position : from;
    }
    if (n && !backwards)
        TRY(event_by_time_position(job, room, ts, &from));
    *ret = false;
    for (size_t i = 0; i < n; i++)
        *ret |= ends[i].position > from && ends[i].position <= place;
    return NULL;
}

static const struct err *reply_event_by_time(struct reply *rp, const char *event_id, int64_t ts)
{
    return reply_json(rp, 200, "{s:s, s:I}", "event_id", event_id, "origin_server_ts",
                      (json_int_t)ts);
}

static const struct err *reply_closest(struct reply *rp, const struct event *e, bool backwards)
{
    if (!e)
        return err(ERR_NOT_FOUND, "There is no event %s that time", backwards ? "before" : "after");
    return reply_event_by_time(rp, e->event_id, e->origin_server_ts);
}

static int64_t timestamp_distance(int64_t a, int64_t b)
{
    return a > b ? a - b : b - a;
}

/* Another server's event is used if it is closer, and fetched first, so that the client can read it
 * and the events around it. */
static const struct err *ask_others(struct request *rq, struct reply *rp, struct room *room,
                                    int64_t ts, bool backwards, const struct event *closest)
{
    const char *event_id, *server;
    int64_t remote_ts;
    bool here, exists;
    TRY(federation_event_by_time(job_of(rq), room, ts, backwards, &event_id, &remote_ts, &server));
    if (!event_id || (closest && timestamp_distance(remote_ts, ts) >=
                                     timestamp_distance(closest->origin_server_ts, ts)))
        return reply_closest(rp, closest, backwards);
    TRY(federation_reach_event(job_of(rq), room, server, event_id, remote_ts, &here, &exists));
    if (!here && exists)
        return reply_event_by_time(rp, event_id, remote_ts);
    if (here) /* if the user may see the fetched event */
        TRY(timestamp_find_event(rq, room, ts, backwards, &closest));
    return reply_closest(rp, closest, backwards);
}

static const struct err *timeline_timestamp_get_timestamp_to_event(struct request *rq,
                                                                   struct reply *rp)
{
    struct room *room;
    int64_t ts;
    bool backwards, may_be_closer, here = true;
    const struct event *e;
    if (!request_query(rq, "ts"))
        return err(ERR_MISSING_PARAM, "Missing ts");
    TRY(request_query_int(rq, "ts", 0, 0, INT64_MAX, &ts));
    TRY(reading_direction(rq, 0, &backwards));
    TRY(reading_room(rq, &room));
    TRY(timestamp_find_event(rq, room, ts, backwards, &e));
    TRY(is_gap_between(job_of(rq), room, ts, backwards, e, &may_be_closer));
    if (may_be_closer)
        TRY(remote_request_begin(rq, rp, NULL, &here));
    if (!here)
        return NULL;
    return may_be_closer ? ask_others(rq, rp, room, ts, backwards, e)
                         : reply_closest(rp, e, backwards);
}

const struct route timestamp_routes[] = {
    {.method = GET,
     .path = "/_matrix/client/v1/rooms/{room}/timestamp_to_event",
     .handler = timeline_timestamp_get_timestamp_to_event,
     .moves_to = POOL_REMOTE,
     .who = WHO_USER,
     .spec = "Getting events for a room",
     .also = "/_matrix/client/unstable/org.matrix.msc3030/rooms/{room}/timestamp_to_event"},
    {.path = NULL},
};
