/* Limits on the rooms, and on their state, that users and other servers can make us store. */
#ifndef ROOMS_ROOM_QUOTA_H
#define ROOMS_ROOM_QUOTA_H

#include "rooms/room.h"

enum {
    ROOMS_OF_USER_MAX = 50000,    /* created, or first joined, by one user */
    ROOMS_OF_SERVER_MAX = 100000, /* invited to by one server; none of our users is in them */
    INVITES_MAX = 2000,           /* pending for one user ... */
    INVITES_OF_SERVER_MAX = 500,  /* ... and of these, by users of one other server */
    STATE_OF_SENDER_MAX = 10000,  /* current state events of one sender in one room, and ... */
    STATE_BYTES_OF_SENDER_MAX = 32 << 20 /* ... their bytes; member events do not count */
};

/* Another server as a source: negative, so that it is no users.id. */
int64_t quota_source_of_server(const char *server);

/* Checks that the source (a user of ours, by users.id, or another server) may have one more room.
 */
const struct err *room_quota_check_new(struct job *job, int64_t source);
/* The same for a user who has created so many. */
const struct err *room_quota_check_made(int64_t made);
/* Checks that a user of ours may get one more invite from that other server. */
const struct err *room_quota_check_invite(struct job *job, int64_t user, const char *server);
/* Checks that the sender may add one more key to the room's state. */
const struct err *room_quota_check_state_locked(struct room *room, const char *sender);

#endif
