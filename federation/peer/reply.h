/* Reads other servers' replies: pure functions over the HTTP client's results. All of it is
 * hostile. */
#ifndef FEDERATION_PEER_REPLY_H
#define FEDERATION_PEER_REPLY_H

#include "federation/peer/request.h"
#include "http/client/client.h"

void fed_reply_read(struct arena *a, const struct http_answer *answer, bool with_tree,
                    struct fed_reply *ret);

/* Checks a reply for federation_request(): a 2xx must have a JSON object; other replies must have
 * been parsed. Another status is an error with the other server's errcode and message (4xx), else
 * ERR_BAD_STATUS. */
const struct err *fed_reply_check(struct arena *a, const struct fed_request *r,
                                  struct fed_reply *reply);

/* How long the other server asks us to wait, at most an hour; 0: not a 429. */
int fed_reply_retry_after_ms(const struct fed_reply *reply);
/* The same within the bounds of federation_wait_ms(). */
int64_t fed_reply_pause_ms(const struct fed_reply *reply);

/* Whether an error of federation_request() means that the server is unreachable. */
bool federation_is_unreachable(const struct err *e);
/* How long requests that no user waits for must pause after that error: more than 0, and bounded,
 * if the server answered 429; else 0. */
int64_t federation_wait_ms(const struct err *e);

#endif
