/* What erased users said (client-server-api, "Account deactivation", `erase`): users and servers
 * that come into a room after the erasure are shown redacted copies of their events; who was in the
 * room between the event and the erasure goes on seeing it.
 *
 * What stays whole for everybody are the room's settings: state that others act upon (power levels,
 * encryption, server ACLs, ...), and other state for as long as it is the current one. Events that
 * tell of the users themselves are no settings: their memberships, and state under their own id. */
#ifndef ROOMS_READ_ERASURE_H
#define ROOMS_READ_ERASURE_H

#include "storage/db/job.h"
#include "storage/rooms/events.h"

struct erasures;
struct erasures *erasures_create(struct node *node); /* listens to the feed */
void erasures_destroy(struct erasures *x);

/* Where in the log the user was erased; 0: they were not. From memory. */
const struct err *erasures_find(struct job *job, const char *user_id, int64_t *ret);

/* A user or a server that is shown events, one room after the other. Costs nothing while no erased
 * user is among the senders; then one query for each room. Lives in that arena. */
struct onlooker;
struct onlooker *onlooker_user(struct arena *a, const char *user_id);
struct onlooker *onlooker_server(struct arena *a, const char *server);

/* The event as the onlooker may see it: itself, or its redacted copy. Needs e->room; a position of
 * 0 is that of a stored event which the caller does not know. */
const struct err *onlooker_event(struct job *job, struct onlooker *o, const struct stored_event *e,
                                 const struct event **ret);
/* The same for each of a list, which is copied when something in it must be redacted. */
const struct err *onlooker_list(struct job *job, struct onlooker *o,
                                const struct stored_event *const **events, size_t n);
const struct err *onlooker_rows(struct job *job, struct onlooker *o,
                                const struct stored_event **events, size_t n);

#endif
