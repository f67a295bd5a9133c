/* The pool of connections behind storage/db/db.h.
 *
 * A thread of the pool opens connections as they are needed, up to a limit; the one used last,
 * whose caches are warm, is handed out first. While the database cannot be reached only that thread
 * tries to, with pauses of 100 to 500 ms; all others get an error at once.
 *
 * When a statement is late (storage/db/db_wait.h) and no other was answered meanwhile, no
 * connection is lent until a new one has been opened or could not be. */
#ifndef STORAGE_DB_DB_POOL_H
#define STORAGE_DB_DB_POOL_H

#include "storage/db/db_connection.h"

struct db_pool;

const struct err *db_pool_create(const char *uri, int max, struct db_pool **ret);
/* The same without connecting first. */
const struct err *db_pool_create_later(const char *uri, int max, struct db_pool **ret);
void db_pool_destroy(struct db_pool *p); /* every connection must have been returned */

/* Waits up to five seconds, and not beyond the deadline, when all are in use. The deadline is also
 * set on the connection, for its statements. */
const struct err *db_pool_take(struct db_pool *p, int64_t deadline, struct db_connection **ret);

/* Closes the connection if it is lost, stale or not idle. */
void db_pool_give(struct db_pool *p, struct db_connection *c);

/* As db_silence_ms(). */
int64_t db_pool_silence_ms(struct db_pool *p);

void db_pool_add_metrics(struct db_pool *p, struct buf *out);

#endif
