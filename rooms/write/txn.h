/* The newest transaction ids, in memory: a repeated request is answered without a query. Older ones
 * are found in event_txns, when their insertion collides. */
#ifndef ROOMS_WRITE_TXN_H
#define ROOMS_WRITE_TXN_H

#include "rooms/write/append.h"

enum { TXN_KEY_BYTES = 16 };

struct txn_memory;
struct txn_memory *txn_memory_create(struct cache_budget *b);
void txn_memory_destroy(struct txn_memory *m);

/* The event id, in the job's arena; NULL if it is not in memory. */
const char *txn_recent(struct job *job, int64_t device, struct str key);
void txn_remember(struct txn_memory *m, int64_t device, struct str key, const char *event_id);

/* The key of a transaction in the database and here: a hash of endpoint and transaction id. */
struct str txn_key(struct arena *a, const struct new_event *e);

#endif
