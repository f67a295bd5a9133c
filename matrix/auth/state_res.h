/* State resolution v1, v2 and v2.1 (rooms/v1, rooms/v2, rooms/v12). Pure: events are looked up
 * through callbacks, so that the caller decides how they are fetched and cached. The outcome
 * depends on the sets alone, never on their order; cycles and gaps in hostile servers' events do no
 * harm. */
#ifndef MATRIX_AUTH_STATE_RES_H
#define MATRIX_AUTH_STATE_RES_H

#include "matrix/auth/auth_rules.h"

struct state_entry {
    const char *type, *state_key;
    const char *event_id;
};

struct state_set {
    const struct state_entry *entries;
    size_t n;
};

struct state_key {
    const char *type, *state_key;
};

struct state_res_source {
    /* The event, or NULL when it is not stored. Rejected events are reported through *ret_rejected,
     * which is false beforehand. The event stays valid during the call to state_resolve. Each id is
     * asked for once. */
    const struct event *(*get_event)(void *ctx, const char *event_id, bool *ret_rejected);
    /* A hint: these events are needed next, so that they can be loaded in one query. The function
     * may be NULL. */
    void (*prefetch)(void *ctx, const char *const *event_ids, size_t n);
    /* For callers that keep the graph of auth events (matrix/auth/auth_graph.h). NULL functions:
     * all of it is walked through get_event. The full auth difference of several state sets: ids in
     * the union of their full auth chains but not in their intersection, where the events of a set
     * count as part of its chain. Those of the sets may be left out. */
    const struct err *(*auth_difference)(void *ctx, struct arena *a, const struct state_set *sets,
                                         size_t n, const char *const **ret_ids, size_t *ret_n);
    /* The conflicted state subgraph (v2.1) of these events, which may be left out. */
    const struct err *(*conflicted_subgraph)(void *ctx, struct arena *a, const char *const *ids,
                                             size_t n, const char *const **ret_ids, size_t *ret_n);
    /* ret[i]: where the chain of power levels that begins with ids[i] meets that of power_id,
     * counted from there; INT64_MAX: nowhere. */
    const struct err *(*mainline)(void *ctx, const char *power_id, const char *const *ids, size_t n,
                                  int64_t *ret);
    /* For sets that leave out keys which are equal in all of them: the event of a key that no set
     * has, or NULL. NULL function: nothing is left out. The hint is as above. */
    const char *(*agreed)(void *ctx, const char *type, const char *state_key);
    void (*prefetch_agreed)(void *ctx, const struct state_key *keys, size_t n);
    void *ctx;
};

/* Resolves the sets by the version's algorithm. The outcome, in no particular order, borrows
 * strings from the sets and has everything else in the arena. Ignore keys in it that no set has. */
const struct err *state_resolve(struct arena *a, const struct room_version *v,
                                const struct state_res_source *source, const struct state_set *sets,
                                size_t n, struct state_set *ret);

#endif
