/* Client-server API, "Creation". */
#include "rooms/create.h"
#include "server/client/room_request.h"
#include "server/routes.h"

/* They count as those of /invite do. */
static const struct err *charge_invites(struct request *rq)
{
    const json_t *invited;
    TRY(json_want_array(rq->body, "invite", &invited));
    size_t n = json_array_size(invited);
    return n ? request_charge(rq, RATE_INVITE, (int)n) : NULL;
}

static const struct err *post_create_room(struct request *rq, struct reply *rp)
{
    struct author author = author_of(rq);
    const char *room_id;
    TRY(need_not_suspended(rq));
    TRY(charge_invites(rq));
    TRY(room_create(job_of(rq), &author, rq->body, &room_id));
    return reply_json(rp, 200, "{s:s}", "room_id", room_id);
}

const struct route create_room_routes[] = {
    {.method = POST,
     .path = "/_matrix/client/v3/createRoom",
     .handler = post_create_room,
     .who = WHO_USER,
     .body = BODY_MAYBE,
     .rate = RATE_ROOM,
     .spec = "creation"},
    {.path = NULL},
};
