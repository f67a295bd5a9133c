/* Auth chains, for servers that ask for them (server-server-api, "Auth chain"). */
#ifndef ROOMS_STATE_AUTH_CHAIN_H
#define ROOMS_STATE_AUTH_CHAIN_H

#include "rooms/room.h"
#include "storage/rooms/events.h"

/* The auth chain of these events (without themselves, unless others cite them), as far as it is
 * stored, rejected events included: in no particular order, each once. It takes few statements,
 * also for a long chain. */
const struct err *auth_chain(struct job *job, struct room *room, const char *const *event_ids,
                             size_t n, const struct stored_event **ret, size_t *ret_n);

#endif
