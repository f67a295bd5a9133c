/* relations: which events relate to which. Written with the event (storage/events.h). */
#ifndef STORAGE_RELATIONS_H
#define STORAGE_RELATIONS_H

#include "storage/events.h"

/* Has this user annotated that event with that key, by an event of that type? */
const struct err *relations_has_annotation(struct tx *tx, const struct room_version *v,
                                           const struct relation *r, const char *sender,
                                           const char *type, bool *ret);

/* ---- what is bundled with events (rooms/aggregate.h) ---------------------------------------- */

/* Which children count. */
struct children_query {
    const int64_t *parents; /* positions */
    size_t parents_n;
    int64_t up_to;          /* children at later positions do not count */
    int64_t user;           /* whose part in threads is asked for */
    const int64_t *ignored; /* users.id: whose children do not count */
    size_t ignored_n;
};

/* An m.replace of the same sender and type as its parent. */
struct edit {
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
    const struct edit *edits; /* of each parent the newest EDITS_MAX */
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

#endif
