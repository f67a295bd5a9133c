/* Shared by the endpoints of the media repository: finding the media of an mxc:// URI, waiting
 * until it is uploaded, and the headers of content. */
#ifndef SERVER_MEDIA_MEDIA_REQUEST_H
#define SERVER_MEDIA_MEDIA_REQUEST_H

#include "http/reply.h"
#include "server/account/caller.h"
#include "storage/media.h"

/* The paths from before v1.11, in all spellings that clients use. */
#define OLD_MEDIA_PATHS(PATH_ROW, rest)                                                            \
    PATH_ROW("/_matrix/media/v3/" rest, "/_matrix/media/r0/" rest),                                \
        PATH_ROW("/_matrix/media/v1/" rest, NULL)

enum media_access {
    MEDIA_AUTHENTICATED,
    MEDIA_FROZEN,    /* the old endpoints: only media from before they were frozen */
    MEDIA_FEDERATION /* for other servers: only local media */
};

/* The media of {server} and {media} in the path, fetched from another server if necessary. NULL: it
 * is not uploaded or fetched yet, and the reply is made: to wait. M_NOT_FOUND if it does not exist,
 * M_NOT_YET_UPLOADED after `timeout_ms`, and the errors of server/media/remote.h. */
const struct err *media_of_request(struct request *rq, struct reply *rp, enum media_access access,
                                   const struct media **ret);

/* The grammar of mxc:// URIs, which also keeps paths out of them. */
bool media_id_is_valid(const char *media_id);

/* Sends a file of the media store with the headers for content, to another server as
 * multipart/mixed; takes the fd. etag: without quotes. */
struct media_file {
    int fd;
    int64_t bytes;
    const char *content_type, *file_name, *etag;
};
const struct err *media_reply(struct reply *rp, enum media_access access,
                              const struct media_file *file);

#endif
