/* Which events a user may see (client-server-api, "Room history visibility"). */
#ifndef ROOMS_READ_VISIBILITY_H
#define ROOMS_READ_VISIBILITY_H

#include "rooms/room.h"
#include "storage/rooms/events.h"

/* What one user may see of one room over time: from memory while nothing relevant changed,
 * otherwise read once from the intervals of history visibility and membership. */
struct visibility {
    bool all;               /* everything is visible, from the position of visibility_open on */
    struct room_member now; /* the user's membership */
    int64_t end;            /* nothing after this position is visible */
    const struct stored_event *history, *members; /* as state, oldest first; unless known from `now`
                                                   */
    size_t history_n, members_n;
};

/* For events at `from` and later positions. */
const struct err *visibility_open(struct job *job, struct room *room, int64_t user,
                                  const char *user_id, int64_t from, struct visibility *ret);
/* May the user see the event at this position, as far as history visibility goes? */
bool visibility_allows(const struct visibility *s, int64_t position);
/* The user's membership after the event at this position. */
enum membership visibility_membership(const struct visibility *s, int64_t position);

/* M_FORBIDDEN unless the user may read anything of the room: they are joined, or have left without
 * a ban, or the room is world-readable. */
const struct err *visibility_need_room(struct job *job, struct room *room, int64_t user);

/* Of these events of one room (any order), sets ret_visible[i] for those the user may see: by the
 * history visibility and the user's membership at each event, and the user's ignore list (not for
 * state events). Redactions that are not applied are visible to no user. */
const struct err *visibility_filter(struct job *job, struct room *room, int64_t user,
                                    const char *user_id, const struct stored_event *const *events,
                                    size_t n, bool *ret_visible);

/* The same for a single event. */
const struct err *visibility_may_see(struct job *job, struct room *room, int64_t user,
                                     const char *user_id, const struct stored_event *e, bool *ret);

#endif
