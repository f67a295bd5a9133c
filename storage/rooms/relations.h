/* relations: which events relate to which. Written with the event (storage/rooms/events.h). */
#ifndef STORAGE_ROOMS_RELATIONS_H
#define STORAGE_ROOMS_RELATIONS_H

#include "storage/rooms/events.h"

/* Has this user annotated that event with that key, by an event of that type? */
const struct err *relations_has_annotation(struct tx *tx, const struct room_version *v,
                                           const struct relation *r, const char *sender,
                                           const char *type, bool *ret);

/* Children of these rel_types (by_rel_type) and of these senders (by_sender), together. */
struct relations_match {
    bool by_rel_type, by_sender;
    const char *const *rel_types;
    size_t rel_types_n;
    const char *const *senders; /* user ids */
    size_t senders_n;
};
/* Sets ret[i] when the event at positions[i] has such a child. */
const struct err *relations_find_parents(struct tx *tx, const int64_t *positions, size_t n,
                                         const struct relations_match *match, bool *ret);

/* The children of an event, and with depth > 1 their children. */
struct relations_range {
    struct str parent;    /* event id as stored */
    const char *rel_type; /* NULL: any */
    int64_t type;         /* event_types.id; 0: any */
    int64_t depth;        /* 1: only direct children */
};
/* Those at positions from < position <= to, newest first or oldest first. */
const struct err *relations_page(struct tx *tx, int64_t room, const struct relations_range *range,
                                 int64_t from, int64_t to, bool newest_first, int64_t limit,
                                 const struct stored_event **ret, size_t *ret_n);

/* A thread: its root, and the position of its latest event. */
struct thread_row {
    int64_t latest;
    struct stored_event root;
};
/* The threads of a room whose latest event is at `to` or before, the most recently used first. Only
 * those that this user took part in, when participant is not 0. */
const struct err *threads_page(struct tx *tx, int64_t room, int64_t to, int64_t participant,
                               int64_t limit, const struct thread_row **ret, size_t *ret_n);

/* ---- bundled aggregations (rooms/read/aggregate.h) ---- */

/* Which children count. */
struct children_query {
    const int64_t *parents; /* positions */
    size_t parents_n;
    int64_t up_to;          /* children at later positions do not count */
    int64_t user;           /* whose participation in threads is looked up */
    const int64_t *ignored; /* users.id: senders whose children do not count */
    size_t ignored_n;
};

/* An m.replace of the same sender and type as its parent. */
struct event_edit {
    int64_t parent; /* position */
    struct stored_event event;
};

struct reference {
    int64_t parent, position;
    const char *event_id;
};

struct thread_summary {
    int64_t root, latest; /* positions */
    int64_t count;
    bool took_part; /* the user sent one of its events */
};

struct children {
    const struct event_edit *edits; /* of each parent the newest EDITS_MAX */
    size_t edits_n;
    const struct reference *references; /* of each parent the first REFERENCES_MAX, in order */
    size_t references_n;
    const struct thread_summary *threads;
    size_t threads_n;
    const struct stored_event *events; /* relations_of_latest: the parents themselves */
    size_t events_n;
};

enum { EDITS_MAX = 20, REFERENCES_MAX = 250 };

/* Edits, references and threads of the parents, in one round trip. */
const struct err *relations_of_parents(struct tx *tx, const struct children_query *q,
                                       struct children *ret);
/* The parents, which are the latest events of threads, with their edits and references, in one
 * round trip. */
const struct err *relations_of_latest(struct tx *tx, const struct children_query *q,
                                      struct children *ret);

/* The position and thread of an event's parent; position 0 if it has none that is stored. */
const struct err *relations_parent(struct tx *tx, int64_t child, int64_t *ret_position,
                                   int64_t *ret_thread);

#endif
