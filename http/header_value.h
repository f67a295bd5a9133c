/* Parameters of a header's value, `type; name=value; name="va\"lue"` (RFC 9110, "Parameters"):
 * Content-Type, Content-Disposition. */
#ifndef HTTP_HEADER_VALUE_H
#define HTTP_HEADER_VALUE_H

#include "base/str.h"

/* What stands before the first parameter, without white space around. */
struct str header_value_main(const char *value);

/* The first parameter of that name (case does not matter), unquoted, in the arena; false when there
 * is none. Any bytes may be in it. */
bool header_value_parameter(struct arena *a, const char *value, const char *name, struct str *ret);

#endif
