/* How many rooms, and how much state of them, users and other servers can make us store. */
#ifndef ROOMS_ROOM_QUOTA_H
#define ROOMS_ROOM_QUOTA_H

#include "rooms/room.h"

enum {
    ROOMS_OF_USER_MAX = 50000,    /* made, or first entered, by one user */
    ROOMS_OF_SERVER_MAX = 100000, /* that one other server has invited to, and none of us is in */
    INVITES_MAX = 2000,           /* that wait for one user ... */
    INVITES_OF_SERVER_MAX = 500,  /* ... and of these, by users of one other server */
    STATE_OF_SENDER_MAX = 10000,  /* current state of one room with keys of one sender's, and ... */
    STATE_BYTES_OF_SENDER_MAX = 32 << 20 /* ... its bytes; members do not count */
};

/* Another server as a source: negative, so that it is no users.id. */
int64_t quota_source_of_server(const char *server);

/* One more room for the source: a user of ours (users.id), or another server. */
const struct err *room_quota_check_new(struct job *job, int64_t source);
/* The same for a user who has made so many. */
const struct err *room_quota_check_made(int64_t made);
/* One more invite for a user of ours by a user of that other server. */
const struct err *room_quota_check_invite(struct job *job, int64_t user, const char *server);
/* One more key of the room's state by the sender. */
const struct err *room_quota_check_state_locked(struct room *room, const char *sender);

#endif
