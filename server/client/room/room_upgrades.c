/* Client-server API, "Room upgrades". */
#include "rooms/room_cache.h"
#include "rooms/write/upgrade.h"
#include "server/client/shared/room_request.h"
#include "server/client/shared/room_successor.h"
#include "server/routes.h"

static const struct err *post_upgrade(struct request *rq, struct reply *rp)
{
    struct author author = author_of(rq);
    const char *id, *room_id;
    const json_t *creators;
    struct room *room;
    TRY(need_not_suspended(rq));
    TRY(json_need_string(rq->body, "new_version", &id));
    TRY(json_want_array(rq->body, "additional_creators", &creators));
    const struct room_version *version = room_version_find(id);
    if (!version)
        return err(ERR_UNSUPPORTED_ROOM_VERSION, "This server does not support room version \"%s\"",
                   id);
    TRY(room_find(job_of(rq), request_param(rq, "room"), &room));
    if (!room)
        return err(ERR_NOT_FOUND, "This server is not in the room %.255s",
                   request_param(rq, "room"));
    TRY(room_upgrade(job_of(rq), room, &author, version, creators, &room_id));
    TRY(room_get(job_of(rq), room_id, &room));
    room_successor_joined(rq, room);
    return reply_json(rp, 200, "{s:s}", "replacement_room", room_id);
}

const struct route room_upgrades_routes[] = {
    {.method = POST,
     .path = "/_matrix/client/v3/rooms/{room}/upgrade",
     .handler = post_upgrade,
     .who = WHO_USER,
     .body = BODY_JSON,
     .rate = RATE_ROOM,
     .spec = "room upgrades"},
    {.path = NULL},
};
