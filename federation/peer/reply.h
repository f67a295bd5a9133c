/* What another server answered, as it is read: pure functions over what the HTTP client hands on.
 * Everything in it is hostile. */
#ifndef FEDERATION_PEER_REPLY_H
#define FEDERATION_PEER_REPLY_H

#include "federation/peer/request.h"
#include "http/client/client.h"

void fed_reply_read(struct arena *a, const struct http_answer *answer, bool with_tree,
                    struct fed_reply *ret);

/* As federation_request() wants it; of what is no 2xx the tree must be there: a 2xx with a JSON
 * object. Another status is an error with the other server's errcode and sentence (4xx), else
 * ERR_BAD_STATUS. */
const struct err *fed_reply_check(struct arena *a, const struct fed_request *r,
                                  struct fed_reply *reply);

/* For how long the other server wants to be left alone, an hour at most; 0: it is no 429. */
int fed_reply_retry_after_ms(const struct fed_reply *reply);
/* ... within the bounds of federation_wait_ms(). */
int64_t fed_reply_pause_ms(const struct fed_reply *reply);

/* Of an error of federation_request(): the server cannot be reached. */
bool federation_is_unreachable(const struct err *e);
/* For how long, at least, what goes on without a user leaves the server alone after that error.
 * More than 0, and bounded, when it has answered 429; else 0. */
int64_t federation_wait_ms(const struct err *e);

#endif
