/* Shared by the handlers that return a room's timeline: the reader, the room, the place. */
#ifndef SERVER_CLIENT_SHARED_ROOM_READING_H
#define SERVER_CLIENT_SHARED_ROOM_READING_H

#include "http/reply.h"
#include "rooms/read/serialize.h"
#include "server/client/shared/room_request.h"

enum { EVENTS_LIMIT_DEFAULT = 10, EVENTS_LIMIT_MAX = 1000 };

struct viewer viewer_of(const struct request *rq);

/* The room of the path's {room}, if the user may read any of it, else M_FORBIDDEN. */
const struct err *reading_room(struct request *rq, struct room **ret);

/* The event of that id, if it is in the room and the user may see it, else M_NOT_FOUND. */
const struct err *reading_event(struct request *rq, struct room *room, const char *event_id,
                                const struct stored_event **ret);

/* The place (rooms/read/walk.h) that a token in the query names; for a token from lost history, the
 * place where that begins. */
const struct err *reading_place(struct request *rq, const char *name, int64_t def, int64_t *ret);

/* `"key":"<token of a place>"` */
void reading_add_token(struct request *rq, struct reply *rp, const char *key, int64_t place);

/* `limit`: capped at the server's maximum. */
const struct err *reading_limit(const struct request *rq, size_t *ret);

/* `dir`: M_MISSING_PARAM when there is none and no default ('b', 'f'; 0: none). */
const struct err *reading_direction(const struct request *rq, char def, bool *ret_backwards);

/* `filter`, a RoomEventFilter; NULL when there is none. */
const struct err *reading_filter(const struct request *rq, const struct event_filter **ret);

/* Member events, as they were at `position`, of the senders of these events: written as a list
 * without its brackets ("Lazy-loading room members"). */
const struct err *reading_add_senders(struct request *rq, struct room *room, int64_t position,
                                      const struct stored_event *const *events, size_t n,
                                      struct buf *out);

/* The state at a position, with or without its members, as far as the filter (NULL: none) accepts
 * it: written as a list without its brackets. ret_any: it is not empty. */
const struct err *reading_add_state(struct request *rq, struct reply *rp, struct room *room,
                                    int64_t position, const struct event_filter *filter,
                                    bool with_members, bool *ret_any);

#endif
