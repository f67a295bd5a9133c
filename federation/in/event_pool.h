/* Events of one room that are not stored yet, and which others they lead to: what is still missing
 * between them and what is here, and an order in which they can be taken. */
#ifndef FEDERATION_IN_EVENT_POOL_H
#define FEDERATION_IN_EVENT_POOL_H

#include "rooms/room.h"

struct pool_event {
    const struct event *event;
    int64_t kept; /* inbound_pdus.id; 0: it was fetched */
    const char *const *state_ids;
    size_t state_n; /* the state before it, when events before it cannot be had */
    bool is_taken;  /* stored by now */
    bool is_listed; /* while an order is made */
};

struct event_pool {
    struct job *job;
    struct room *room;
    struct map by_id;        /* -> struct pool_event */
    struct pool_event **all; /* as they came */
    size_t n, size;
    int64_t min_depth;  /* events that are offered and lie before that are history: not added */
    struct map missing; /* ids of events before them that are neither here nor stored */
};

void event_pool_init(struct event_pool *p, struct job *job, struct room *room);
void event_pool_finish(struct event_pool *p);

/* Adds an event that waits already. */
void event_pool_add_kept(struct event_pool *p, const struct event *e, int64_t kept);
/* Works out what is missing for those. */
const struct err *event_pool_look(struct event_pool *p);
/* Adds those of the events that are missing, and then missing for them; how many. */
const struct err *event_pool_add_missing(struct event_pool *p, const struct event *const *events,
                                         size_t n, size_t *ret_added);

/* Ids of missing events, at most max. */
size_t event_pool_list_missing(const struct event_pool *p, const char **ret, size_t max);
bool event_pool_misses_before(const struct event_pool *p, const struct event *e);

/* Those that are not taken, parents before children. */
size_t event_pool_order(struct event_pool *p, struct pool_event **ret);

#endif
