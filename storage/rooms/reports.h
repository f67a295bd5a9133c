/* reports: what users reported to the operator (client-server-api, "Reporting content"). */
#ifndef STORAGE_ROOMS_REPORTS_H
#define STORAGE_ROOMS_REPORTS_H

#include "storage/db/db.h"

enum { REPORTS_MAX = 1000 }; /* by a user: beyond that the oldest are deleted */

struct report {
    int64_t reporter; /* users.id */
    /* Of a room, an event (with its room) or a user: the others are NULL. */
    const char *room_id, *event_id, *user_id;
    const char *reason; /* NULL: none */
};

const struct err *reports_add(struct tx *tx, const struct report *r);

#endif
