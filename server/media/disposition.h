/* Content-Disposition (RFC 6266): may a browser show the content in place, and what is it called?
 */
#ifndef SERVER_MEDIA_DISPOSITION_H
#define SERVER_MEDIA_DISPOSITION_H

#include "base/str.h"

/* The longest file name that is kept: 255 characters of three bytes. Encoded it fits in the memory
 * of a connection together with the rest of the reply's head. */
enum { FILE_NAME_MAX = 765 };

/* Is the type on the list of "Serving inline content"? Parameters and case do not matter. */
bool disposition_is_safe_inline(const char *content_type);

/* `inline` or `attachment`, as the type allows, then the name if there is one (NULL: none). Any
 * bytes of the name are safe. */
void disposition_add(struct buf *b, const char *content_type, const char *file_name);

/* The file name that such a header of another server gives (filename* before filename), in the
 * arena; NULL when it gives none that is usable: UTF-8 without control characters, not too long. */
const char *disposition_file_name(struct arena *a, const char *header);

#endif
