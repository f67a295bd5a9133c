/* Client-server API, "Reporting content". */
#include "storage/rooms/reports.h"
#include "matrix/id.h"
#include "rooms/room_cache.h"
#include "server/client/shared/room_request.h"
#include "server/routes.h"
#include "storage/users/users.h"

enum { REASON_MAX = 10000 };

static const struct err *room_reports_add(struct request *rq, struct reply *rp, struct report *r)
{
    r->reporter = caller_of(rq)->user;
    TRY(json_want_string(rq->body, "reason", NULL, &r->reason));
    if (r->reason && strlen(r->reason) > REASON_MAX)
        return err(ERR_INVALID_PARAM, "The reason is longer than %d bytes", REASON_MAX);
    TRY(reports_add(job_tx(job_of(rq)), r));
    return reply_empty(rp);
}

static const struct err *need_reason(const struct request *rq)
{
    const char *reason;
    return json_need_string(rq->body, "reason", &reason);
}

static const struct err *post_room_report(struct request *rq, struct reply *rp)
{
    struct room *room;
    TRY(need_reason(rq));
    TRY(room_find(job_of(rq), request_param(rq, "room"), &room));
    if (!room)
        return err(ERR_NOT_FOUND, "The room was not found");
    return room_reports_add(rq, rp, &(struct report){.room_id = room->room_id});
}

static const struct err *post_event_report(struct request *rq, struct reply *rp)
{
    struct job *job = job_of(rq);
    struct room *room;
    const struct stored_event *e = NULL;
    TRY(room_find(job, request_param(rq, "room"), &room));
    if (room && room_membership(room, caller_of(rq)->user) == MEMBERSHIP_JOIN)
        TRY(events_get_by_id(job_tx(job), request_param(rq, "event"), &e));
    if (!e || e->room != room->id)
        return err(ERR_NOT_FOUND, "The event was not found or you are not joined to the room");
    return room_reports_add(
        rq, rp, &(struct report){.room_id = room->room_id, .event_id = e->event->event_id});
}

/* Users of other servers may be reported even if it is not known whether they exist. */
static const struct err *post_user_report(struct request *rq, struct reply *rp)
{
    const char *user_id = request_param(rq, "user");
    struct account account;
    bool found = true;
    TRY(need_reason(rq));
    if (!id_is_user(str_of(user_id)))
        return err(ERR_INVALID_PARAM, "\"%s\" is not a user id", user_id);
    if (id_is_local(job_of(rq)->node, user_id))
        TRY(users_find(job_tx(job_of(rq)), user_id, &found, &account));
    if (!found)
        return err(ERR_NOT_FOUND, "The user was not found");
    return room_reports_add(rq, rp, &(struct report){.user_id = user_id});
}

const struct route reports_routes[] = {
    {.method = POST,
     .path = "/_matrix/client/v3/rooms/{room}/report",
     .handler = post_room_report,
     .who = WHO_USER,
     .body = BODY_JSON,
     .rate = RATE_ROOM,
     .spec = "reporting content",
     .also = "/_matrix/client/unstable/org.matrix.msc4151/rooms/{room}/report"},
    {.method = POST,
     .path = "/_matrix/client/v3/rooms/{room}/report/{event}",
     .handler = post_event_report,
     .who = WHO_USER,
     .body = BODY_MAYBE,
     .rate = RATE_ROOM,
     .spec = "reporting content"},
    {.method = POST,
     .path = "/_matrix/client/v3/users/{user}/report",
     .handler = post_user_report,
     .who = WHO_USER,
     .body = BODY_JSON,
     .rate = RATE_ROOM,
     .spec = "reporting content",
     .also = "/_matrix/client/unstable/org.matrix.msc4260/users/{user}/report"},
    {.path = NULL},
};
