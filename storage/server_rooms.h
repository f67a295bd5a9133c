/* Which rooms a server is in, by its joined members. */
#ifndef STORAGE_SERVER_ROOMS_H
#define STORAGE_SERVER_ROOMS_H

#include "storage/db.h"

/* Ids of the rooms where the server has joined members. */
const struct err *server_rooms(struct tx *tx, const char *server, const int64_t **ret,
                               size_t *ret_n);

#endif
