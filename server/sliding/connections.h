/* The connections of sliding sync: the newest state of each, the one that it was made from, whose
 * reply the client has (so a lost reply can be asked for again), and its lists in order. Those in
 * use are in a cache; the states are also in the database (storage/devices/sliding_connections.h),
 * where other nodes and a restarted one find them. */
#ifndef SERVER_SLIDING_CONNECTIONS_H
#define SERVER_SLIDING_CONNECTIONS_H

#include "base/cache.h"
#include "server/sliding/connection.h"
#include "storage/db/job.h"

struct sliding;
struct sliding_orders; /* server/sliding/order.h */

struct sliding *sliding_create(struct cache_budget *b);
void sliding_destroy(struct sliding *s); /* NULL-safe */

/* A request on a connection. */
struct sliding_caller {
    int64_t user, device;
    const char *conn_id;
    int64_t started_us; /* when the request came */
};

/* The state with that number (0: the empty one), valid with the job's arena. M_UNKNOWN_POS if the
 * connection has no such state. A newer request of the connection ends this one:
 * *ret_is_superseded; then there is no state. */
const struct err *connection_find(struct job *job, const struct sliding_caller *caller,
                                  int64_t number, const struct sliding_state **ret,
                                  bool *ret_is_superseded);

/* Stores a state that was made from `base`, and keeps a reference. */
const struct err *connection_store(struct job *job, const struct sliding_caller *caller,
                                   const struct sliding_state *base,
                                   const struct sliding_state *state);

/* The lists of the connection, which are the caller's until they are given back; NULL: they are not
 * known. */
struct sliding_orders *connection_take_orders(struct job *job, const struct sliding_caller *caller);
void connection_give_orders(struct job *job, const struct sliding_caller *caller,
                            struct sliding_orders *orders);

#endif
