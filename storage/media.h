/* media: one row for each mxc:// URI of the media repository (client-server-api, "Content
 * repository"). The bytes themselves are files, one for each SHA-256 (server/media/content.h).
 *
 * A content file may be deleted only when no row names it. So that files and rows agree, code that
 * links or unlinks a file holds media_lock_content for it, in the transaction that adds or removes
 * the row. */
#ifndef STORAGE_MEDIA_H
#define STORAGE_MEDIA_H

#include "base/sha256.h"
#include "storage/db/db.h"

struct media {
    const char *server, *media_id;
    int64_t uploader;  /* users.id; 0: not a local user */
    struct str sha256; /* p NULL: announced, not uploaded yet */
    int64_t bytes;
    const char *content_type;
    const char *file_name; /* NULL: none was given */
    int64_t created_ts;
    int64_t expires_ts;  /* while nothing is uploaded */
    int64_t accessed_ts; /* of other servers' media: about when it was last sent */
    bool authenticated;  /* not for the unauthenticated endpoints */
};

const struct err *media_find(struct tx *tx, const char *server, const char *media_id,
                             bool *ret_found, struct media *ret);

/* Until the transaction ends. */
const struct err *media_lock_content(struct tx *tx, struct str sha256);
const struct err *media_has_content(struct tx *tx, struct str sha256, bool *ret);

/* Adds a row for an upload, and counts its bytes for the uploader. *ret_done is false, and nothing
 * has changed, when the user would then have more than the quota (0: no limit). */
const struct err *media_add(struct tx *tx, const struct media *m, int64_t quota, bool *ret_done);

/* The same for media fetched from another server, which count for no user; also false if there is
 * such a row already. */
const struct err *media_add_remote(struct tx *tx, const struct media *m, int64_t quota,
                                   bool *ret_done);

/* The same for a row that media_announce made; false also when it was uploaded meanwhile. Then the
 * transaction must be rolled back. */
const struct err *media_complete(struct tx *tx, const struct media *m, int64_t quota,
                                 bool *ret_done);

/* Adds a row without content and deletes expired ones of the uploader. If `most` others have not
 * expired, no row is added and *ret_until is when the first of them expires. */
const struct err *media_announce(struct tx *tx, const struct media *m, int64_t most,
                                 int64_t *ret_until);

/* Bytes used by a user, or by: */
enum { MEDIA_OF_OTHERS = 0 /* cached from other servers */, MEDIA_THUMBNAILS = -1 };
const struct err *media_used_by(struct tx *tx, int64_t user, int64_t *ret_bytes);

/* ---- media cached from other servers ---- */

const struct err *media_touch(struct tx *tx, const struct media *m, int64_t now);
/* Media that were not sent since then, oldest first: name, sha256, bytes, accessed_ts. */
const struct err *media_oldest_remote(struct tx *tx, int64_t accessed_before, int64_t limit,
                                      const struct media **ret, size_t *ret_n);
/* Removes the row, unless it was sent since m was read; its content is the caller's to remove. */
const struct err *media_remove_remote(struct tx *tx, const struct media *m, bool *ret_done);

#endif
