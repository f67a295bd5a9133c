/* Requests of clients that need the answer of another server. */
#ifndef SERVER_REMOTE_REQUEST_H
#define SERVER_REMOTE_REQUEST_H

#include "http/reply.h"
#include "server/account/caller.h"

/* For a handler that has found out that it must ask `server`. *ret_here is true when it may
 * continue and block. Otherwise the reply is made, to run again in POOL_REMOTE, and the caller was
 * charged for it. M_FORBIDDEN for a server that is not allowed, M_LIMIT_EXCEEDED. server NULL: not
 * known yet. */
const struct err *remote_request_begin(struct request *rq, struct reply *rp, const char *server,
                                       bool *ret_here);

#endif
