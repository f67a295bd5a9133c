/* Makes a thumbnail with the program concorde-thumbnail. */
#ifndef SERVER_MEDIA_THUMBNAIL_MAKE_H
#define SERVER_MEDIA_THUMBNAIL_MAKE_H

#include "base/err.h"
#include "server/media/thumbnail_size.h"

/* Reads the image in `original` and writes to `into`, an empty file, which stays empty when the
 * image is not larger than the thumbnail. M_UNKNOWN (400) when it is not an image, M_TOO_LARGE when
 * it would take too much time or memory. Blocks as long as the program runs. */
const struct err *thumbnail_make(int original, struct thumbnail_size size, int64_t pixels_max,
                                 int into);

/* An error unless the program is in its place. */
const struct err *thumbnail_check_program(void);

#endif
