/* Fetching single events of other servers (server-server-api, "Retrieving events"). */
#ifndef FEDERATION_IN_FETCH_H
#define FEDERATION_IN_FETCH_H

#include "federation/in/inbound.h"

/* Fetches events by id from the server (/event, in parallel, bounded), checked as PDUs; unavailable
 * ones are skipped. Nothing is stored. */
const struct err *federation_fetch_events(struct job *job, struct room *room, const char *server,
                                          const char *const *ids, size_t n,
                                          struct fetched_events *ret);

#endif
