#include "server/remote_request.h"

#include "federation/peer/request.h"

const struct err *remote_request_begin(struct request *rq, struct reply *rp, const char *server,
                                       bool *ret_here)
{
    *ret_here = rq->pool == POOL_REMOTE;
    if (*ret_here)
        return NULL;
    if (server && !federation_may_contact(job_of(rq)->config, server))
        return err(ERR_FORBIDDEN, "This server does not federate with %s", server);
    TRY(request_charge(rq, RATE_REMOTE, 1));
    return reply_elsewhere(rp, POOL_REMOTE);
}
