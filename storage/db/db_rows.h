/* Reading libpq's binary results: the part behind struct rows and db_one, for storage/ only. */
#ifndef STORAGE_DB_DB_ROWS_H
#define STORAGE_DB_DB_ROWS_H

#include "storage/db/db.h"

#include <libpq-fe.h>

/* Takes ownership of the result: it is freed with the arena or by rows_finish. */
void rows_init(struct rows *r, struct arena *arena, PGresult *owned);

/* Copies the first row into the outputs; without one they become zero / NULL. */
bool result_first_row(struct arena *a, const PGresult *result, const struct db_out *outs, size_t n);

int64_t result_int(const PGresult *result, int row, int column);

#endif
