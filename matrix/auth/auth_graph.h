/* The auth events of a room as a graph of small numbers, and state resolution's queries on it.
 * Nodes are numbered 1 to n, each greater than those it cites: chains are walked by counting down,
 * each node once, and only as far as the answer needs. The graph does not hold the events.
 *
 * Nodes below `from` are loaded when a walk reaches them. Not thread-safe. */
#ifndef MATRIX_AUTH_AUTH_GRAPH_H
#define MATRIX_AUTH_AUTH_GRAPH_H

#include "base/arena.h"

#include <stdbool.h>
#include <stdint.h>

enum auth_node_flag {
    AUTH_NODE_CURRENT = 1,    /* in every set that is resolved: set by the owner, in any node */
    AUTH_NODE_CONFLICTED = 2, /* the others: private to the walks */
    AUTH_NODE_REACHED = 4,
    AUTH_NODE_REACHES = 8
};

struct auth_node {
    const uint32_t *cites; /* the nodes of its auth events */
    uint32_t power;        /* the node of its power levels event; 0: none */
    uint16_t cites_n;
    uint8_t flags;
};

struct auth_chunk;
struct auth_graph {
    struct auth_node *nodes; /* by number */
    uint32_t n, from, cap;   /* size of the array */
    struct auth_chunk *chunks;
    size_t bytes;
    /* Loads nodes below `from` (auth_graph_fill), at least down to this one. */
    const struct err *(*load)(struct auth_graph *g, uint32_t node);
};

/* A graph whose nodes 1 to n are not in memory yet. */
void auth_graph_init(struct auth_graph *g, uint32_t n);
void auth_graph_finish(struct auth_graph *g);
/* Adds node n + 1. power: see struct auth_node. */
uint32_t auth_graph_add(struct auth_graph *g, const uint32_t *cites, size_t cites_n,
                        uint32_t power);
/* Removes the nodes above n, which were added last. */
void auth_graph_cut(struct auth_graph *g, uint32_t n);
/* For load: adds node `from` - 1; `from` moves down with each call. */
void auth_graph_fill(struct auth_graph *g, const uint32_t *cites, size_t cites_n, uint32_t power);

/* An event of one of the sets. */
struct auth_member {
    uint32_t node, set;
};
/* rooms/v2, "Auth difference": the nodes in the chains of some sets but not of all, where the
 * events of a set count as part of its chain. Each set consists of its members and all CURRENT
 * nodes. The result leaves out the members themselves. */
const struct err *auth_graph_difference(struct auth_graph *g, struct arena *a,
                                        const struct auth_member *members, size_t n, size_t sets_n,
                                        const uint32_t **ret, size_t *ret_n);
/* rooms/v12, "Conflicted state subgraph": the nodes on a path between two of these, without these
 * themselves. */
const struct err *auth_graph_between(struct auth_graph *g, struct arena *a, const uint32_t *nodes,
                                     size_t n, const uint32_t **ret, size_t *ret_n);
/* rooms/v2, "Mainline ordering": ret[i] is where the chain of power levels that begins with
 * nodes[i] meets that of `power`, counted from there; INT64_MAX: nowhere. A node of 0 has no chain.
 */
const struct err *auth_graph_mainline(struct auth_graph *g, struct arena *a, uint32_t power,
                                      const uint32_t *nodes, size_t n, int64_t *ret);

#endif
