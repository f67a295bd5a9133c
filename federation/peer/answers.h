/* Answers of other servers to our users' queries: profiles, aliases, directories, spaces.
 *
 * Recent answers are cached, as the specification allows: in memory only (base/cache.h). The
 * number of running requests to one server is bounded, so that one that is slow on purpose does not
 * block all workers. Thread-safe. */
#ifndef FEDERATION_PEER_ANSWERS_H
#define FEDERATION_PEER_ANSWERS_H

#include "federation/peer/request.h"

struct answers;

struct answers *answers_create(struct cache_budget *b);
void answers_destroy(struct answers *a); /* NULL-safe */

/* True if something is cached; *ret is a copy in the arena, or p == NULL if answers_put was called
 * with p == NULL (no answer is available). */
bool answers_get(struct answers *a, struct arena *arena, const char *key, struct str *ret);

/* Copies both. An answer larger than a sixteenth of the cache is not kept. */
void answers_put(struct answers *a, const char *key, struct str answer, int64_t keep_ms);

/* Invalidates all answers of this server: it may know more now, for instance when it or we have
 * just joined a room. Cheap. Keys name the servers that answered, each between spaces. */
void answers_forget(struct answers *a, const char *server);

/* Call before and after a request. ERR_UNAVAILABLE while too many requests wait for that server. */
const struct err *federation_question_begin(struct job *job, const char *server);
void federation_question_end(struct job *job, const char *server);

/* federation_request() between the two calls. */
const struct err *federation_question(struct job *job, const struct fed_request *r,
                                      struct fed_reply *ret);

#endif
