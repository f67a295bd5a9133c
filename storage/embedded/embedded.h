/* The embedded PostgreSQL (docs/operations.md): with no `database` configured, the server runs its
 * own cluster under its data directory, on a unix socket only, as an unprivileged user when started
 * as root, with full durability, and stops it on shutdown. */
#ifndef STORAGE_EMBEDDED_EMBEDDED_H
#define STORAGE_EMBEDDED_EMBEDDED_H

#include "base/arena.h"

#include <stdbool.h>

struct embedded;

/* Finds initdb and postgres, creates the cluster at the first start, starts it (recovering from a
 * crash; taking over a postmaster that a killed server left running) and creates the database.
 * ret_uri: for db_open; lives as long as ret. A supervisor thread restarts postgres if it dies. */
const struct err *embedded_start(const char *data_dir, struct embedded **ret, const char **ret_uri);
/* Is there a cluster under the data directory? */
bool embedded_exists(const char *data_dir);
void embedded_stop(struct embedded *e); /* fast shutdown, waits for it; NULL-safe */

#endif
