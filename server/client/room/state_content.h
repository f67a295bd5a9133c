/* State that clients may not set, beyond what the authorization rules refuse with 403: requests
 * that no user could make, with any power level, get 400, as on other servers. */
#ifndef SERVER_CLIENT_ROOM_STATE_CONTENT_H
#define SERVER_CLIENT_ROOM_STATE_CONTENT_H

#include "rooms/write/append.h"

const struct err *state_content_check(struct job *job, struct room *room, const char *type,
                                      const json_t *content);

#endif
