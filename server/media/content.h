/* The files of the media repository, below media_store_path:
 *
 *     aa/bb/HASH                       an uploaded file, once for each SHA-256 (64 hex digits)
 *     thumbnails/aa/bb/HASH-32x32-crop a thumbnail of it; it may be removed at any time
 *
 * A file gets its name (linkat) only when it is complete and on the disk, and its folder is synced
 * before the upload is answered. An unfinished file has no name (base/new_file.h).
 *
 * All nodes of a deployment share this folder. */
#ifndef SERVER_MEDIA_CONTENT_H
#define SERVER_MEDIA_CONTENT_H

#include "base/config/config.h"
#include "base/sha256.h"

/* Names are relative to media_store_path. */
char *content_name(struct arena *a, struct str sha256);
char *content_thumbnail_name(struct arena *a, struct str sha256, const char *variant);

/* For reading; *ret is -1 when there is no such file. ret_bytes may be NULL. */
const struct err *content_open(const struct config *c, const char *name, int *ret,
                               int64_t *ret_bytes);

/* A file without a name in the same file system, to be given one by content_link, and closed with
 * new_file_close (base/new_file.h). */
const struct err *content_create(const struct config *c, int *ret);
/* One that is never given a name, to be closed with close. */
const struct err *content_create_scratch(const struct config *c, int *ret);
/* Removes unfinished files of processes that crashed, where files without a name have one. */
void content_sweep(const struct config *c);

/* Syncs the file and gives it its name. *ret_new: false when a file of that name exists, which then
 * stays. An error leaves nothing behind. */
const struct err *content_link(const struct config *c, int fd, const char *name, bool *ret_new);

const struct err *content_unlink(const struct config *c, const char *name);

#endif
