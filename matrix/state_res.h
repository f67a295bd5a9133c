/* State resolution v1, v2 and v2.1 (rooms/v1, rooms/v2, rooms/v12). Pure: whatever must be looked
 * up comes through callbacks, so that the caller decides how events are fetched and cached. The
 * outcome depends on the sets alone, never on their order; cycles and gaps in what hostile servers
 * sent do no harm. */
#ifndef MATRIX_STATE_RES_H
#define MATRIX_STATE_RES_H

#include "matrix/auth_rules.h"

struct state_entry {
    const char *type, *state_key;
    const char *event_id;
};

struct state_set {
    const struct state_entry *entries;
    size_t n;
};

struct state_res_source {
    /* The event, or NULL when we do not have it. Rejected events are reported through
     * *ret_rejected, which is false beforehand. The event stays valid during the call to
     * state_resolve. Each id is asked for once. */
    const struct event *(*get_event)(void *ctx, const char *event_id, bool *ret_rejected);
    /* A hint: these events will be asked for next, so they can be loaded in one query. NULL
     * function: no use for it. */
    void (*prefetch)(void *ctx, const char *const *event_ids, size_t n);
    /* The full auth difference of several state sets: ids in the union of their full auth chains
     * but not in their intersection, where the events of a set count as part of its chain. NULL
     * function: worked out here through get_event, walking breadth-first over all of the chains. */
    const struct err *(*auth_difference)(void *ctx, struct arena *a, const struct state_set *sets,
                                         size_t n, const char *const **ret_ids, size_t *ret_n);
    void *ctx;
};

/* Resolves the sets by the version's algorithm. The outcome, in no particular order, borrows
 * strings from the sets and has everything else in the arena. */
const struct err *state_resolve(struct arena *a, const struct room_version *v,
                                const struct state_res_source *source, const struct state_set *sets,
                                size_t n, struct state_set *ret);

#endif
