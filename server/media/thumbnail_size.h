/* The sizes of thumbnails. A client may request any size; it gets one of a small number of sizes
 * that is not smaller, so that an image has few thumbnails (client-server-api, "Thumbnails"). */
#ifndef SERVER_MEDIA_THUMBNAIL_SIZE_H
#define SERVER_MEDIA_THUMBNAIL_SIZE_H

#include "base/err.h"
#include "base/str.h"

/* scale: within width x height, keeping the aspect ratio; crop: just width x height. */
struct thumbnail_size {
    int width, height;
    bool crop, animated;
};

/* Beyond every other size: the image as it is, in that direction. */
enum { THUMBNAIL_SIDE_MAX = 65536 };

struct thumbnail_size thumbnail_size_snap(struct thumbnail_size wanted);

/* "96x96-crop", "640x480-scale-animated" */
void thumbnail_size_add_name(struct buf *b, struct thumbnail_size size);

/* Calls fn with each existing size, until it fails. */
const struct err *thumbnail_size_each(const struct err *(*fn)(void *ctx, struct thumbnail_size),
                                      void *ctx);

#endif
