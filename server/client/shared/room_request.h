/* Shared by the handlers of room endpoints: the acting user, and the room. */
#ifndef SERVER_CLIENT_SHARED_ROOM_REQUEST_H
#define SERVER_CLIENT_SHARED_ROOM_REQUEST_H

#include "rooms/write/append.h"
#include "server/account/caller.h"
#include "storage/rooms/room_state.h"

#define ROOM_STATE_NOW (VALID_FOREVER - 1)

static inline struct author author_of(const struct request *rq)
{
    const struct caller *c = caller_of(rq);
    return (struct author){.user = c->user, .user_id = c->user_id, .device = c->device};
}

/* For a request that others see the effect of: a user who acts but never syncs is online, too. */
static inline void caller_acts(struct request *rq)
{
    struct presence_who who = presence_who_of(rq);
    presence_act(job_of(rq), &who);
}

/* The room of the path's {room}. One that does not exist is refused like one that the user is not
 * in: M_FORBIDDEN. */
const struct err *room_of_request(struct request *rq, struct room **ret);

/* M_USER_SUSPENDED for those who may only read and leave. */
const struct err *need_not_suspended(const struct request *rq);

/* The position whose state the user may see: ROOM_STATE_NOW for members and in world-readable
 * rooms, the end of their membership for users who have left. M_FORBIDDEN for all others, also
 * banned users. */
const struct err *room_state_position(struct request *rq, struct room *room, int64_t *ret);

#endif
