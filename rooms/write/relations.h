/* Relations between events (client-server-api, "Forming relationships between events"): the parent
 * of a new event, and whether the relation is allowed. */
#ifndef ROOMS_WRITE_RELATIONS_H
#define ROOMS_WRITE_RELATIONS_H

#include "rooms/room.h"
#include "storage/rooms/events.h"

struct related {
    struct relation relation; /* parent NULL: the event relates to nothing */
    int64_t parent;           /* position of the parent; 0: not stored */
    int64_t thread;           /* position of the thread's root; 0: main timeline */
    struct str once;          /* names an annotation that may only be sent once; p NULL: none */
};

/* Finds the relation of a new event. If it is ours (is_local, with the room's lock), also checks
 * it. M_DUPLICATE_ANNOTATION if the sender annotated the same event with the same key before;
 * M_UNKNOWN for a thread whose root would be in a thread. ERR_CONFLICT: the same annotation
 * (ret->once) is in the committer's queue; await it and build again. */
const struct err *relation_of_new_event(struct job *job, struct room *room, const struct event *e,
                                        bool is_local, struct related *ret);

/* Annotations in the committer's queue, which are not in the database yet. */
void annotation_queued_locked(struct room *room, struct str once);
void annotation_done(struct room *room, struct str once);
void annotation_await(struct room *room, struct str once);

#endif
