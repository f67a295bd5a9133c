/* Who may write to a room. Writers of one process take turns: the room's lock while they build.
 * What our own users send is built upon what still waits in the committer's queue, events and
 * state alike (rooms/ahead.h). Some writers must be alone: nothing of the room's state waits when
 * they build, and others wait (`busy`) until theirs is committed. Between processes the version of
 * the stored head decides: the loser (ERR_CONFLICT) reads the room anew and tries again. */
#ifndef ROOMS_WRITER_H
#define ROOMS_WRITER_H

#include "rooms/room.h"

enum { WRITER_ATTEMPTS = 24 };

/* Takes the room's lock for a writer that must be alone; writers of state that come later wait for
 * it, but not for the next of its kind. False: the room was dropped from the cache and must be read
 * anew; the lock is not held. */
bool writer_lock(struct room *room);
/* The same for one that builds upon what waits. with_state: it will change state. */
bool writer_lock_behind(struct room *room, bool with_state);
/* Ends room->busy. */
void writer_done(struct room *room);
/* A write that was counted in room->state_queued is over. When it failed, the room is forgotten
 * first: nothing that waits for it may take it for done. */
void writer_state_done(struct room *room);
/* Waits until as many writes of state are over. False: one of them failed, or the room was dropped.
 */
bool writer_wait_for_state(struct room *room, int64_t queued);
/* Until what others have written to the room before is stored: who is alone, and asks the database
 * of it, must wait for that. Mostly nothing is on its way, and this costs nothing. */
const struct err *writer_wait_for_queue(struct job *job, struct room *room);
/* Who lost to others waits for a random while that grows, or all of them would meet again. */
void writer_back_off(int attempt);

#endif
