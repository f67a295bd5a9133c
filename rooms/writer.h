/* Writers of a room. In one process the room's lock lets one build at a time. Events of our own
 * users are built on events and state that are still in the committer's queue (rooms/ahead.h). Some
 * writers need the room alone: they build when no state of the room is queued, and others wait
 * (`busy`) until theirs is committed. Between processes the version of the stored head decides: if
 * another process commits first (ERR_CONFLICT), the room is reloaded and the write retried. */
#ifndef ROOMS_WRITER_H
#define ROOMS_WRITER_H

#include "rooms/room.h"
#include "storage/db/retry.h"

/* While other nodes write to the room, too, waits for a short time after a commit of this node: so
 * the others have their turn, and writers that come meanwhile are committed together. */
void writer_await_turn(struct room *room);
/* Takes the room's lock for a writer that needs the room alone; later writers of state wait for it,
 * but not for the next of its kind. False: the room was dropped from the cache and must be
 * reloaded; the lock is not held. */
bool writer_lock(struct room *room);
/* The same for a writer that builds on queued writes. with_state: it will change state. */
bool writer_lock_behind(struct room *room, bool with_state);
/* Ends room->busy. */
void writer_done(struct room *room);
/* A write that was counted in room->state_queued has finished. If it failed, forget the room first,
 * so that no waiting writer takes it for committed. */
void writer_state_done(struct room *room);
/* Waits until so many writes of state have finished. False: one of them failed, or the room was
 * dropped. */
bool writer_wait_for_state(struct room *room, int64_t queued);
/* Waits until all earlier writes to the room are stored, for a writer that has the room alone and
 * reads it from the database. Costs nothing if none is queued, as is usual. */
const struct err *writer_wait_for_queue(struct job *job, struct room *room);
/* The error of a writer that another one came before. */
const struct err *writer_conflict(void);
/* Is *e such a conflict, and may the writer try again (storage/db/retry.h)? Then *room is the
 * reloaded room. If that fails, *e is why. */
bool writer_retry(struct retry *r, struct job *job, struct room **room, const struct err **e);

#endif
