/* A state of a room as its differences from the current one. Most states on a fork differ in little
 * or nothing, so that thousands of members cost nothing. Valid as long as no writer changes the
 * room's state: the caller keeps writers out (rooms/writer.h). In the job's arena. */
#ifndef ROOMS_STATE_STATE_VIEW_H
#define ROOMS_STATE_STATE_VIEW_H

#include "rooms/state/lookup.h"
#include "storage/rooms/state_refs.h"

/* Stands for the position of an event of the intake, for the view and for the lookup. */
#define EVENT_BEING_TAKEN(number) (INT64_MIN + (int64_t)(number))
#define EVENTS_BEING_TAKEN_MAX (1 << 20)
static inline bool event_is_being_taken(int64_t position)
{
    return position < INT64_MIN + EVENTS_BEING_TAKEN_MAX;
}

struct state_view {
    struct state_ref_entry *entries; /* each key once, in no order; event 0: absent */
    size_t n, cap;
    /* A stored reference to this very state, and its base; 0: none is known. */
    int64_t ref, base;
    const struct state_view *from; /* a stored state from which this one was made; or NULL */
};

/* The states after stored events, in one query. ret_known[i] false: it is not known (outliers). */
const struct err *state_views_after(struct job *job, struct room *room,
                                    const struct known_event *const *events, size_t n,
                                    struct state_view *ret, bool *ret_known);
/* The state that consists of these events (ids), all of which must be stored; ret_missing: those
 * that are not. */
const struct err *state_view_of_ids(struct job *job, struct room *room, struct lookup *lookup,
                                    const char *const *ids, size_t n, struct state_view *ret,
                                    const char *const **ret_missing, size_t *ret_missing_n);

const struct state_ref_entry *state_view_find(const struct state_view *v, int64_t type,
                                              const char *state_key);
/* event: a position, 0 for none, or EVENT_BEING_TAKEN(n). */
void state_view_put(struct arena *a, struct state_view *v, int64_t type, const char *state_key,
                    int64_t event);
/* The key is as in the current state. */
void state_view_remove(struct state_view *v, int64_t type, const char *state_key);
/* As state_view_put, for a key that is not in it yet. */
void state_view_add(struct arena *a, struct state_view *v, int64_t type, const char *state_key,
                    int64_t event);
struct state_view state_view_copy(struct arena *a, const struct state_view *v);
bool state_view_equal(struct arena *a, const struct state_view *x, const struct state_view *y);
/* For callers that look up many keys; the caller finishes the map, keys are in the arena. */
void state_view_index(struct arena *a, const struct state_view *v, struct map *ret);
const struct state_ref_entry *state_view_indexed(struct arena *a, const struct map *index,
                                                 const struct state_ref_entry *key);

/* State resolution over several states. *weighed grows by the events of their auth chains that had
 * to be looked at: a few keys may stand upon thousands. */
const struct err *state_view_resolve(struct job *job, struct room *room, struct lookup *lookup,
                                     const struct state_view *views, size_t n,
                                     struct state_view *ret, size_t *weighed);

#endif
