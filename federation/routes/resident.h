/* What the requests have in common by which other servers' users come into rooms of ours and go out
 * of them (server-server-api, "Joining Rooms", "Knocking upon a room", "Leaving Rooms"). */
#ifndef FEDERATION_ROUTES_RESIDENT_H
#define FEDERATION_ROUTES_RESIDENT_H

#include "federation/federation.h"
#include "rooms/room.h"
#include "rooms/state/state_at.h"

/* The room of the path, in which we are and the caller may take part. M_NOT_FOUND, also while we
 * do not know its members ourselves; M_FORBIDDEN by m.room.server_acl. */
const struct err *resident_room(struct request *rq, struct room **ret);

/* Is it a user of the calling server? M_FORBIDDEN. */
const struct err *resident_need_own_user(struct request *rq, const char *user_id);

/* A member event that the caller sends for one of its users: M_INVALID_PARAM unless it is one of
 * that membership, of its sender about themselves, and the one of the path; format, hash and
 * signatures are checked. When it names a user of ours who vouches for a restricted join, our
 * signature is added. */
const struct err *resident_read_event(struct request *rq, struct room *room,
                                      enum membership membership, const struct event **ret);

/* Takes the event into the room and tells the others. M_FORBIDDEN when the rules refuse it. */
const struct err *resident_accept(struct request *rq, struct room *room, const struct event *event,
                                  int64_t *ret_position);

/* M_INCOMPATIBLE_ROOM_VERSION with the room's version. */
const struct err *resident_refuse_version(const char *version);

#endif
