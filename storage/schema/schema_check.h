/* Is everything in the database that the migrations make? A restore that failed in part leaves some
 * of it out, and what stands on the rest would serve half of its data.
 *
 * The list of what there must be is schema/objects.txt (`make schema-objects` writes it, a unit
 * test compares it with a fresh schema) and travels inside the binary. */
#ifndef STORAGE_SCHEMA_SCHEMA_CHECK_H
#define STORAGE_SCHEMA_SCHEMA_CHECK_H

#include "storage/db/db.h"

extern const char schema_objects[]; /* one a line: "table rooms", "column rooms.version bigint" */

/* ERR_INTERNAL, whose text says what is missing. */
const struct err *schema_check(struct tx *tx);

/* Everything that is there, sorted, one a line. */
const struct err *schema_list(struct tx *tx, struct buf *ret);

#endif
