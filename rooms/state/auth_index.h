/* The auth events of a room as a graph of numbers (matrix/auth/auth_graph.h), for state resolution.
 * The numbers are in the database (storage/rooms/auth_nodes.h): assigned when a fork first needs
 * them, and extended when the state changes. Those that were read stay in memory from one event of
 * a fork to the next, with their events (base/cache.h).
 *
 * One job at a time has a room's index, and keeps other writers of the room out (rooms/writer.h).
 */
#ifndef ROOMS_STATE_AUTH_INDEX_H
#define ROOMS_STATE_AUTH_INDEX_H

#include "base/cache.h"
#include "matrix/auth/auth_graph.h"
#include "rooms/state/lookup.h"

struct change;

struct auth_indexes;
struct auth_indexes *auth_indexes_create(struct node *node);
void auth_indexes_destroy(struct auth_indexes *all);
void auth_indexes_on_changes(void *all, const struct change *changes,
                             size_t n); /* a listener (storage/db/feed.h) */
/* Drops what is cached of the room, or of that event. */
void auth_indexes_forget(struct auth_indexes *all, int64_t room);
void auth_indexes_forget_event(struct auth_indexes *all, int64_t room, const char *event_id);

struct auth_index {
    struct cache_entry entry;
    struct auth_graph graph; /* for its CURRENT nodes see auth_index_find */
    struct job *job;         /* the user of the index */
    struct room *room;
    struct lookup *lookup; /* finds events that are not stored yet */
    /* The rest is for auth_index*.c. */
    int64_t room_id;
    uint32_t stored_n; /* nodes above this one are only in memory, ... */
    uint32_t known_n;  /* ... and above this one only for this job: their events are not stored */
    int64_t state_position;       /* of the state that the CURRENT nodes represent; -1: none */
    bool lacks;                   /* some node lacks auth events */
    bool has_all_numbers;         /* events that are not in `numbers` have no node */
    struct map numbers;           /* event id as bytes -> struct auth_number */
    struct map extra;             /* the same for nodes above known_n, in the job's arena */
    struct map events;            /* event id -> struct auth_index_event */
    struct map by_node;           /* node -> the same */
    struct auth_number **pending; /* nodes above stored_n up to known_n, in order */
    size_t numbers_bytes, events_bytes;
    uint64_t epoch; /* of the cache when it was taken or made */
};

/* Opens the room's index. Follow with auth_index_find, and with auth_index_close. */
const struct err *auth_index_open(struct job *job, struct room *room, struct lookup *lookup,
                                  struct auth_index **ret);
/* is_good: nothing failed, so the index can be kept. */
void auth_index_close(struct auth_index *x, bool is_good);

/* The nodes of these events; 0 if the event is not stored. From the first call on the CURRENT nodes
 * are the room's current state. */
const struct err *auth_index_find(struct auth_index *x, const char *const *ids, size_t n,
                                  uint32_t *ret);
/* The ids of these nodes, whose events are then known to auth_index_event and the lookup. */
const struct err *auth_index_ids(struct auth_index *x, const uint32_t *nodes, size_t n,
                                 const char *const **ret, size_t *ret_n);

/* An event that was read before; NULL: it was not. Valid until the index is closed. */
const struct event *auth_index_event(struct auth_index *x, const char *id, bool *ret_rejected);
void auth_index_keep(struct auth_index *x, const struct known_event *e, uint32_t node); /* 0: ? */

/* ---- between auth_index.c and auth_index_find.c ---- */

struct auth_number {
    uint32_t node;
    uint32_t n; /* of the id */
    bool is_power;
    char id[];
};
struct auth_number *auth_index_remember(struct auth_index *x, struct str id, uint32_t node,
                                        bool is_power);
struct auth_index_event {
    const struct event *event; /* owned reference */
    uint32_t node;
    bool rejected;
};

#endif
