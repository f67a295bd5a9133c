/* Unread counts: notifications and highlights of a user in a room.
 *
 * A user's unread count is the room's counter now (rooms/write/unread_evaluate.h), minus the
 * counter at their read receipt (or own last message), plus the push_actions rows in
 * between. */
#ifndef USERS_UNREAD_H
#define USERS_UNREAD_H

#include "rooms/room.h"

struct change;

struct thread_counts {
    const char *root; /* event id */
    int64_t notify, highlight;
};

struct unread_counts {
    int64_t notify,
        highlight; /* of the main timeline; of everything when threads were not asked for */
    const struct thread_counts *threads; /* only those with something unread */
    size_t threads_n;
};

/* The counts of one user in one room. Usually from memory: a cache of where each active user's
 * receipts are, kept up to date by a feed listener, so that a delivered message costs no SQL. */
const struct err *unread_get(struct job *job, struct room *room, int64_t user, const char *user_id,
                             bool by_thread, struct unread_counts *ret);

/* For one event: whether the user was in the room then, and has read it. From SQL. */
struct stored_event;
const struct err *unread_is_read(struct job *job, struct room *room, int64_t user,
                                 const char *user_id, const struct stored_event *e,
                                 bool *ret_was_there, bool *ret_is_read);

struct unread_cache;
struct unread_cache *unread_cache_create(struct node *node);
void unread_cache_destroy(struct unread_cache *c);
void unread_cache_on_changes(void *cache, const struct change *changes,
                             size_t n); /* a listener (storage/db/feed.h) */

#endif
