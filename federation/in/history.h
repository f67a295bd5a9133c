/* Fetching what came before the events that we have of a room (server-server-api, "Backfilling and
 * retrieving missing events"). */
#ifndef FEDERATION_IN_HISTORY_H
#define FEDERATION_IN_HISTORY_H

#include "federation/in/inbound.h"

/* Fetches history before our backward extremities (rooms/accept/history.h) from the servers of the
 * room: at most `limit` more events. *ret_added: how many were added; 0 if no server answers. */
const struct err *federation_backfill(struct job *job, struct room *room, size_t limit,
                                      size_t *ret_added);

#endif
