/* The files directly under the data directory: its lock and the signing key. */
#ifndef SERVER_CLI_DATA_DIR_H
#define SERVER_CLI_DATA_DIR_H

#include "base/config/config.h"
#include "matrix/sign.h"

#include <sys/types.h>

/* Makes the data directory and the media store. Other users may traverse the data directory (for
 * root the embedded PostgreSQL runs as another user), not read it. */
const struct err *data_dir_make(const struct config *config);

/* The server that holds the data directory, from its own entry there. */
struct data_dir_owner {
    pid_t pid;       /* 0: not published yet */
    const char *uri; /* of its database; NULL: not published yet */
};

/* An error unless a server has been started on this data directory: for commands, which never make
 * one. */
const struct err *data_dir_need(const struct config *config);

/* Takes the lock for as long as the fd is open. When a server holds it, *ret_fd is -1 and
 * *ret_owner is filled. */
const struct err *data_dir_lock(struct arena *a, const char *dir, int *ret_fd,
                                struct data_dir_owner *ret_owner);
/* Publishes for commands that this process is the server, and where the database is. */
const struct err *data_dir_publish(int lock_fd, const char *uri);

/* Reads the signing keys, one per line: the first signs, the others are still valid for checking
 * signatures. With may_make a missing file is made (mode 0600). */
const struct err *data_dir_signing_keys(struct arena *a, const struct config *config, bool may_make,
                                        const struct signing_key **ret, size_t *ret_n);

#endif
