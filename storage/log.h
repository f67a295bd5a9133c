/* Where the log stands in the database. */
#ifndef STORAGE_LOG_H
#define STORAGE_LOG_H

#include "storage/db.h"

/* The newest committed position. */
const struct err *log_position(struct tx *tx, int64_t *ret);

#endif
