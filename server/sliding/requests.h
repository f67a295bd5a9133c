/* Parsed requests, by their bytes: a client sends the same one again and again. */
#ifndef SERVER_SLIDING_REQUESTS_H
#define SERVER_SLIDING_REQUESTS_H

#include "base/cache.h"
#include "server/sliding/request.h"

struct sliding_requests;
struct sliding_requests *sliding_requests_create(struct cache_budget *b);
void sliding_requests_destroy(struct sliding_requests *r); /* NULL-safe */

/* As sliding_request_parse(), valid with the arena. An empty body counts as {}. */
const struct err *sliding_requests_parse(struct sliding_requests *r, struct arena *a,
                                         struct str body, bool is_accepted,
                                         struct sliding_request *ret);

#endif
