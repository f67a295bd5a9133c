/* Presence (client-server-api, "Presence"): kept in memory and, when it changes, in the log. */
#ifndef ROOMS_PRESENCE_H
#define ROOMS_PRESENCE_H

#include "matrix/filter.h"
#include "rooms/session.h"

struct presence_table;
struct presence_table *presence_create(struct store *store);
void presence_destroy(struct presence_table *p);

/* A client syncs or acts: set_presence "online", "unavailable" or "offline". Cheap when nothing
 * changes. Never fails the request that it is part of. */
void presence_touch(struct job *job, int64_t user, const char *user_id, const char *state);

/* Appends the m.presence events, comma-separated, of users who share a room with this one and
 * changed in (since, until]; since 0: those who are online now. Nothing when presence is off. */
const struct err *presence_add_events(struct job *job, struct session *s, int64_t since,
                                      int64_t until, const struct event_filter *filter,
                                      struct buf *out, size_t *ret_n);

#endif
