/* The membership of a user in a room (client-server-api, "Room membership"). */
#ifndef MATRIX_MEMBERSHIP_H
#define MATRIX_MEMBERSHIP_H

#include "base/str.h"

enum membership { /* stored as these numbers */
                  MEMBERSHIP_NONE = 0,
                  MEMBERSHIP_JOIN = 1,
                  MEMBERSHIP_INVITE = 2,
                  MEMBERSHIP_LEAVE = 3,
                  MEMBERSHIP_BAN = 4,
                  MEMBERSHIP_KNOCK = 5,
                  MEMBERSHIP_UNKNOWN = 6 /* any other text; never stored */
};

/* MEMBERSHIP_NONE for anything that is not a membership; text may be NULL. */
enum membership membership_parse(const char *text);
/* The same of a raw JSON value, as json_scan_get() returns it. */
enum membership membership_parse_raw(struct str raw);
const char *membership_text(enum membership m); /* not of MEMBERSHIP_UNKNOWN */

#endif
