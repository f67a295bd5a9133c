/* multipart/mixed (RFC 2046), as servers send media to each other: parses a whole body made by
 * another server. Only headers are copied; all input is hostile. */
#ifndef FEDERATION_USERS_MULTIPART_H
#define FEDERATION_USERS_MULTIPART_H

#include "base/arena.h"
#include "base/str.h"

struct multipart_part {
    const char *content_type, *content_disposition, *location; /* NULL: absent or malformed */
    struct str body;                                           /* within the whole */
};

/* The boundary in a Content-Type header; false if it is not multipart/mixed or has no boundary that
 * RFC 2046 allows. */
bool multipart_boundary(struct arena *a, const char *content_type, struct str *ret);

/* ERR_BAD_STATUS if it is malformed, ends early or has more than max parts. */
const struct err *multipart_read(struct arena *a, struct str boundary, struct str whole,
                                 struct multipart_part *ret, size_t max, size_t *ret_n);

#endif
