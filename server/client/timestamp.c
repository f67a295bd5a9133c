/* Client-server API, "Getting events for a room": the event closest to a time. */
#include "rooms/moment.h"
#include "rooms/walk.h"
#include "server/client/room_reading.h"
#include "server/routes.h"
#include "storage/feed.h"

enum { NEIGHBOURS = 50 };

/* Of the walked events the one whose time is closest to ts in the wanted direction; the first of
 * several. */
static void choose_closest(const struct walked *walked, int64_t ts, bool backwards,
                           const struct event **closest)
{
    for (size_t i = 0; i < walked->n; i++) {
        const struct event *e = walked->events[i]->event;
        int64_t distance = backwards ? ts - e->origin_server_ts : e->origin_server_ts - ts;
        if (distance < 0)
            continue;
        if (!*closest || distance < (backwards ? ts - (*closest)->origin_server_ts
                                               : (*closest)->origin_server_ts - ts))
            *closest = e;
    }
}

static const struct err *find_event(struct request *rq, struct room *room, int64_t ts,
                                    bool backwards, const struct event **ret)
{
    struct viewer viewer = viewer_of(rq);
    struct walk w = {.room = room, .viewer = &viewer, .limit = NEIGHBOURS};
    struct walked ahead, around;
    const struct event *closest = NULL;
    TRY(moment_find(job_of(rq), room, ts, &w.from));
    /* First in the direction that was asked for, then what lies on the other side out of order. */
    for (int side = 0; side < 2; side++) {
        w.backwards = side == 0 ? backwards : !backwards;
        w.to = w.backwards ? WALK_START : feed_position(job_of(rq)->store->feed);
        TRY(walk_room(job_of(rq), &w, side == 0 ? &ahead : &around));
        choose_closest(side == 0 ? &ahead : &around, ts, backwards, &closest);
    }
    *ret = closest;
    return NULL;
}

static const struct err *get_timestamp_to_event(struct request *rq, struct reply *rp)
{
    struct room *room;
    int64_t ts;
    bool backwards;
    const struct event *e;
    if (!request_query(rq, "ts"))
        return err(ERR_MISSING_PARAM, "Missing ts");
    TRY(request_query_int(rq, "ts", 0, 0, INT64_MAX, &ts));
    TRY(reading_direction(rq, 0, &backwards));
    TRY(reading_room(rq, &room));
    TRY(find_event(rq, room, ts, backwards, &e));
    if (!e)
        return err(ERR_NOT_FOUND, "There is no event %s that time", backwards ? "before" : "after");
    return reply_json(rp, 200, "{s:s, s:I}", "event_id", e->event_id, "origin_server_ts",
                      (json_int_t)e->origin_server_ts);
}

const struct route timestamp_routes[] = {
    {.method = GET,
     .path = "/_matrix/client/v1/rooms/{room}/timestamp_to_event",
     .handler = get_timestamp_to_event,
     .who = WHO_USER,
     .spec = "Getting events for a room",
     .also = "/_matrix/client/unstable/org.matrix.msc3030/rooms/{room}/timestamp_to_event"},
    {.path = NULL},
};
