/* The state that a decision to change a room's state is based on: may the user join, is this a kick
 * or would it lift a ban, what does the new event keep of the current one.
 *
 * Such a decision is made without the room's lock, since it may read other rooms, or query the
 * database or another server. It reads the state that new events are built on (rooms/ahead.h)
 * through the functions here, which record what they returned. When the event is built, under the
 * lock, all of that must still be true, or the decision is made again: room_decide_state in
 * rooms/write/append.h does both. */
#ifndef ROOMS_WRITE_BASIS_H
#define ROOMS_WRITE_BASIS_H

#include "rooms/write/draft.h"

struct basis_fact;

struct basis {
    struct job *job;
    struct room *room;
    bool is_committed; /* for readers: without changes in the committer's queue */
    struct basis_fact *newest;
    int64_t queued; /* the state that was read depends on so many writes of state
                       (room->state_queued) */
};

/* With the changes in the committer's queue; with committed state only. */
void basis_init(struct basis *b, struct job *job, struct room *room);
void basis_init_committed(struct basis *b, struct job *job, struct room *room);

/* The state event of that key, kept by the job's arena; NULL when there is none. */
const struct err *basis_state(struct basis *b, const char *type, const char *state_key,
                              const struct event **ret);
const struct err *basis_membership(struct basis *b, const char *user_id, enum membership *ret);
/* M_FORBIDDEN unless the user is joined. */
const struct err *basis_need_joined(struct basis *b, const char *user_id);
/* The state that power levels are read from. Valid with the job's arena. */
const struct err *basis_power(struct basis *b, struct auth_state *ret);
/* Our joined users. This is not recorded: read the membership of the one that matters, too. */
void basis_list_joined(struct basis *b, const struct room_member **ret, size_t *ret_n);

/* With the room's lock, for the draft that gets the event: is all that was read still true? */
const struct err *basis_holds(const struct basis *b, struct draft *d, bool *ret);
/* Waits until the state that was read is committed. False: that failed, or the room was dropped:
 * decide again. */
bool basis_settle(const struct basis *b);

#endif
