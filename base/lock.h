/* Mutexes with ranks. A thread may only take a lock of a higher rank than those it holds; debug
 * builds (without NDEBUG) assert it, so that a possible deadlock fails the first test that reaches
 * it. All ranks are in this list, outermost first. Two locks of one rank are never held together.
 */
#ifndef BASE_LOCK_H
#define BASE_LOCK_H

#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>

enum lock_rank {
    RANK_LOG = 1,       /* storage/nodes/log_view.h: publishing, and so all listeners */
    RANK_ROOM_CACHE,    /* rooms/room_cache.c: the table of cached rooms */
    RANK_ROOM,          /* rooms/room.c: one room */
    RANK_SESSION_TABLE, /* users/session.c: the table of active users */
    RANK_SESSION,       /* users/session.c: one active user */
    RANK_COMMITTER,     /* storage/db/committer.c: the queue */
    RANK_CACHE,         /* caches of single entities: tokens, push rules, filters, keys */
    RANK_TYPING,        /* users/typing.c */
    RANK_PRESENCE,      /* users/presence.c */
    RANK_SENDER,        /* federation/out/sender.c: destinations */
    RANK_MEDIA,         /* server/media/repo.c: requests that wait for uploads and thumbnails */
    RANK_DB_POOL,       /* storage/db/db_pool.c */
    RANK_HTTP_QUEUE,    /* http/: work queues and parked requests */
    RANK_HTTP_LOOP,
    RANK_RATE,         /* http/rate.c */
    RANK_WORKER_POOLS, /* base/worker/: the list of pools */
    RANK_WORKER,       /* base/worker/: one pool, so work may be added with other locks held */
    RANK_LEAF          /* anything that takes no further lock */
};

struct lock {
    pthread_mutex_t mutex;
    enum lock_rank rank;
};

void lock_init(struct lock *l, enum lock_rank rank);
void lock_finish(struct lock *l);
void lock_take(struct lock *l);
/* Does not wait, so it may be tried whatever ranks are held. True: it was taken. */
bool lock_try(struct lock *l);
void lock_release(struct lock *l);

/* Waits on a condition with the lock held; forever, or until a mono_ms deadline (true: reached).
 * Both may return early, where the clock is movable every few milliseconds. */
void lock_wait(struct lock *l, pthread_cond_t *c);
bool lock_wait_until(struct lock *l, pthread_cond_t *c, int64_t deadline_mono_ms);
void cond_init(pthread_cond_t *c); /* on the monotonic clock, as lock_wait_until needs */

/* For a scope: `LOCKED(&room->lock);` releases at its end. */
static inline void lock_auto_release_(struct lock **l)
{
    lock_release(*l);
}
#define LOCKED_NAME_2(line) locked_##line
#define LOCKED_NAME(line) LOCKED_NAME_2(line)
#define LOCKED(l)                                                                                  \
    struct lock *LOCKED_NAME(__LINE__) __attribute__((cleanup(lock_auto_release_), unused)) = (l); \
    lock_take(LOCKED_NAME(__LINE__))

#endif
