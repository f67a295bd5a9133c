/* Numbered migrations (schema/NNNN-name.sql), each applied once, in order, in one transaction. They
 * are embedded in the binary. */
#ifndef STORAGE_SCHEMA_MIGRATE_H
#define STORAGE_SCHEMA_MIGRATE_H

#include "base/err.h"

struct migration {
    int number;
    const char *name;
    const char *sql;
};
extern const struct migration migrations[]; /* ends with a NULL name */

/* Migrates the database; refuses one that a newer program has migrated further. Safe when several
 * nodes start at once (advisory lock). */
const struct err *migrate(const char *uri, int *ret_applied);

/* The number of the newest migration that this program has. */
int migrate_newest(void);

/* Changes nothing: refuses a database that is not up to date. */
const struct err *migrate_check(const char *uri);

#endif
