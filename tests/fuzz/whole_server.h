/* The whole server without its network, on a database that is empty (empty_db.h): runs the handlers
 * of requests as a worker does, behind their authentication and rate limits. It reaches no other
 * server but the target's own fake one. Unnamed files are made in /tmp. */
#ifndef TESTS_FUZZ_WHOLE_SERVER_H
#define TESTS_FUZZ_WHOLE_SERVER_H

#include "http/route.h"

#include <stdint.h>

/* Input: "POST /path?query", a newline, then the body. Only routes that `is_wanted` are run, with
 * that caller. The result must be a reply, or an error for the client that is not internal. */
void whole_server_run(const uint8_t *data, size_t size, bool (*is_wanted)(const struct route *r),
                      void *caller);

/* reachable: the one address that other servers may have, asked for at the first call; NULL: none.
 */
struct node *whole_server_store(const char *reachable);

#endif
