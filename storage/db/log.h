/* The head of the log in the database. */
#ifndef STORAGE_DB_LOG_H
#define STORAGE_DB_LOG_H

#include "storage/db/db.h"

/* The newest committed position. */
const struct err *log_position(struct tx *tx, int64_t *ret);

#endif
