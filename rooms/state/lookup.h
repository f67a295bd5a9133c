/* Events by id during an intake: stored ones, and those about to be stored. Each id is queried
 * once. Not thread-safe; lives as long as the job's arena. */
#ifndef ROOMS_STATE_LOOKUP_H
#define ROOMS_STATE_LOOKUP_H

#include "base/map.h"
#include "rooms/room.h"
#include "storage/rooms/events.h"

struct lookup {
    struct job *job;
    const struct room_version *version;
    int64_t room;
    struct map known;    /* event id -> struct known_event, or the one that means "not stored" */
    struct map by_place; /* position -> struct known_event */
};

/* Is the state before the event known? Not that of outliers, also if they were rejected by their
 * auth events (events_find_unplaced). */
static inline bool known_is_placed(const struct known_event *e)
{
    return !event_is_off_timeline(e->e.position) || e->state_ref;
}

/* In the job's arena. */
struct lookup *lookup_create(struct job *job, const struct room_version *v, int64_t room);

/* Queries all of these together, except those that were queried before. */
const struct err *lookup_load(struct lookup *l, const char *const *ids, size_t n);
/* Queries those again that were not stored: another request may have stored them since. */
const struct err *lookup_again(struct lookup *l, const char *const *ids, size_t n);
/* Adds the result of another query: of these ids those are stored. */
void lookup_fill(struct lookup *l, const char *const *ids, size_t n,
                 const struct known_event *found, size_t found_n);
/* NULL: it is not stored. Events of other rooms count as not stored. */
const struct err *lookup_get(struct lookup *l, const char *id, const struct known_event **ret);
/* The event if it is in the lookup; no query. */
const struct known_event *lookup_peek(const struct lookup *l, const char *id);
/* By position: from the lookup, else from the database. NULL: in neither. */
const struct err *lookup_at(struct lookup *l, int64_t position, const struct stored_event **ret);
/* Queries the events at these positions together, without 0 and those in the lookup. */
const struct err *lookup_load_at(struct lookup *l, const int64_t *positions, size_t n);
/* Adds an event; *e must live as long as the lookup. */
void lookup_add(struct lookup *l, const struct known_event *e);

#endif
