/* Events of erased users (client-server-api, "Account deactivation", `erase`): users and servers
 * that join a room after the erasure get redacted copies of them; those that were in the room
 * between the event and the erasure still get the event.
 *
 * The room's settings are redacted for no user: state that servers and clients act upon (power
 * levels, encryption, server ACLs, ...), and other state while it is current. Events about the
 * users themselves are no settings: their memberships, and state under their own id. */
#ifndef ROOMS_READ_ERASURE_H
#define ROOMS_READ_ERASURE_H

#include "storage/db/job.h"
#include "storage/rooms/events.h"

struct change;

struct erasures;
struct erasures *erasures_create(struct node *node);
void erasures_destroy(struct erasures *x);
void erasures_on_changes(void *erasures, const struct change *changes,
                         size_t n); /* a listener (storage/db/feed.h) */

/* The position of the user's erasure; 0: none. From memory. */
const struct err *erasures_find(struct job *job, const char *user_id, int64_t *ret);

/* A user or a server that reads events, one room after the other. No cost unless a sender is
 * erased; then one query for each room. Lives in that arena. */
struct onlooker;
struct onlooker *onlooker_user(struct arena *a, const char *user_id);
struct onlooker *onlooker_server(struct arena *a, const char *server);

/* The event as the onlooker may see it: itself, or its redacted copy. Needs e->room; a position of
 * 0 means that the caller does not know it. */
const struct err *onlooker_event(struct job *job, struct onlooker *o, const struct stored_event *e,
                                 const struct event **ret);
/* The same for each of a list, which is copied if an event in it must be redacted. */
const struct err *onlooker_list(struct job *job, struct onlooker *o,
                                const struct stored_event *const **events, size_t n);
const struct err *onlooker_rows(struct job *job, struct onlooker *o,
                                const struct stored_event **events, size_t n);

#endif
