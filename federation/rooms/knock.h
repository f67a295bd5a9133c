/* Knocking on rooms that our server is not in (server-server-api, "Knocking upon a room"). */
#ifndef FEDERATION_ROOMS_KNOCK_H
#define FEDERATION_ROOMS_KNOCK_H

#include "federation/rooms/join.h"

const struct err *federation_knock(struct job *job, const char *room_id, const struct via *via,
                                   const struct author *author, const json_t *content);

#endif
