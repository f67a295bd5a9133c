/* How unread counts are loaded from the database: shared by unread.c and unread_load.c. */
#ifndef USERS_UNREAD_INTERNAL_H
#define USERS_UNREAD_INTERNAL_H

#include "rooms/room.h"
#include "users/unread.h"

struct unread_tally {
    int64_t notify, highlight;
};

struct thread_standing {
    int64_t root, read_up_to;
    const char *root_id;
    struct unread_tally unread;
};

/* How far a user has read in a room, and what is unread after that. */
struct standing {
    int64_t read_up_to;      /* everything, threads as well */
    int64_t main_read_up_to; /* the main timeline */
    struct unread_tally main;
    struct thread_standing *threads; /* with events after read_up_to */
    size_t threads_n;
};

struct ignored_list;

/* True at position `until`; in the job's arena. ignored: users whose events are not sent to this
 * user and count for nothing; NULL: none. */
const struct err *unread_load(struct job *job, struct room *room, int64_t user, const char *user_id,
                              const struct ignored_list *ignored, int64_t until,
                              struct standing *ret);

#endif
