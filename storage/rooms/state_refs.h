/* The state before events that did not extend the head of their room: a base position and the
 * differences from the intervals there (schema/0050-event-graph.sql). */
#ifndef STORAGE_ROOMS_STATE_REFS_H
#define STORAGE_ROOMS_STATE_REFS_H

#include "storage/db/write.h"

struct state_ref_entry {
    int64_t type; /* event_types.id */
    const char *state_key;
    int64_t event; /* position; 0: the key has no event */
    bool as_base;  /* as at the base, unlike in the parent */
    int at;        /* when writing: the event is that of this change of the write; else 0 */
};

/* Ids for n new references. */
const struct err *state_refs_reserve(struct tx *tx, size_t n, const int64_t **ret);

/* base: a position at which the intervals are known; parent: a reference with an equal base, 0:
 * none. */
void state_ref_write(struct write *w, int64_t id, int64_t room, int64_t base, int64_t parent,
                     const struct state_ref_entry *entries, size_t n);
/* The same with the position of change `at` as the base. */
void state_ref_write_at(struct write *w, int64_t id, int64_t room, int at,
                        const struct state_ref_entry *entries, size_t n);
/* Sets the state before the event of change `at` of this write, or (at == 0) of the event at the
 * position. */
void event_state_write(struct write *w, int at, int64_t position, int64_t ref);

/* ret_n: all differences from the base, those of its parents included, each key once. ret_found
 * false: no such reference. */
const struct err *state_ref_read(struct tx *tx, int64_t ref, int64_t *ret_base,
                                 const struct state_ref_entry **ret, size_t *ret_n,
                                 bool *ret_found);
/* The reference of an event; 0: none. */
const struct err *event_state_find(struct tx *tx, int64_t position, int64_t *ret_ref);

/* A state as its differences from the room's current one. */
struct state_difference {
    const struct state_ref_entry *entries; /* event 0: none, unlike in the current state */
    size_t n;
    int64_t base;  /* of the reference */
    bool is_known; /* false: no such reference */
};
/* The states of these references, or (refs[i] == 0) at these positions of the log: ret[0..n). */
const struct err *state_differences(struct tx *tx, int64_t room, const int64_t *refs,
                                    const int64_t *positions, size_t n,
                                    struct state_difference *ret);

/* The state at a position as names only, for large rooms. */
struct state_name {
    int64_t type;
    const char *type_text, *state_key;
    const char *event_id;
    int64_t event; /* position */
};
const struct err *room_state_names(struct tx *tx, int64_t room, int64_t at_position,
                                   const struct state_name **ret, size_t *ret_n);

#endif
