/* Our guests in rooms that others have a say in (client-server-api, "Guest Access"): joining rooms
 * of other servers, and leaving when guest access is revoked there. Guests are known here only, so
 * that no other server does it for us. */
#ifndef FEDERATION_ROOMS_GUESTS_H
#define FEDERATION_ROOMS_GUESTS_H

#include "federation/rooms/join.h"

/* federation_join() for a guest: only where a server of the room says that guests can join, and its
 * state says so as well. M_GUEST_ACCESS_FORBIDDEN. */
const struct err *federation_join_as_guest(struct job *job, const char *room_id,
                                           const struct via *via, const struct author *author,
                                           const json_t *content, const char **ret_event_id);

/* Follows the log: what our own users change is seen to by who handles their request. */
struct guest_watch;
struct guest_watch *guest_watch_create(struct node *node); /* listens to the feed */
void guest_watch_start(struct guest_watch *g);
void guest_watch_stop(struct guest_watch *g);    /* NULL-safe */
void guest_watch_destroy(struct guest_watch *g); /* NULL-safe */

#endif
