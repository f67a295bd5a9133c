/* Shared by the requests with which other servers' users join and leave our rooms
 * (server-server-api, "Joining Rooms", "Knocking upon a room", "Leaving Rooms"). */
#ifndef FEDERATION_ROUTES_RESIDENT_H
#define FEDERATION_ROUTES_RESIDENT_H

#include "federation/federation.h"
#include "rooms/room.h"
#include "rooms/state/state_at.h"

/* The room of the path: we are in it, and the caller may take part. M_NOT_FOUND, also while its
 * state is partial; M_FORBIDDEN by m.room.server_acl. */
const struct err *resident_room(struct request *rq, struct room **ret);

/* M_FORBIDDEN unless it is a user of the calling server. */
const struct err *resident_need_own_user(struct request *rq, const char *user_id);

/* M_INVALID_PARAM unless it is a member event with that membership, is the one in the path, and is
 * not redacted; M_FORBIDDEN unless its sender is a user of the calling server. Checked before the
 * signatures, so that no server makes us fetch keys for another event. */
const struct err *resident_check_form(struct request *rq, const struct event *e,
                                      enum membership membership);

/* A member event that the caller sends for one of its users. M_INVALID_PARAM unless it has that
 * membership, is about its sender, and is the one in the path; format, hash and signatures are
 * checked. If it names one of our users as the authorising user, our signature is added. */
const struct err *resident_read_event(struct request *rq, struct room *room,
                                      enum membership membership, const struct event **ret);

/* Accepts the event into the room, which sends it to the other servers. M_FORBIDDEN if the rules
 * refuse it. */
const struct err *resident_accept(struct request *rq, struct room *room, const struct event *event,
                                  int64_t *ret_position);

/* M_INCOMPATIBLE_ROOM_VERSION with the room's version. */
const struct err *resident_refuse_version(const char *version);

#endif
