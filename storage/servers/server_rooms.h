/* Which rooms a server is in, by its joined members. */
#ifndef STORAGE_SERVERS_SERVER_ROOMS_H
#define STORAGE_SERVERS_SERVER_ROOMS_H

#include "storage/db/db.h"

/* Ids of the rooms where the server has joined members. */
const struct err *server_rooms(struct tx *tx, const char *server, const int64_t **ret,
                               size_t *ret_n);

/* Did the server have a joined (or invited) member in the room at this position? */
const struct err *server_was_in_room(struct tx *tx, int64_t room, const char *server, int64_t at,
                                     bool invited_too, bool *ret);

#endif
