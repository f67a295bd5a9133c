/* Events of one room that are not stored yet: which of their ancestors are still missing, and an
 * order in which they can be accepted. */
#ifndef FEDERATION_IN_EVENT_POOL_H
#define FEDERATION_IN_EVENT_POOL_H

#include "rooms/room.h"

struct pool_event {
    const struct event *event;
    int64_t kept; /* inbound_pdus.id; 0: it was fetched */
    const char *const *state_ids;
    size_t state_n; /* the state before it, if its parents are unavailable */
    bool is_taken;  /* has been stored */
    bool is_listed; /* used while ordering */
};

struct event_pool {
    struct job *job;
    struct room *room;
    struct map by_id;        /* -> struct pool_event */
    struct pool_event **all; /* in order of arrival */
    size_t n, size;
    int64_t min_depth;  /* fetched events before this depth are history, and not added */
    struct map missing; /* ids of parents that are neither in the pool nor stored */
};

void event_pool_init(struct event_pool *p, struct job *job, struct room *room);
void event_pool_finish(struct event_pool *p);

/* Adds an event of inbound_pdus. */
void event_pool_add_kept(struct event_pool *p, const struct event *e, int64_t kept);
/* Computes what is missing. */
const struct err *event_pool_look(struct event_pool *p);
/* Adds those of the events that are missing, and those that are then missing; *ret_added: how
 * many. */
const struct err *event_pool_add_missing(struct event_pool *p, const struct event *const *events,
                                         size_t n, size_t *ret_added);

/* Ids of missing events, at most max. */
size_t event_pool_list_missing(const struct event_pool *p, const char **ret, size_t max);
bool event_pool_misses_before(const struct event_pool *p, const struct event *e);

/* The events that are not taken, parents before children. */
size_t event_pool_order(struct event_pool *p, struct pool_event **ret);

#endif
