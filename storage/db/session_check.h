/* Checks that the database keeps session state. Behind a proxy that pools by transaction it does
 * not: prepared statements, settings and locks then belong to another session at random. */
#ifndef STORAGE_DB_SESSION_CHECK_H
#define STORAGE_DB_SESSION_CHECK_H

#include "base/err.h"

/* ERR_INVALID_PARAM with a text on how to set up the proxy. */
const struct err *session_check(const char *uri);

#endif
