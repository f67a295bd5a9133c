/* From where users have signed in or used a device lately. */
#ifndef STORAGE_USERS_KNOWN_NETWORKS_H
#define STORAGE_USERS_KNOWN_NETWORKS_H

#include "storage/db/db.h"

enum { KNOWN_NETWORKS_MAX = 20, KNOWN_NETWORKS_DAYS = 90 };

/* Notes one. Of a user the newest KNOWN_NETWORKS_MAX are kept, for so many days. */
const struct err *known_networks_note(struct tx *tx, int64_t user, const char *network,
                                      int64_t now);

/* The networks, and the addresses where devices were last seen. */
const struct err *known_networks_list(struct tx *tx, int64_t user, int64_t now,
                                      const char *const **ret, size_t *ret_n);

#endif
