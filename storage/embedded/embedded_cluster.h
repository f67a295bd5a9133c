/* The embedded cluster's directories, programs, user and configuration; creation at the first
 * start. For embedded.c; processes are in embedded_process.h.
 *
 * Layout, all owned by the user PostgreSQL runs as:
 *     DATA/postgres/         mode 0700, so that only that user (and root) reaches the socket; may
 * be a link to another place DATA/postgres/data/    the cluster DATA/postgres/log      output of
 * postgres and initdb DATA/postgres/lock     held by the server that uses the cluster The socket is
 * in DATA/postgres too, unless its path would be too long. */
#ifndef STORAGE_EMBEDDED_EMBEDDED_CLUSTER_H
#define STORAGE_EMBEDDED_EMBEDDED_CLUSTER_H

#include "base/arena.h"

#include <stdbool.h>
#include <sys/types.h>

struct cluster {
    struct arena *arena; /* of everything below */
    const char *dir, *pgdata, *log, *socket_dir;
    const char *pid_file, *socket_lock; /* by which a second postmaster detects the first */
    const char *name; /* unique to the data directory: marks its processes (cluster_name) */
    const char *uri;  /* of the database that the server uses */
    const char *bin;  /* the directory of initdb and postgres */
    const char *user; /* that its processes run as: for messages */
    uid_t uid;
    gid_t gid;
    bool other_user; /* we are root, and they must not be */
};

/* Decides all of it and makes the directories. */
const struct err *cluster_locate(struct arena *a, const char *data_dir, struct cluster *ret);

/* Runs initdb when there is no cluster yet. */
const struct err *cluster_create_if_missing(const struct cluster *c);

/* Writes the settings of this version of the program; an operator's own go to local.conf. */
const struct err *cluster_configure(const struct cluster *c);

/* A libpq connection string for one of the cluster's databases. */
const char *cluster_uri(const struct cluster *c, const char *role, const char *database);

/* Escapes a quoted value of a connection string or a setting: each of the special characters is
 * preceded by the mark (0: doubled). */
const char *cluster_quote(struct arena *a, const char *s, const char *special, char mark);

/* "Cannot <what> <path>: <errno>". */
const struct err *cluster_cannot(const char *what, const char *path);

/* The directory of the newest PostgreSQL installed, or of the major version asked for (0: any);
 * NULL when there is none. */
const char *cluster_find_programs(struct arena *a, int version);

#endif
