/* Parameters in PostgreSQL's binary format, as libpq takes them.
 *
 * A struct db_encoded is reused from statement to statement (zero-initialised at first) and keeps
 * its memory until db_encoded_finish. Text and bytes are not copied: they must outlive the call
 * that sends them. */
#ifndef STORAGE_DB_DB_PARAMS_H
#define STORAGE_DB_DB_PARAMS_H

#include "storage/db/db.h"

#include <libpq-fe.h>

struct db_encoded {
    int n;
    Oid *types;
    const char **values;
    int *lengths, *formats; /* formats: all binary */
    size_t *offsets;        /* where in `bytes` the value begins, if it is not sent in place */
    int size;
    struct buf bytes;
};

void db_encode(struct db_encoded *e, const struct db_param *params, size_t n);
void db_encoded_finish(struct db_encoded *e);

Oid db_type_array_oid(enum db_type element); /* of a scalar type */

/* An array built element by element, appended to a buffer:
 *     size_t at = db_array_begin(&buf, DB_INT8);
 *     db_array_add(&buf, at, &param); ...
 * The bytes from `at` to the buffer's end are then one parameter of type db_type_array_oid(). */
size_t db_array_begin(struct buf *b, enum db_type element);
void db_array_add(struct buf *b, size_t at, const struct db_param *element);

#endif
