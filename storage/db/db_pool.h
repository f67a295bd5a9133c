/* The pool of connections behind storage/db/db.h.
 *
 * A thread of the pool opens connections as they are needed, up to a limit; the one used last,
 * whose caches are warm, is handed out first. While the database is away that thread alone tries to
 * reach it, with pauses of 100 to 500 ms, and everybody else is told at once.
 *
 * When a statement is late (storage/db/db_wait.h) and no other was answered meanwhile, the database
 * is in doubt: no connection is lent until a new one was opened, or until that fails. */
#ifndef STORAGE_DB_DB_POOL_H
#define STORAGE_DB_DB_POOL_H

#include "storage/db/db_connection.h"

struct db_pool;

const struct err *db_pool_create(const char *uri, int max, struct db_pool **ret);
void db_pool_destroy(struct db_pool *p); /* every connection is back by then */

/* Waits up to five seconds, and to the deadline, when all are in use. The deadline goes with the
 * connection, for what runs on it. */
const struct err *db_pool_take(struct db_pool *p, int64_t deadline, struct db_connection **ret);

/* Closes it instead of keeping it when it is lost, stale or not idle. */
void db_pool_give(struct db_pool *p, struct db_connection *c);

/* For how long the database has left unanswered what it was asked; 0: not at all. */
int64_t db_pool_silence_ms(struct db_pool *p);

void db_pool_add_metrics(struct db_pool *p, struct buf *out);

#endif
