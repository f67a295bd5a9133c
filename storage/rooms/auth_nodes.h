/* The graph of auth events of a room by number (schema/0100-auth-nodes.sql). Rows are derived from
 * the events. Callers that write keep other writers of the room out. */
#ifndef STORAGE_ROOMS_AUTH_NODES_H
#define STORAGE_ROOMS_AUTH_NODES_H

#include "storage/rooms/events.h"

/* Event ids are bytes as in events.event_id; what is returned is in the arena. */
struct auth_node_row {
    struct str event_id;
    uint32_t node; /* 0: it has no row */
    bool is_power;
    /* Only when it has no row: */
    bool is_stored;         /* the event is stored */
    const struct str *auth; /* ids of its auth events */
    size_t auth_n;
};

/* The newest node; 0: none. ret_lack: some rows lack events; ret_came: some of those are stored
 * now. */
const struct err *auth_nodes_newest(struct tx *tx, int64_t room, uint32_t *ret, bool *ret_lack,
                                    bool *ret_came);

/* These events, and those in their auth chains up to events that have rows: at most `limit`. There
 * may be more when ret_n is `limit`. */
const struct err *auth_nodes_find(struct tx *tx, int64_t room, const struct room_version *v,
                                  const struct str *ids, size_t n, size_t limit,
                                  const struct auth_node_row **ret, size_t *ret_n);

/* All events that ever were current state of the room, with or without rows: at most `limit`, after
 * the place `after` (all zero: from the beginning), which advances. This is much cheaper for many
 * events than auth_nodes_find. */
struct auth_history_place {
    int64_t valid_from, event;
};
const struct err *auth_nodes_history(struct tx *tx, int64_t room, const struct room_version *v,
                                     struct auth_history_place *after, size_t limit,
                                     const struct auth_node_row **ret, size_t *ret_n);

/* A row that is to be written; each cites lower nodes only. */
struct auth_node_new {
    struct str event_id;
    uint32_t node, power;
    bool is_power;
    const uint32_t *cites;
    size_t cites_n;
    const struct str *lacks;
    size_t lacks_n;
};
const struct err *auth_nodes_write(struct tx *tx, int64_t room, const struct auth_node_new *rows,
                                   size_t n);
const struct err *auth_nodes_drop(struct tx *tx, int64_t room);

/* The nodes from < node <= to, newest first. */
const struct err *auth_nodes_page(struct tx *tx, int64_t room, uint32_t from, uint32_t to,
                                  void (*each)(void *ctx, uint32_t node, const uint32_t *cites,
                                               size_t n, uint32_t power),
                                  void *ctx);

/* The events of these nodes; ret_nodes[i]: which one ret[i] is. */
const struct err *auth_nodes_events(struct tx *tx, int64_t room, const uint32_t *nodes, size_t n,
                                    const struct known_event **ret, const uint32_t **ret_nodes,
                                    size_t *ret_n);

/* Events that became or ceased to be current state after a position (-1: all that are current):
 * each once, with node 0 if it has no row. */
struct auth_node_state {
    struct str event_id;
    uint32_t node;
    bool is_current;
};
const struct err *auth_nodes_state(struct tx *tx, int64_t room, int64_t after,
                                   const struct auth_node_state **ret, size_t *ret_n);

#endif
