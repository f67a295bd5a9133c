/* Users of another server that speaks of them: whose server is it, and do we share a room? */
#ifndef FEDERATION_PEER_REMOTE_USER_H
#define FEDERATION_PEER_REMOTE_USER_H

#include "storage/db/job.h"
#include "storage/devices/remote_devices.h"

/* Is it a user of that server? */
bool is_user_of(const char *server, const char *user_id);

/* What we know of the user's devices, for an EDU of that server about them. M_FORBIDDEN when they
 * are not its user; *ret_heed false when no room is shared, and no user is to be told. */
const struct err *remote_user_heed(struct job *job, const char *origin, const char *user_id,
                                   struct remote_list *ret, bool *ret_heed);

#endif
