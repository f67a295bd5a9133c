/* The pool of connections behind storage/db.h.
 *
 * Opens connections as they are needed, up to a limit; hands out the one used last, whose caches
 * are warm. While the database is away one thread at a time tries to reach it, with pauses of 100
 * to 500 ms, and everybody else is told at once. */
#ifndef STORAGE_DB_POOL_H
#define STORAGE_DB_POOL_H

#include "storage/db_connection.h"

struct db_pool;

const struct err *db_pool_create(const char *uri, int max, struct db_pool **ret);
void db_pool_destroy(struct db_pool *p); /* every connection is back by then */

/* Waits up to five seconds when all are in use. */
const struct err *db_pool_take(struct db_pool *p, struct db_connection **ret);

/* Closes it instead of keeping it when it is lost, stale or not idle. */
void db_pool_give(struct db_pool *p, struct db_connection *c);

void db_pool_add_metrics(struct db_pool *p, struct buf *out);

#endif
