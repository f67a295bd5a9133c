/* Checks of users in EDUs: are they users of the sending server, and do we share a room? */
#ifndef FEDERATION_PEER_REMOTE_USER_H
#define FEDERATION_PEER_REMOTE_USER_H

#include "storage/db/job.h"
#include "storage/devices/remote_devices.h"

/* The stored device list of the user, for an EDU of that server about them. M_FORBIDDEN if they are
 * not its user; *ret_relevant is false if no room is shared: then the EDU is ignored. */
const struct err *remote_user_check(struct job *job, const char *origin, const char *user_id,
                                    struct remote_list *ret, bool *ret_relevant);

#endif
