/* Thumbnails by libvips: the part of concorde-thumbnail that decodes hostile images. Every result
 * is an outcome, so that a fuzz target can run it repeatedly. Only that program and that target are
 * linked with it: the server is not linked with libvips. */
#ifndef SERVER_MEDIA_THUMBNAIL_IMAGE_H
#define SERVER_MEDIA_THUMBNAIL_IMAGE_H

#include "server/media/image_type.h"
#include "server/media/thumbnail_child.h"
#include "server/media/thumbnail_size.h"

struct thumbnail_task {
    struct thumbnail_size size;
    int64_t pixels_max;
    struct str file;
    enum image_type type; /* by the file's first bytes */
};

/* Once, while libraries may still be loaded. False: vips_error_buffer() says why. */
bool thumbnail_image_start(void);
/* From now on images of this type are decoded, and no others. May load its decoder. */
void thumbnail_image_allow(enum image_type type);

/* Writes the thumbnail to `into`, an empty file. THUMBNAIL_FAILED is not among the outcomes. */
enum thumbnail_outcome thumbnail_image_make(const struct thumbnail_task *t, int into);

#endif
