/* Shared by the files that receive events from other servers. */
#ifndef FEDERATION_IN_INBOUND_INTERNAL_H
#define FEDERATION_IN_INBOUND_INTERNAL_H

#include "federation/federation.h"
#include "federation/helpers.h"
#include "federation/in/inbound.h"
#include "federation/in/room_work.h"
#include "federation/in/transaction_table.h"
#include "rooms/accept/accept.h"

#include <stdatomic.h>

enum inbound_count {
    COUNT_TRANSACTIONS,
    COUNT_PDUS,
    COUNT_ACCEPTED,
    COUNT_SOFT_FAILED,
    COUNT_REJECTED,
    COUNT_REFUSED, /* format, signatures, access: not stored */
    COUNT_WAITING, /* for their parents */
    COUNT_DROPPED, /* kept, and dropped without a decision */
    COUNT_FETCHED, /* received on request */
    COUNT_EDUS,
    COUNTS
};

struct inbound {
    struct node *node;
    struct transaction_table *transactions;
    struct transaction_table *questions; /* federation/in/share.h */
    struct helpers *receivers; /* for the rooms of one transaction; they wait for the disk */
    struct helpers *fetchers;  /* for fetching single events; they wait for other servers */
    struct room_work *gaps;
    struct flights *flights;  /* fetches of history */
    struct keyed_lock *large; /* one request with a large conflict at a time */
    atomic_bool stopping;     /* send no more requests */
    atomic_llong counts[COUNTS];
};

static inline void inbound_count(struct inbound *in, enum inbound_count what, size_t n)
{
    atomic_fetch_add_explicit(&in->counts[what], (long long)n, memory_order_relaxed);
}

static inline struct inbound *inbound_of(const struct job *job)
{
    return job->federation->inbound;
}

/* Accepts an event for a request that waits for the outcome. Events of large conflicts
 * (rooms/accept/accept.h), which keep a processor busy, are accepted one at a time;
 * M_LIMIT_EXCEEDED if that takes longer than wait_ms to start. */
#define LARGE_KEY "large" /* of inbound->large */
const struct err *inbound_accept(struct job *job, struct room *room, const struct incoming *event,
                                 int64_t wait_ms, struct accept_outcome *ret);

/* Keeps checked events of that server until their parents are stored; false if too many wait
 * already. */
const struct err *inbound_keep(struct job *job, struct room *room, const char *origin,
                               const struct event *const *events, size_t n, bool *ret_kept);

/* Resumes what waits for this event. The feed does so for events on the timeline; this is for
 * events off the timeline or in history. Cheap if nothing waits. */
void inbound_event_came(struct inbound *in, const char *event_id);
/* The same for an event that was accepted, if it is off the timeline. */
void inbound_event_concluded(struct inbound *in, const struct event *e,
                             const struct accept_outcome *o);

/* gap.c: the work of inbound.gaps. */
enum work_result gap_close(void *ctx, struct job *job, const struct work_item *item);

/* history.c: one thread at a time fetches the history of a room. */
struct flights *flights_create(void);
void flights_destroy(struct flights *f);

#endif
