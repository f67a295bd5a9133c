/* The feed: the newest changes of the log, in memory, in order.
 *
 * The committer publishes each committed change here and calls the listeners (in commit order, in
 * its thread), which update caches and wake readers. A cursor inside the ring is served from
 * memory; an older one from SQL by index. Changes of one room are chained, newest to oldest, and so
 * are changes that concern one user, so that a reader visits only those. */
#ifndef STORAGE_DB_FEED_H
#define STORAGE_DB_FEED_H

#include "storage/db/change.h"

struct feed;

struct feed *feed_create(size_t entries, size_t bytes_max, int64_t position);
void feed_destroy(struct feed *f);
void feed_add_metrics(struct feed *f, struct buf *out);

/* A listener is called with each batch of committed changes before the writers learn of their
 * success. It only touches memory and never blocks for long. A call with n == 0 means that changes
 * were missed (feed_reset): forget everything cached, wake all readers. */
struct feed_listener {
    void (*on_changes)(void *ctx, const struct change *changes, size_t n);
    /* Called when all listeners have seen a batch and feed_position() has moved: the time to wake
     * readers, which would find nothing before. NULL: none. */
    void (*on_settled)(void *ctx);
    void *ctx;
};

/* Before the first change is published. They are called in this order; the list is borrowed. */
void feed_set_listeners(struct feed *f, const struct feed_listener *list, size_t n);

/* Called by the committer. Copies what it keeps (events by reference). */
void feed_publish(struct feed *f, const struct change *changes, size_t n);

/* Called by the committer after it missed changes of the log: the ring starts anew after this
 * position. */
void feed_reset(struct feed *f, int64_t position);

/* The position of the newest change that every listener has seen: readers may read up to it. */
int64_t feed_position(struct feed *f);
/* The position of the newest change in the ring; listeners may not have seen it yet. */
int64_t feed_newest(struct feed *f);
/* Does the ring hold every change after this position? */
bool feed_covers(struct feed *f, int64_t since);

/* The changes of a room (user) after `since`, oldest first, at most max of them: the NEWEST max
 * when there are more (then *ret_more). Copied into the arena, which also holds the references to
 * events. Only when feed_covers(since); kinds is a bit set (1u << CHANGE_EVENT). */
void feed_read_room(struct feed *f, struct arena *a, int64_t room, int64_t since, int64_t until,
                    unsigned kinds, size_t max, const struct change **ret, size_t *ret_n,
                    bool *ret_more);
void feed_read_user(struct feed *f, struct arena *a, int64_t user, int64_t since, int64_t until,
                    unsigned kinds, size_t max, const struct change **ret, size_t *ret_n,
                    bool *ret_more);
/* Position of the newest change of a room (user, kind); 0 when it has had none since this process
 * started. */
int64_t feed_room_position(struct feed *f, int64_t room);
int64_t feed_user_position(struct feed *f, int64_t user);
int64_t feed_kind_position(struct feed *f, enum change_kind kind);

#endif
