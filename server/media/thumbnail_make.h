/* Makes a thumbnail by the program concorde-thumbnail. */
#ifndef SERVER_MEDIA_THUMBNAIL_MAKE_H
#define SERVER_MEDIA_THUMBNAIL_MAKE_H

#include "base/err.h"
#include "server/media/thumbnail_size.h"

/* Of the image in `original` into `into`, an empty file, which stays empty when the image is no
 * larger than that. M_UNKNOWN (400) for what is not an image, M_TOO_LARGE for what would take too
 * much time or memory. Blocks as long as the program runs. */
const struct err *thumbnail_make(int original, struct thumbnail_size size, int64_t pixels_max,
                                 int into);

/* Is the program where it is looked for? */
const struct err *thumbnail_check_program(void);

#endif
