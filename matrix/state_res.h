/* State resolution v1, v2 and v2.1 (rooms/v1, rooms/v2, rooms/v12). Pure: whatever must be looked
 * up comes through callbacks, so that the caller decides how events are fetched and cached. */
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
     * *ret_rejected. The event stays valid during the call to state_resolve. */
    const struct event *(*get_event)(void *ctx, const char *event_id, bool *ret_rejected);
    /* The full auth difference of several state sets: ids in the union of their full auth chains
     * but not in their intersection. NULL function: worked out here through get_event, walking
     * breadth-first. */
    const struct err *(*auth_difference)(void *ctx, struct arena *a, const struct state_set *sets,
                                         size_t n, const char *const **ret_ids, size_t *ret_n);
    void *ctx;
};

/* Resolves the sets by the version's algorithm. The outcome lives in the arena. */
const struct err *state_resolve(struct arena *a, const struct room_version *v,
                                const struct state_res_source *source, const struct state_set *sets,
                                size_t n, struct state_set *ret);

#endif
