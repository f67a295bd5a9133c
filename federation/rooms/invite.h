/* Inviting users of other servers (server-server-api, "Inviting to a room"). */
#ifndef FEDERATION_ROOMS_INVITE_H
#define FEDERATION_ROOMS_INVITE_H

#include "federation/rooms/join.h"

/* Has the target's server sign an invite of one of our users, then appends it. */
const struct err *federation_invite(struct job *job, struct room *room, const struct author *author,
                                    const char *target, const json_t *content,
                                    const char **ret_event_id);

#endif
