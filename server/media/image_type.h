/* The type of an image by its first bytes: the uploader's Content-Type is not trusted. */
#ifndef SERVER_MEDIA_IMAGE_TYPE_H
#define SERVER_MEDIA_IMAGE_TYPE_H

#include "base/str.h"

enum image_type { IMAGE_NONE, IMAGE_PNG, IMAGE_JPEG, IMAGE_GIF, IMAGE_WEBP, IMAGE_AVIF };

enum { IMAGE_TYPE_BYTES = 64 }; /* enough to decide */

/* Of the types that thumbnails are made of. */
enum image_type image_type_of(struct str first);

const char *image_type_mime(enum image_type t); /* "image/png" */
const char *image_type_name(enum image_type t); /* "png" */

/* Whether a whole PNG file is an animation (APNG). */
bool image_png_is_animated(struct str file);

#endif
