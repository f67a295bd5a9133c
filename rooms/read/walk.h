/* Walking a room's timeline in one direction as a user sees it, through a filter: for /messages,
 * /context and others.
 *
 * A place in the timeline is a position p of the log: between the event there and the next one. A
 * walk backwards from p returns the events at positions <= p, one forwards those at positions > p.
 */
#ifndef ROOMS_READ_WALK_H
#define ROOMS_READ_WALK_H

#include "rooms/read/serialize.h"
#include "storage/rooms/events.h"
#include "storage/rooms/relations.h"

/* Before all events: history that was fetched from other servers has negative positions. */
#define WALK_START EVENT_OFF_TIMELINE_MAX

struct room_walk {
    struct room *room;
    const struct viewer *viewer;
    const struct event_filter *filter;     /* NULL: everything */
    const struct relations_range *related; /* only the children of an event; NULL: the whole room */
    int64_t from, to;                      /* places */
    bool backwards;
    size_t limit;
};

struct walked {
    const struct stored_event **events; /* in the order of the walk */
    size_t n;
    int64_t place; /* where the walk stopped, to continue from there */
    bool more;     /* there may be more; false: the end was reached */
    bool is_live;  /* forwards, and the viewer will see new events */
};

/* Reads a bounded number of events: with a filter that matches few, it stops before the limit. */
const struct err *walk_room(struct job *job, const struct room_walk *w, struct walked *ret);

/* Does the filter match this event, without regard to its children (related_by_…)? */
bool walk_filter_matches(struct arena *a, const struct event_filter *f, const struct event *e);

#endif
