#include "server/client/shared/room_request.h"

#include "matrix/json_scan.h"
#include "rooms/room_cache.h"
#include "storage/rooms/events.h"
#include "storage/rooms/room_state.h"

const struct err *room_of_request(struct request *rq, struct room **ret)
{
    struct room *room;
    TRY(room_find(job_of(rq), request_param(rq, "room"), &room));
    if (!room)
        return err(ERR_FORBIDDEN, "You are not in this room, or there is no such room");
    *ret = room;
    return NULL;
}

const struct err *need_not_suspended(const struct request *rq)
{
    if (caller_of(rq)->is_suspended)
        return err(ERR_USER_SUSPENDED, "Your account is suspended");
    return NULL;
}

/* The end of the user's last membership in the room; 0 when they never were a member. */
static const struct err *end_of_membership(struct request *rq, struct room *room, int64_t *ret)
{
    const struct stored_event *events; /* oldest first */
    size_t n;
    bool remembers;
    *ret = 0;
    TRY(members_remember(job_tx(job_of(rq)), room->id, caller_of(rq)->user, &remembers));
    if (!remembers)
        return NULL;
    TRY(room_state_history(job_tx(job_of(rq)), room->id, TYPE_MEMBER, caller_of(rq)->user_id,
                           &events, &n));
    for (size_t i = 0; i + 1 < n; i++)
        if (event_membership(events[i].event) == MEMBERSHIP_JOIN)
            *ret = events[i + 1].since;
    return NULL;
}

const struct err *room_state_position(struct request *rq, struct room *room, int64_t *ret)
{
    struct job *job = job_of(rq);
    enum membership now = room_membership(room, caller_of(rq)->user);
    const char *visibility;
    TRY(room_state_text(job, room, "m.room.history_visibility", "history_visibility", &visibility));
    if (now == MEMBERSHIP_JOIN || (visibility && strcmp(visibility, "world_readable") == 0)) {
        *ret = ROOM_STATE_NOW;
        return NULL;
    }
    int64_t end = 0;
    if (now == MEMBERSHIP_LEAVE)
        TRY(end_of_membership(rq, room, &end));
    if (!end)
        return err(ERR_FORBIDDEN, "You are not in this room, or there is no such room");
    *ret = end;
    return NULL;
}
