/* Which threads may wait for other servers: workers of POOL_REMOTE, and threads that serve no
 * requests. Requests that wait for an unresponsive server could fill any other pool, and then no
 * other request would be served. Builds with sanitizers assert it, others log it. */
#ifndef HTTP_WAITS_H
#define HTTP_WAITS_H

#include "base/err.h"

bool waits_are_allowed(void);      /* in this thread */
void waits_allow(bool yes);        /* from now on; threads begin with yes */
void waits_assert(const char *on); /* this thread is about to wait on that server */

/* An error for code deep in a request: the request runs again, from its start, in POOL_REMOTE. */
const struct err *waits_elsewhere(const char *on);

#endif
