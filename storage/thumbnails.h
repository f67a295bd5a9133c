/* thumbnails: what each of them takes, and when it was sent last. The files are the media store's
 * (server/media/content.h). How much all of them take says media_used_by(). */
#ifndef STORAGE_THUMBNAILS_H
#define STORAGE_THUMBNAILS_H

#include "storage/db/db.h"

struct thumbnail {
    struct str sha256;   /* of the original */
    const char *variant; /* "96x96-crop" */
    int64_t bytes, accessed_ts;
};

/* It is being sent, perhaps for the first time. */
const struct err *thumbnails_sent(struct tx *tx, const struct thumbnail *t);
const struct err *thumbnails_oldest(struct tx *tx, int64_t limit, const struct thumbnail **ret,
                                    size_t *ret_n);
/* Removes the row, unless it was sent since t was read. */
const struct err *thumbnails_remove(struct tx *tx, const struct thumbnail *t, bool *ret_done);
const struct err *thumbnails_remove_of(struct tx *tx, struct str sha256);

#endif
