/* Media of other servers: fetched when a user requests it, and then stored like local media. */
#ifndef SERVER_MEDIA_REMOTE_H
#define SERVER_MEDIA_REMOTE_H

#include "http/reply.h"
#include "server/account/caller.h"

/* For media that is not stored. *ret_here: it is now. Otherwise the reply is made: to wait, until
 * `until_mono_ms` at most, or to move to POOL_REMOTE. The errors of federation/users/media.h and
 * server/remote_request.h. */
const struct err *media_fetch(struct request *rq, struct reply *rp, const char *server,
                              const char *media_id, int64_t until_mono_ms, bool *ret_here);

#endif
