/* Events from other servers, queued per room (server-server-api, "Transactions", "Retrieving
 * missing events", "Backfilling").
 *
 * Events whose parents are stored are accepted at once (rooms/accept/accept.h). Others are kept in
 * the table inbound_pdus, acknowledged, and a worker closes the room's gap: get_missing_events,
 * backfill, state_ids, with a budget for each room. A bad room does not delay others. */
#ifndef FEDERATION_IN_INBOUND_H
#define FEDERATION_IN_INBOUND_H

#include "rooms/room.h"

struct change;

struct inbound;
struct inbound *inbound_create(struct node *node);
void inbound_start(struct inbound *in);
void inbound_stop(struct inbound *in);
void inbound_destroy(struct inbound *in);
void inbound_on_changes(void *inbound, const struct change *changes,
                        size_t n); /* a listener (storage/db/feed.h) */
void inbound_add_metrics(struct inbound *in, struct buf *out);

/* The task (federation/tasks.h) that resumes what waits for its parents in rooms of this node's
 * slices, as when the node that kept it has died. */
const struct err *inbound_find_task(struct job *job, int64_t unused_a, int64_t unused_b,
                                    bool *ret_done);

/* A join of the room has ended: processes the PDUs that arrived during it, whichever node received
 * them (storage/servers/joins.h), as if they had just arrived. */
const struct err *inbound_take_early(struct job *job, const char *room_id);
/* The same for all rooms that no node is joining, as when the node that was has died. The failure
 * of one room does not keep those of others. */
const struct err *inbound_take_all_early(struct job *job);

struct fetched_events {
    const struct event **list;
    size_t n;
    size_t denied;       /* not in the list: signed by servers that are not allowed */
    bool is_unreachable; /* the server; it was not asked again */
    int64_t wait_ms;     /* federation_wait_ms(); if more than 0 it was not asked again */
};

#endif
