/* Parses headers' values (RFC 9110): parameters, `type; name=value; name="va\"lue"`, as in
 * Content-Type and Content-Disposition, and Range. */
#ifndef HTTP_HEADER_VALUE_H
#define HTTP_HEADER_VALUE_H

#include "base/str.h"

/* The part before the first parameter, without surrounding white space. */
struct str header_value_main(const char *value);

/* The first parameter of that name (case does not matter), unquoted, in the arena; false when there
 * is none. Any bytes may be in it. */
bool header_value_parameter(struct arena *a, const char *value, const char *name, struct str *ret);

/* The part of a file of that size that Range asks for: a single range "bytes=a-b", "a-" or "-n".
 * Several, or other units, are ignored: then nothing is returned in the last two. False when it
 * lies outside the file. */
bool header_value_range(struct str range, int64_t size, int64_t *ret_first, int64_t *ret_last);

#endif
