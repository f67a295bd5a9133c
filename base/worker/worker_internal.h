/* Private to base/worker/. All of it is guarded by the pool's lock. */
#ifndef BASE_WORKER_WORKER_INTERNAL_H
#define BASE_WORKER_WORKER_INTERNAL_H

#include "base/lock.h"
#include "base/map.h"
#include "base/worker/worker.h"

struct worker_link { /* of a ring with a head */
    struct worker_link *prev, *next;
};

enum worker_state { WORKER_READY, WORKER_DELAYED, WORKER_RUNNING };

struct worker_entry {
    struct worker_link link; /* in its lane when ready, in the pool's list when running */
    struct worker_item item;
    struct worker_kind *kind;
    struct worker_lane *lane;
    enum worker_state state;
    bool again, hurried; /* added, made due, while it runs */
    int64_t due, again_due;
    int64_t rest_until; /* it is not due before, unless hurried */
    size_t heap_at;     /* when delayed */
    size_t bytes_n;
    char bytes[]; /* the key: number, other, text, NUL */
};

/* The ready items of one text. */
struct worker_lane {
    struct worker_link link; /* in the kind's ring, while it has ready items */
    struct worker_link ready;
    size_t ready_n, entries_n;
    int running_n;
    char text[];
};

struct worker_kind {
    struct worker_link link; /* in the pool's ring */
    struct worker_pool *pool;
    struct worker_settings s;
    struct map entries, lanes; /* by key, by text */
    struct worker_link ready;  /* lanes with ready items */
    size_t ready_n;
    int running_n, long_n;
    bool started, stopping;
    int64_t done, failed;
};

struct worker_pool {
    struct worker_pool *next; /* in all->first */
    struct worker_pools *all;
    struct worker_pool_settings s;
    struct lock lock;
    pthread_cond_t wake;     /* for idle threads */
    pthread_cond_t sooner;   /* for the idle thread that waits until the first item is due */
    pthread_cond_t finished; /* an item of a kind that is stopping */
    struct worker_link kinds, running;
    struct worker_entry **heap; /* delayed items, the first to be due at the top */
    size_t heap_n, heap_cap, ready_n;
    pthread_t *threads;
    int threads_n, idle_n;
    bool is_watched; /* a thread waits on `sooner` */
    bool stopping;
};

static inline void worker_link_init(struct worker_link *l)
{
    l->prev = l->next = l;
}

static inline void worker_link_append(struct worker_link *head, struct worker_link *l)
{
    l->prev = head->prev;
    l->next = head;
    head->prev->next = l;
    head->prev = l;
}

static inline void worker_link_remove(struct worker_link *l)
{
    l->prev->next = l->next;
    l->next->prev = l->prev;
}

/* ---- worker_queue.c: which item is next ---- */

/* The entry is in no queue: queues it behind the others of its lane. */
void worker_ready_locked(struct worker_entry *e, int64_t now);
/* The entry is in no queue: it will be ready at e->due. */
void worker_delay_locked(struct worker_entry *e);
/* Takes a ready or delayed entry from its queue. */
void worker_unqueue_locked(struct worker_entry *e);
/* The next item that may run, which runs from now on; NULL: none. */
struct worker_entry *worker_take_locked(struct worker_pool *p);
/* The entry has run and is in no queue from now on. */
void worker_ran_locked(struct worker_entry *e);

/* ---- worker_pools.c ---- */

void worker_pools_add(struct worker_pools *all, struct worker_pool *p);
void worker_pools_remove(struct worker_pools *all, struct worker_pool *p);

#endif
