/* Fetches media from the server that has it (server-server-api, "Content Repository"): from the
 * authenticated endpoint or, from servers that do not know it, the old one. */
#ifndef FEDERATION_USERS_MEDIA_H
#define FEDERATION_USERS_MEDIA_H

#include "storage/db/job.h"

struct fetched_media {
    int64_t bytes;
    const char *content_type, *content_disposition; /* as received, printable; NULL: absent */
};

/* Writes the content to fd, an empty file. Blocks. M_NOT_FOUND if that server does not have it,
 * M_NOT_YET_UPLOADED, ERR_REMOTE_TOO_LARGE for more than bytes_max, and the errors of
 * federation/peer/request.h. After an error the contents of the file are undefined. */
const struct err *federation_fetch_media(struct job *job, const char *server, const char *media_id,
                                         int64_t bytes_max, int fd, struct fetched_media *ret);

/* The same for a thumbnail made by the other server, for media too large to be fetched. size:
 * "width=…&height=…&method=…&animated=…". ERR_UNAVAILABLE while too many requests wait for that
 * server. */
const struct err *federation_fetch_thumbnail(struct job *job, const char *server,
                                             const char *media_id, const char *size,
                                             int64_t bytes_max, int fd, struct fetched_media *ret);

#endif
