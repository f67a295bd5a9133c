/* Checks that the database has everything that the migrations create: after a partly failed restore
 * a server would run with half of its data.
 *
 * The list is schema/objects.txt (`make schema-objects` writes it, a unit test compares it with a
 * fresh schema), embedded in the binary. */
#ifndef STORAGE_SCHEMA_SCHEMA_CHECK_H
#define STORAGE_SCHEMA_SCHEMA_CHECK_H

#include "storage/db/db.h"

extern const char schema_objects[]; /* one a line: "table rooms", "column rooms.version bigint" */

/* ERR_INTERNAL with a text that lists what is missing. */
const struct err *schema_check(struct tx *tx);

/* All objects of the schema, sorted, one a line. */
const struct err *schema_list(struct tx *tx, struct buf *ret);

#endif
