/* The networks from which users have recently signed in or used a device. */
#ifndef STORAGE_USERS_KNOWN_NETWORKS_H
#define STORAGE_USERS_KNOWN_NETWORKS_H

#include "storage/db/db.h"

enum { KNOWN_NETWORKS_MAX = 20, KNOWN_NETWORKS_DAYS = 90 };

/* Adds one. The newest KNOWN_NETWORKS_MAX of a user are kept, for KNOWN_NETWORKS_DAYS. */
const struct err *known_networks_note(struct tx *tx, int64_t user, const char *network,
                                      int64_t now);

/* The networks, and the last addresses of the user's devices. */
const struct err *known_networks_list(struct tx *tx, int64_t user, int64_t now,
                                      const char *const **ret, size_t *ret_n);

#endif
