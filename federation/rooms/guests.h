/* Our guests in rooms shared with other servers (client-server-api, "Guest Access"): joining rooms
 * of other servers, and leaving when guest access is revoked there. Only this server knows who is a
 * guest, so no other server does it. */
#ifndef FEDERATION_ROOMS_GUESTS_H
#define FEDERATION_ROOMS_GUESTS_H

#include "federation/rooms/join.h"

struct change;

/* federation_join() for a guest: only if a server of the room says that guests can join, and its
 * state agrees. M_GUEST_ACCESS_FORBIDDEN. */
const struct err *federation_join_as_guest(struct job *job, const char *room_id,
                                           const struct via *via, const struct author *author,
                                           const json_t *content, const char **ret_event_id);

/* Follows the log for changes from other servers; those of our own users are handled with their
 * request. */
struct guest_watch;
struct lease_job;
struct guest_watch *guest_watch_create(struct node *node, struct lease_job *lease); /* of rooms */
/* Looks at all rooms with guests whose slices this node holds. Must not block. */
void guest_watch_look(struct guest_watch *g);
void guest_watch_start(struct guest_watch *g);
void guest_watch_stop(struct guest_watch *g);    /* NULL-safe */
void guest_watch_destroy(struct guest_watch *g); /* NULL-safe */
void guest_watch_on_changes(void *watch, const struct change *changes,
                            size_t n); /* a listener (storage/db/feed.h) */

#endif
