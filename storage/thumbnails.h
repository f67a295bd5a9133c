/* thumbnails: the size of each and when it was last sent. The files belong to the media store
 * (server/media/content.h). media_used_by() gives the total size. */
#ifndef STORAGE_THUMBNAILS_H
#define STORAGE_THUMBNAILS_H

#include "storage/db/db.h"

struct thumbnail {
    struct str sha256;   /* of the original */
    const char *variant; /* "96x96-crop" */
    int64_t bytes, accessed_ts;
};

/* Notes that it is being sent, perhaps for the first time. */
const struct err *thumbnails_sent(struct tx *tx, const struct thumbnail *t);
const struct err *thumbnails_oldest(struct tx *tx, int64_t limit, const struct thumbnail **ret,
                                    size_t *ret_n);
/* Removes the row, unless it was sent since t was read. */
const struct err *thumbnails_remove(struct tx *tx, const struct thumbnail *t, bool *ret_done);
const struct err *thumbnails_remove_of(struct tx *tx, struct str sha256);

#endif
