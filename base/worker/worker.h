/* Background work: named pools of threads, and the kinds of work that they do.
 *
 * A kind has items. An item is known by its key and is in the kind at most once. It waits until it
 * is due, then for a thread, and runs in one thread at a time. Due items are taken in turn: the
 * pool goes round its kinds and, within a kind, the texts of the keys (such as servers), so that a
 * text with many items delays no other. An item that continues is queued behind all others. Limits
 * of the kind leave threads to others.
 *
 * A pool's threads are started when they are first needed. All functions may be called from any
 * thread, also from an item that runs; those that wait say so. The lock is a RANK_WORKER, and no
 * lock is held while a function of the kind or the pool is called. Times are mono_ms(). */
#ifndef BASE_WORKER_WORKER_H
#define BASE_WORKER_WORKER_H

#include "base/str.h"
#include "base/worker/backoff.h"

#include <stdbool.h>

/* ---- pools ---- */

struct worker_pool_settings {
    const char *name; /* of the threads; 15 bytes at most */
    int threads;
    /* What each thread has while it lives, and what is done before and after each item. NULL:
     * nothing. */
    void *of;
    void *(*create)(void *of);
    void (*begin)(void *thread);
    void (*end)(void *thread);
    void (*destroy)(void *thread);
};

struct worker_pools; /* all of a node, for the metrics */
struct worker_pools *worker_pools_create(void);
void worker_pools_destroy(struct worker_pools *all); /* NULL-safe; after the pools */
void worker_pools_add_metrics(struct worker_pools *all, struct buf *out);

struct worker_pool;
/* all: NULL: not in the metrics. The settings are copied, the name is borrowed. */
struct worker_pool *worker_pool_create(struct worker_pools *all,
                                       const struct worker_pool_settings *s);
/* Does the same with all its kinds as worker_kind_start(), worker_hurry_all(), worker_kind_stop().
 */
void worker_pool_start(struct worker_pool *p);
void worker_pool_hurry(struct worker_pool *p);
void worker_pool_stop(struct worker_pool *p);
/* Ends the threads; waits. After its kinds were destroyed. NULL-safe. */
void worker_pool_destroy(struct worker_pool *p);

/* ---- kinds ---- */

struct worker_key {
    int64_t number, other;
    const char *text; /* NULL: "" */
};

struct worker_item {
    struct worker_key key;
    int failures;    /* in a row */
    bool is_long;    /* the function may set it; see long_max */
    int64_t wait_ms; /* set by the function; see worker_outcome */
};

enum worker_outcome {
    WORKER_DONE,  /* forget the item; if it was added while it ran, it is queued anew */
    WORKER_AGAIN, /* queue it behind all others */
    WORKER_WAIT,  /* it is due again in wait_ms */
    WORKER_FAILED /* it is due again after a growing pause, and not before wait_ms */
};

/* thread: what the pool's create() returned. */
typedef enum worker_outcome worker_run(void *of, void *thread, struct worker_item *item);

struct worker_settings {
    const char *name; /* in the metrics */
    void *of;
    worker_run *run;
    struct backoff backoff; /* factor 0: the kind never returns WORKER_FAILED */
    /* How many run at once: of the kind, of those with the same number, of those with the same text
     * ("" is not limited), of those that are long. 0: any number. */
    int at_once_max, of_number_max, of_text_max, long_max;
    size_t items_max; /* 0: any number */
    /* An item that waits is due within this time once it is added again, but not before the wait_ms
     * of its failure. 0: it is due at once, as if it had never failed. */
    int64_t sooner_ms;
    /* Called before an item runs, NULL: it may. False: not now; ask again in *ret_wait_ms. */
    bool (*may_run)(void *of, const struct worker_key *key, int64_t *ret_wait_ms);
};

struct worker_kind;
struct worker_kind *worker_kind_create(struct worker_pool *p, const struct worker_settings *s);
void worker_kind_start(struct worker_kind *k); /* until then, items only wait */
/* Waits for items that run; forgets the others, and takes no more. NULL-safe, repeatable. */
void worker_kind_stop(struct worker_kind *k);
void worker_kind_destroy(struct worker_kind *k); /* stops it; NULL-safe */
bool worker_is_stopping(struct worker_kind *k);  /* for items that take long */

/* Adds the item, due at once or at `due`. One that waits is due at the earlier of both times (see
 * sooner_ms). One that runs is done again afterwards; if it fails, that was a retry of both. False:
 * items_max, or the kind is stopping. */
bool worker_add(struct worker_kind *k, struct worker_key key);
bool worker_add_due(struct worker_kind *k, struct worker_key key, int64_t due_mono);
/* Makes the item due at once, and if it runs and does not end well, again after that. Its failures
 * are still counted. An item that is not there is not added. */
void worker_hurry(struct worker_kind *k, struct worker_key key);
void worker_hurry_all(struct worker_kind *k);

size_t worker_items(struct worker_kind *k); /* waiting and running */

#endif
