/* Content-Disposition (RFC 6266): whether a browser may show the content inline, and its file name.
 */
#ifndef SERVER_MEDIA_DISPOSITION_H
#define SERVER_MEDIA_DISPOSITION_H

#include "base/str.h"

/* The longest stored file name: 255 characters of three bytes. Encoded it fits in the memory of a
 * connection together with the rest of the reply's head. */
enum { FILE_NAME_MAX = 765 };

/* Whether the type is on the list of "Serving inline content", ignoring parameters and case. */
bool disposition_is_safe_inline(const char *content_type);

/* `inline` or `attachment`, as the type allows, then the name if there is one (NULL: none). Any
 * bytes of the name are safe. */
void disposition_add(struct buf *b, const char *content_type, const char *file_name);

/* The file name in such a header of another server (filename* before filename), in the arena; NULL
 * unless it is usable: UTF-8 without control characters, not too long. */
const char *disposition_file_name(struct arena *a, const char *header);

#endif
