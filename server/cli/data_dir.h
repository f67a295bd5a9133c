/* The files directly under the data directory: its lock and the signing key. */
#ifndef SERVER_CLI_DATA_DIR_H
#define SERVER_CLI_DATA_DIR_H

#include "base/config.h"
#include "matrix/sign.h"

#include <sys/types.h>

/* Makes the data directory and the media store. Others may pass through the data directory (the
 * embedded PostgreSQL runs as another user when we are root), not read it. */
const struct err *data_dir_make(const struct config *config);

/* The server that holds the data directory, as it has published itself. */
struct data_dir_owner {
    pid_t pid;       /* 0: not published yet */
    const char *uri; /* of its database; NULL: not published yet */
};

/* Has a server been started on this data directory? What commands ask, which make none. */
const struct err *data_dir_need(const struct config *config);

/* Takes the lock for as long as the fd is open. When a server holds it, *ret_fd is -1 and
 * *ret_owner is filled. */
const struct err *data_dir_lock(struct arena *a, const char *dir, int *ret_fd,
                                struct data_dir_owner *ret_owner);
/* Tells commands that this process is the server, and where the database is. */
const struct err *data_dir_publish(int lock_fd, const char *uri);

/* Reads the signing keys, one a line: the first signs, the others may still be used to check what
 * they have signed. With may_make one is made (mode 0600) when the file is not there. */
const struct err *data_dir_signing_keys(struct arena *a, const struct config *config, bool may_make,
                                        const struct signing_key **ret, size_t *ret_n);

#endif
