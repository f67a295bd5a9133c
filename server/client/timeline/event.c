/* Client-server API, "Getting events for a room": one event by its id. */
#include "rooms/room_cache.h"
#include "server/client/shared/room_reading.h"
#include "server/routes.h"

static const struct err *reply_event(struct request *rq, struct reply *rp,
                                     const struct stored_event *e)
{
    struct viewer viewer = viewer_of(rq);
    TRY(serialize_events(job_of(rq), &viewer, &e, 1, RELATIONS_UNKNOWN, &rp->body));
    return reply_body(rp, 200);
}

static const struct err *get_room_event(struct request *rq, struct reply *rp)
{
    struct room *room;
    const struct stored_event *e;
    TRY(room_find(job_of(rq), request_param(rq, "room"), &room));
    if (!room)
        return err(ERR_NOT_FOUND, "There is no such event, or you may not see it");
    TRY(reading_event(rq, room, request_param(rq, "event"), &e));
    return reply_event(rq, rp, e);
}

/* Deprecated: the same without naming the room. */
static const struct err *event_get_event(struct request *rq, struct reply *rp)
{
    const char *event_id = request_param(rq, "event");
    const struct stored_event *e;
    struct room *room = NULL;
    TRY(events_get_by_id(job_tx(job_of(rq)), event_id, &e));
    if (e)
        TRY(room_get_by_id(job_of(rq), e->room, &room));
    if (!room)
        return err(ERR_NOT_FOUND, "There is no such event, or you may not see it");
    TRY(reading_event(rq, room, event_id, &e));
    return reply_event(rq, rp, e);
}

const struct route event_routes[] = {
    {.method = GET,
     .path = "/_matrix/client/v3/rooms/{room}/event/{event}",
     .handler = get_room_event,
     .who = WHO_GUEST_TOO,
     .spec = "Getting events for a room"},
    {.method = GET,
     .path = "/_matrix/client/v3/events/{event}",
     .handler = event_get_event,
     .who = WHO_USER,
     .spec = "Getting events for a room"},
    {.path = NULL},
};
