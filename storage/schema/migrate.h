/* Numbered migrations (schema/NNNN-name.sql), each applied once, in order, in one transaction. They
 * are embedded in the binary.
 *
 * While servers are upgraded one by one, two versions use one database. So a migration must be an
 * expansion: the servers of the version before must work with it, and may start on it. What they
 * cannot work with (mostly: dropping what they use) is a contract step, in a later migration whose
 * first line is
 *     -- contract: needs NNNN
 * It runs at the first start at which all servers that live know migration NNNN, and from then on
 * refuses those that do not (schema_migrations.needs). It only drops things, since schema_check()
 * does not wait for it. */
#ifndef STORAGE_SCHEMA_MIGRATE_H
#define STORAGE_SCHEMA_MIGRATE_H

#include "base/err.h"

struct migration {
    int number;
    const char *name;
    const char *sql;
};
extern const struct migration migrations[]; /* ends with a NULL name */

/* Migrates the database; refuses one that a newer program has migrated further by a contract step.
 * Safe when several nodes start at once (advisory lock). */
const struct err *migrate(const char *uri, int *ret_applied);
/* The same with another list; for tests. */
const struct err *migrate_by(const struct migration *list, const char *uri, int *ret_applied);

/* The number of the newest migration that this program has. */
int migrate_newest(void);

/* Changes nothing: refuses a database that is not up to date. */
const struct err *migrate_check(const char *uri);

#endif
