/* What another server answered, as it is read: pure functions over what the HTTP client hands on.
 * Everything in it is hostile. */
#ifndef FEDERATION_REPLY_H
#define FEDERATION_REPLY_H

#include "federation/request.h"
#include "http/client.h"

void fed_reply_read(struct arena *a, const struct http_answer *answer, bool with_tree,
                    struct fed_reply *ret);

/* As federation_request() wants it: a 2xx with a JSON object. Another status is an error with the
 * other server's errcode and sentence (4xx), else ERR_BAD_STATUS. */
const struct err *fed_reply_check(struct arena *a, const struct fed_request *r,
                                  struct fed_reply *reply);

#endif
