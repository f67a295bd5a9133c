/* Shared by the files of state resolution: the state being resolved, as slots, and the events seen,
 * as nodes of the graph of auth events. All of it lives in the caller's arena. */
#ifndef MATRIX_AUTH_STATE_RES_INTERNAL_H
#define MATRIX_AUTH_STATE_RES_INTERNAL_H

#include "base/map.h"
#include "matrix/auth/state_res.h"

#include <stdint.h>

/* An event id that occurred, whether its event is stored or not. */
struct res_node {
    const char *id;
    const struct event *e;  /* NULL: not stored */
    struct res_node **auth; /* its auth events, once res_expand was called */
    size_t auth_n;
    bool rejected, expanded, queued;
    bool conflicted; /* in the conflicted state set */
    bool full;       /* in the full conflicted set */
    bool reached;    /* from a conflicted event, for the conflicted state subgraph */
    /* reverse topological power ordering */
    bool picked; /* in the set to be ordered */
    size_t index, waits_for;
    int64_t power;
    /* mainline ordering */
    enum { MAINLINE_UNKNOWN, MAINLINE_VISITED, MAINLINE_KNOWN } mainline;
    int64_t position;
    uint64_t in_chain_of[]; /* one bit a state set */
};

/* An array that grows in the arena. */
struct res_list {
    struct res_node **nodes;
    size_t n, size;
};
void res_list_add(struct arena *a, struct res_list *list, struct res_node *node);

/* A candidate of a conflicted slot. */
struct res_candidate {
    struct res_node *node;
    struct res_candidate *next;
};

/* One (type, state_key) of the state. */
struct res_slot {
    const char *type, *state_key;
    const char *agreed_id; /* in every set that has the key; NULL when they differ */
    size_t sets_n, last_set;
    bool unconflicted; /* by the version's definition: agreed_id goes into the outcome */
    struct res_candidate *candidates; /* if not */
    const char *id;                   /* the state that events are checked against; NULL: none */
    struct res_slot *next;
};

struct res {
    struct arena *a;
    const struct room_version *v;
    const struct state_res_source *source;
    const struct state_set *sets;
    size_t sets_n, words; /* words of in_chain_of */
    struct map nodes;     /* by event id */
    struct map slots;     /* by type, NUL, state key */
    struct buf key;
    struct res_slot *first_slot, **last_slot;
    struct res_list conflicted; /* the conflicted state set; each node has its event */
};

/* state_res.c */
struct res_node *res_node_of(struct res *r, const char *event_id);
struct res_slot *res_find_slot(struct res *r, const char *type, const char *state_key);
/* Gives the source a hint which agreed state these events will be checked against. */
void res_prepare(struct res *r, const struct res_list *list);
void res_apply(struct res *r, const struct event *e); /* puts a state event into its slot */
bool res_is(const struct res_node *node, const char *type, const char *state_key);
/* In v12, whose events cite no create event: the one that the room id names. Else NULL. */
struct res_node *res_create_of(struct res *r, const struct event *e);
/* Whether the event is allowed in the state of the slots. With use_auth_events, missing state is
 * taken from the event's own auth events. */
bool res_allows(struct res *r, struct res_node *node, bool use_auth_events);

/* state_res_graph.c */
void res_expand(struct res *r, struct res_node *const *nodes, size_t n);
const struct err *res_add_auth_difference(struct res *r, struct res_list *full);
const struct err *res_add_conflicted_subgraph(struct res *r, struct res_list *full);

/* state_res_order.c. Both sort in place; nodes on a cycle are dropped. */
void res_order_by_power(struct res *r, struct res_list *list);
const struct err *res_order_by_mainline(struct res *r, struct res_list *list);

/* state_res_v1.c, state_res_v2.c: leave the outcome in the slots. */
const struct err *res_resolve_v1(struct res *r);
const struct err *res_resolve_v2(struct res *r);

#endif
