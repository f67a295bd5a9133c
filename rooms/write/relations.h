/* Relations between events (client-server-api, "Forming relationships between events"): what a new
 * event relates to, and whether it may. */
#ifndef ROOMS_WRITE_RELATIONS_H
#define ROOMS_WRITE_RELATIONS_H

#include "rooms/room.h"
#include "storage/rooms/events.h"

struct related {
    struct relation relation; /* parent NULL: the event relates to nothing */
    int64_t parent;           /* position of the parent; 0: not known here */
    int64_t thread;           /* position of the thread's root; 0: main timeline */
    struct str once;          /* names the annotation, of which there is to be one; p NULL: none */
};

/* What a new event relates to. Ours (is_local, with the room's lock): and whether it may.
 * M_DUPLICATE_ANNOTATION when the sender annotated the same event with the same key before;
 * M_UNKNOWN for a thread that would start at an event which is in a thread. ERR_CONFLICT: such an
 * annotation waits in the committer's queue, ret->once says which; await it and build anew. */
const struct err *relation_of_new_event(struct job *job, struct room *room, const struct event *e,
                                        bool is_local, struct related *ret);

/* Annotations that wait in the committer's queue. The database does not know of them yet. */
void annotation_queued_locked(struct room *room, struct str once);
void annotation_done(struct room *room, struct str once);
void annotation_await(struct room *room, struct str once);

#endif
