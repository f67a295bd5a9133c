/* Events by id while others are being taken in: what is stored, and what is about to be. Each id is
 * asked of the database once. Not thread-safe; lives as long as the job's arena. */
#ifndef ROOMS_STATE_LOOKUP_H
#define ROOMS_STATE_LOOKUP_H

#include "base/map.h"
#include "rooms/room.h"
#include "storage/rooms/events.h"

struct lookup {
    struct job *job;
    const struct room_version *version;
    int64_t room;
    struct map known;    /* event id -> struct known_event, or the one that stands for absence */
    struct map by_place; /* position -> struct known_event */
};

/* Does it stand in the room's graph, so that the state before it is known? Not so what was told of
 * beside the timeline, be it an outlier or rejected by its auth events alone
 * (events_find_unplaced). */
static inline bool known_is_placed(const struct known_event *e)
{
    return !event_is_off_timeline(e->e.position) || e->state_ref;
}

/* In the job's arena. */
struct lookup *lookup_create(struct job *job, const struct room_version *v, int64_t room);

/* Asks for all of these together, those that were asked for before excepted. */
const struct err *lookup_load(struct lookup *l, const char *const *ids, size_t n);
/* Asks again for those that were absent: another request may have stored them since. */
const struct err *lookup_again(struct lookup *l, const char *const *ids, size_t n);
/* For what was asked elsewhere: of these ids those are stored. */
void lookup_fill(struct lookup *l, const char *const *ids, size_t n,
                 const struct known_event *found, size_t found_n);
/* NULL: it is not stored. Events of other rooms count as not stored. */
const struct err *lookup_get(struct lookup *l, const char *id, const struct known_event **ret);
/* What is known without asking. */
const struct known_event *lookup_peek(const struct lookup *l, const char *id);
/* By position: what is in the lookup, else what is stored. NULL: neither. */
const struct err *lookup_at(struct lookup *l, int64_t position, const struct stored_event **ret);
/* Asks for all that stand at these positions together; 0 and what is in the lookup is passed over.
 */
const struct err *lookup_load_at(struct lookup *l, const int64_t *positions, size_t n);
/* From now on this event is found; *e must live as long as the lookup. */
void lookup_add(struct lookup *l, const struct known_event *e);

#endif
