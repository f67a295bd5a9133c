/* Who may write to a room. Writers of one process take turns: the room's lock while they build, and
 * `busy` while a change of state is being committed. Between processes the version of the stored
 * head decides: the loser (ERR_CONFLICT) reads the room anew and tries again. */
#ifndef ROOMS_WRITER_H
#define ROOMS_WRITER_H

#include "rooms/room.h"

enum { WRITER_ATTEMPTS = 24 };

/* Takes the room's lock when no state change is in the way. False: the room was dropped from
 * the cache and must be read anew; the lock is not held. */
bool writer_lock(struct room *room);
/* Ends room->busy. */
void writer_done(struct room *room);
/* Who lost to others waits for a random while that grows, or all of them would meet again. */
void writer_back_off(int attempt);

#endif
