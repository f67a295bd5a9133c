/* Server-server API, send_leave and send_knock: member events of users who are not joined. */
#include "federation/in/share.h"
#include "federation/rooms/invite_state.h"
#include "federation/routes.h"
#include "federation/routes/resident.h"

static const struct err *take_leave(struct request *rq)
{
    struct room *room;
    const struct event *event;
    int64_t position;
    TRY(resident_room(rq, &room));
    TRY(resident_read_event(rq, room, MEMBERSHIP_LEAVE, &event));
    return resident_accept(rq, room, event, &position);
}

static const struct err *put_send_leave_v1(struct request *rq, struct reply *rp)
{
    TRY(take_leave(rq));
    BUF_LIT(&rp->body, "[200,{}]");
    return reply_body(rp, 200);
}

static const struct err *put_send_leave(struct request *rq, struct reply *rp)
{
    TRY(take_leave(rq));
    return reply_empty(rp);
}

static const struct err *put_send_knock(struct request *rq, struct reply *rp)
{
    struct room *room;
    const struct event *event;
    struct str state;
    int64_t position;
    TRY(resident_room(rq, &room));
    TRY(resident_read_event(rq, room, MEMBERSHIP_KNOCK, &event));
    TRY(resident_accept(rq, room, event, &position));
    TRY(invite_state_write(rq->job, room, NULL, &state));
    BUF_LIT(&rp->body, "{\"knock_room_state\":");
    buf_add_str(&rp->body, state);
    buf_add_char(&rp->body, '}');
    return reply_body(rp, 200);
}

const struct route federation_send_membership_routes[] = {
    {.method = PUT,
     .path = "/_matrix/federation/v1/send_leave/{room}/{event}",
     .handler = share_run,
     .inner = put_send_leave_v1,
     .who = WHO_SERVER,
     .body = BODY_RAW,
     .pool = POOL_FEDERATION,
     .spec = "leaving rooms (rejecting invites)"},
    {.method = PUT,
     .path = "/_matrix/federation/v2/send_leave/{room}/{event}",
     .handler = share_run,
     .inner = put_send_leave,
     .who = WHO_SERVER,
     .body = BODY_RAW,
     .pool = POOL_FEDERATION,
     .spec = "leaving rooms (rejecting invites)"},
    {.method = PUT,
     .path = "/_matrix/federation/v1/send_knock/{room}/{event}",
     .handler = share_run,
     .inner = put_send_knock,
     .who = WHO_SERVER,
     .body = BODY_RAW,
     .pool = POOL_FEDERATION,
     .spec = "knocking upon a room"},
    {.path = NULL},
};
