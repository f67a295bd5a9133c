/* Statements with a time limit of their own, for queries whose cost depends on their parameters:
 * they are planned for these, and cancelled when the time is over. Outside of transactions only. */
#ifndef STORAGE_DB_TIME_LIMIT_H
#define STORAGE_DB_TIME_LIMIT_H

#include "storage/db/db.h"

/* As db_query_many(). limit_ms is for each statement; ERR_TOO_SLOW if it was not enough. */
const struct err *time_limit_query_many(struct tx *tx, int64_t limit_ms,
                                        const struct db_batch_query *queries, size_t n);

/* As db_query(). */
const struct err *time_limit_query(struct tx *tx, int64_t limit_ms, struct sql *s,
                                   const struct db_param *params, size_t params_n,
                                   struct rows *ret);

#endif
