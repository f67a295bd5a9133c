/* Invites by e-mail address or phone number that an identity server has matched with one of our
 * users (server-server-api, "Third-party invites"). We send no requests to identity servers, but
 * accept what one signed: the inviting user's server then turns it into an invite for the user. */
#ifndef FEDERATION_ROOMS_THIRD_PARTY_H
#define FEDERATION_ROOMS_THIRD_PARTY_H

#include "storage/db/job.h"

/* Makes the server of `sender`, who sent the m.room.third_party_invite, invite our user. signed_:
 * {"mxid", "token", "signatures"}. Blocks: for POOL_REMOTE. */
const struct err *third_party_exchange(struct job *job, const char *room_id, const char *sender,
                                       const char *user_id, const json_t *signed_);

#endif
