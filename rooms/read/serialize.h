/* Events in the client format with `unsigned` (client-server-api, "Room event format") and bundled
 * aggregations, for one viewer. Used by everything that returns events: /sync, /messages, /context,
 * /event, /relations, /search. */
#ifndef ROOMS_READ_SERIALIZE_H
#define ROOMS_READ_SERIALIZE_H

#include "matrix/filter.h"
#include "rooms/read/erasure.h"
#include "rooms/read/visibility.h"

struct viewer {
    int64_t user;
    const char *user_id;
    int64_t device;              /* devices.id: gets its own transaction ids; 0: none */
    int64_t now_ms;              /* for unsigned.age */
    bool with_room_id;           /* false inside /sync */
    const struct filter *fields; /* event_fields and event_format; NULL: all, as for clients */
    struct onlooker *onlooker;   /* for events of erased users */
};

/* What the caller knows of an event besides struct stored_event. */
enum relations_known {
    RELATIONS_UNKNOWN, /* children are looked up in the database */
    RELATIONS_NONE     /* the events have no children: nothing is looked up */
};

/* Writes events of one room, separated by commas, in the given order. Their aggregations and
 * redactions are looked up together, in a number of round trips that does not depend on the number
 * of events. */
const struct err *serialize_events(struct job *job, const struct viewer *v,
                                   const struct stored_event *const *events, size_t n,
                                   enum relations_known known, struct buf *out);

/* An event inside of another's m.relations, as the viewer may see it. relations: its own
 * m.relations; p NULL when none. */
void serialize_related_event(const struct viewer *v, const struct visibility *visibility,
                             const struct stored_event *e, struct str relations, struct buf *out);

/* The event as the viewer may see it, for callers that use parts of its content. */
const struct err *viewer_event(struct job *job, const struct viewer *v,
                               const struct stored_event *e, const struct event **ret);

/* One event without aggregations: state in /sync and the like. */
const struct err *serialize_state_event(struct job *job, const struct viewer *v,
                                        const struct stored_event *e, struct buf *out);

#endif
