/* Events from other servers, queued per room (server-server-api, "Transactions", "Retrieving
 * missing events", "Backfilling").
 *
 * Events whose parents are here are taken at once (rooms/accept/accept.h). Others are kept in the
 * table inbound_pdus, acknowledged, and a worker closes the room's gap: get_missing_events,
 * backfill, state_ids, with a budget a room. One bad room holds up no other. */
#ifndef FEDERATION_IN_INBOUND_H
#define FEDERATION_IN_INBOUND_H

#include "rooms/room.h"

struct inbound;
struct inbound *inbound_create(struct node *node);
void inbound_start(struct inbound *in); /* goes on with what was kept before a restart */
void inbound_stop(struct inbound *in);
void inbound_destroy(struct inbound *in);
void inbound_add_metrics(struct inbound *in, struct buf *out);

/* The join of the room has ended: processes the PDUs that came for it meanwhile
 * (federation/in/early_pdus.h). */
void inbound_take_early(struct job *job, const char *room_id);
/* The task (federation/tasks.h) for those of all rooms that could not be processed then. */
const struct err *inbound_take_early_again(struct job *job, int64_t unused_a, int64_t unused_b,
                                           bool *ret_done);

/* Fetches history from before where ours ends (rooms/accept/history.h), asking the servers of the
 * room for at most `limit` more events. *ret_added: how many came. Silent when no server answers.
 */
const struct err *federation_backfill(struct job *job, struct room *room, size_t limit,
                                      size_t *ret_added);

struct fetched_events {
    const struct event **list;
    size_t n;
    size_t denied;       /* not in the list: of servers that closed federation does not allow */
    bool is_unreachable; /* the server, which was then asked no more; ... */
    int64_t wait_ms;     /* ... the same if more than 0: federation_wait_ms() */
};
/* Fetches events by id from the server (/event, in parallel, bounded), checked as PDUs; those that
 * cannot be had are left out. Nothing is stored. */
const struct err *federation_fetch_events(struct job *job, struct room *room, const char *server,
                                          const char *const *ids, size_t n,
                                          struct fetched_events *ret);

#endif
