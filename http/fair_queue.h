/* A pool's queue: one short queue for each source of requests, and the sources are served in turn.
 *
 * A source is a user, an address or another server (http/source.c). However many requests one
 * sends, the next request of another waits for at most one request of each waiting source. Each
 * source has a bound of running requests, so that blocking handlers leave workers to others, and a
 * bound of all its requests: queued, running or parked.
 *
 * A source's requests of a higher order (reply_elsewhere_as) count as another source. The sources
 * of each order are served in turn, and three times before each turn of a lower order. All requests
 * of the usual order together may have a bound, so that workers are left for the rest.
 *
 * The pool's lock guards all of it. */
#ifndef HTTP_FAIR_QUEUE_H
#define HTTP_FAIR_QUEUE_H

#include "base/map.h"
#include "http/route.h"

struct exchange;

struct queue_source {
    uint64_t key;
    struct exchange *head, *tail; /* waiting for a worker */
    int held;                     /* its exchanges: waiting, with a worker, or parked */
    int running; /* workers that run one, or have run one that another may have by now */
    enum queue_order order;
    bool is_ready;
    struct queue_source *next; /* among those that have a turn */
};

/* Sources with something to run, in the order of their turns. */
struct ready_list {
    struct queue_source *first, *last;
};

struct fair_queue {
    struct map sources; /* by key, while they hold something */
    struct ready_list ready[ORDER_COUNT];
    int taken[ORDER_COUNT];    /* since the last of a lower order, while one waits */
    size_t depth;              /* exchanges that wait for a worker */
    int running_max, held_max; /* of each source */
    int usual_running, usual_running_max;
};

void fair_queue_finish(struct fair_queue *q);

/* Adds an exchange to the source with this key; NULL: it is at its bound. */
struct queue_source *fair_queue_hold(struct fair_queue *q, uint64_t key, enum queue_order order);
void fair_queue_leave(struct fair_queue *q, struct queue_source *s); /* one exchange less */

void fair_queue_add(struct fair_queue *q, struct exchange *ex); /* after its source's others */
/* The exchange whose turn it is, now with a worker; NULL: there is none. */
struct exchange *fair_queue_take(struct fair_queue *q);
/* The worker has run an exchange of the source, which is freed when it holds nothing any more. */
void fair_queue_ran(struct fair_queue *q, struct queue_source *s);
bool fair_queue_is_empty(const struct fair_queue *q); /* nothing may run now */
/* When the exchange whose turn it is was queued (mono_us); INT64_MAX: there is none. */
int64_t fair_queue_oldest_us(const struct fair_queue *q);

#endif
