/* Does the database keep what belongs to a session? Through a proxy that pools by transaction it
 * does not: prepared statements, settings and locks are then another session's at random. */
#ifndef STORAGE_DB_SESSION_CHECK_H
#define STORAGE_DB_SESSION_CHECK_H

#include "base/err.h"

/* ERR_INVALID_PARAM that says how to set up the proxy. */
const struct err *session_check(const char *uri);

#endif
