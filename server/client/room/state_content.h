/* What clients may not set as state, beyond what the authorization rules refuse with 403: requests
 * that no user of whatever power could make are told 400, as other servers do. */
#ifndef SERVER_CLIENT_ROOM_STATE_CONTENT_H
#define SERVER_CLIENT_ROOM_STATE_CONTENT_H

#include "rooms/write/append.h"

const struct err *state_content_check(struct job *job, struct room *room, const char *type,
                                      const json_t *content);

#endif
