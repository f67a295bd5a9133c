/* Stores a complete file: it is hashed and synced to disk, then, in one transaction that holds the
 * content's lock, it gets its name and its row. Clients are answered only after the commit. */
#ifndef SERVER_MEDIA_STORE_H
#define SERVER_MEDIA_STORE_H

#include "storage/db/job.h"
#include "storage/media.h"

/* media_add, media_complete or media_add_remote: makes the row. */
typedef const struct err *media_row_maker(struct tx *tx, const struct media *m, int64_t quota,
                                          bool *ret_done);

/* fd: a file without a name (server/media/content.h). Fills in sha256. M_FORBIDDEN if no row was
 * made. An error leaves nothing behind. */
const struct err *media_store_file(struct job *job, int fd, media_row_maker *make_row,
                                   struct media *media);

#endif
