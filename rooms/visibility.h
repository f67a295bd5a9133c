/* Who may see which event (client-server-api, "Room history visibility"). */
#ifndef ROOMS_VISIBILITY_H
#define ROOMS_VISIBILITY_H

#include "rooms/room.h"
#include "storage/events.h"

/* May the user read anything of the room (joined, was joined, or the room is world-readable)?
 * M_FORBIDDEN if not. */
const struct err *visibility_need_room(struct job *job, struct room *room, int64_t user);

/* Of these events of one room (any order), sets ret_visible[i] for those the user may see: by the
 * history visibility and the user's membership at each event, and the user's ignore list (not for
 * state events). From memory when nothing relevant changed in the span; otherwise one query each
 * for the intervals of history visibility and membership. */
const struct err *visibility_filter(struct job *job, struct room *room, int64_t user,
                                    const char *user_id, const struct stored_event *const *events,
                                    size_t n, bool *ret_visible);

/* The same for a single event. */
const struct err *visibility_may_see(struct job *job, struct room *room, int64_t user,
                                     const char *user_id, const struct stored_event *e, bool *ret);

/* The user's membership when the event at this position had happened. */
const struct err *visibility_membership_at(struct job *job, struct room *room, int64_t user,
                                           const char *user_id, int64_t position,
                                           enum membership *ret);

/* The user's ignored users, cached; a set of user id text. NULL when there are none. */
const struct err *ignored_users(struct job *job, int64_t user, const struct map **ret);

#endif
