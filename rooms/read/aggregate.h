/* Bundled aggregations (client-server-api, "Aggregations of child events"): edits, threads and
 * references, for `m.relations`. */
#ifndef ROOMS_READ_AGGREGATE_H
#define ROOMS_READ_AGGREGATE_H

#include "rooms/read/serialize.h"

/* ret[i]: the JSON object for events[i], in the job's arena; left as it is (p NULL) if no children
 * are bundled. All events are of one room, and `visibility` is open for the oldest of them. At most
 * two round trips for the whole list. Children that the viewer may not see, or whose senders they
 * ignore, do not count. */
const struct err *aggregate_events(struct job *job, const struct viewer *v,
                                   const struct visibility *visibility,
                                   const struct stored_event *const *events, size_t n,
                                   struct str *ret);

#endif
