/* Walking a room's timeline in one direction as a user sees it, event by event through a filter:
 * /messages, /context and alike.
 *
 * A place in the timeline is a position p of the log: between the event there and the next one.
 * Back from p come the events at positions <= p, onward those at > p. */
#ifndef ROOMS_READ_WALK_H
#define ROOMS_READ_WALK_H

#include "rooms/read/serialize.h"
#include "storage/rooms/events.h"
#include "storage/rooms/relations.h"

/* Before everything that is here: history that was fetched from other servers lies below zero. */
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
    int64_t place; /* where the walk stopped: to go on from there */
    bool more;     /* there may be more; false: the end was reached */
    bool is_live;  /* onward, and the viewer will see what comes next */
};

/* Looks at a bounded number of events: with a filter that few pass, it stops before the limit. */
const struct err *walk_room(struct job *job, const struct room_walk *w, struct walked *ret);

/* Does the filter let this event through, as far as the event itself tells (not related_by_…)? */
bool walk_filter_matches(struct arena *a, const struct event_filter *f, const struct event *e);

#endif
