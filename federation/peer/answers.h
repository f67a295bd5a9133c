/* What our users want to know of other servers: profiles, aliases, directories, spaces.
 *
 * What was answered lately is remembered, as the specification allows. In memory only, within a
 * number of bytes: the oldest answers go first. And a bounded number of questions is under way to
 * one server, so that one that is slow on purpose does not keep everybody who could ask.
 * Thread-safe. */
#ifndef FEDERATION_PEER_ANSWERS_H
#define FEDERATION_PEER_ANSWERS_H

#include "federation/peer/request.h"

struct answers;

struct answers *answers_create(size_t bytes_max);
void answers_destroy(struct answers *a); /* NULL-safe */

/* True: something is remembered; *ret is a copy in the arena, or p == NULL for what answers_put was
 * given with p == NULL (there is no answer to be had). */
bool answers_get(struct answers *a, struct arena *arena, const char *key, struct str *ret);

/* Copies both. An answer that is larger than a sixteenth of all is not kept. */
void answers_put(struct answers *a, const char *key, struct str answer, int64_t keep_ms);

/* Nothing that this server answered so far counts any more: it may know more by now, as when it or
 * we have just joined a room. Cheap. Keys name the servers that answered, each between spaces. */
void answers_forget(struct answers *a, const char *server);

/* Before and after asking. ERR_UNAVAILABLE while too many others wait for that server. */
const struct err *federation_question_begin(struct job *job, const char *server);
void federation_question_end(struct job *job, const char *server);

/* federation_request() between the two. */
const struct err *federation_question(struct job *job, const struct fed_request *r,
                                      struct fed_reply *ret);

#endif
