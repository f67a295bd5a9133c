/* A streaming standby of PostgreSQL that answers reads (the setting database_replica).
 *
 * A read that may go there names what it needs: the end of the primary's WAL, read after all that
 * it must see was committed. So what the replica answers is as new as what the primary would have
 * answered at that time. It is asked only where a result goes into a reply: caches follow the log
 * from the state that they were filled with, so they read the primary.
 *
 * A replica that cannot be reached costs a request nothing (storage/db/db_pool.h), one that lags
 * WAIT_MS, and then it is left alone for PAUSE_MS; then the primary answers. */
#ifndef STORAGE_NODES_REPLICA_H
#define STORAGE_NODES_REPLICA_H

#include "storage/db/db_connection.h"

struct replica;

/* Connects in the background. */
const struct err *replica_create(const char *uri, int connections, struct replica **ret);
void replica_destroy(struct replica *r); /* NULL-safe */

/* What the primary has now, by a statement of tx. */
const struct err *replica_read_need(struct tx *tx, struct replica_need *ret);

/* Lends a connection of which the statements see at least that. False: the primary must be asked.
 */
bool replica_take(struct replica *r, const struct replica_need *need, struct db_connection **ret);

/* was_good: it answered what was asked; otherwise the primary is asked now. */
void replica_give(struct replica *r, struct db_connection *c, bool was_good);

void replica_add_metrics(struct replica *r, struct buf *out); /* NULL-safe */

#endif
