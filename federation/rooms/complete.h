/* Completing what was begun in rooms elsewhere, in the background and over restarts:
 *
 * - state that a fast join left partial: a server of the room tells the rest (/state), which is
 *   merged (rooms/accept/enter.h);
 * - leaves (rejected invites, knocks taken back) of which no server could be told then;
 * - events that came during a join and could not be processed then (not over restarts). */
#ifndef FEDERATION_ROOMS_COMPLETE_H
#define FEDERATION_ROOMS_COMPLETE_H

#include "storage/db/job.h"

struct join_completer;
struct join_completer *join_completer_create(struct store *store);
void join_completer_start(struct join_completer *c);   /* goes on with what a restart interrupted */
void join_completer_stop(struct join_completer *c);    /* NULL-safe */
void join_completer_destroy(struct join_completer *c); /* NULL-safe */

/* A server that was away is back: what waits is tried at once. NULL-safe. */
void join_completer_hurry(struct join_completer *c);

/* The room's state is partial. */
void join_completer_add(struct join_completer *c, int64_t room);
/* The user's leave is kept in untold_leaves (storage/servers/untold_leaves.h). */
void join_completer_add_leave(struct join_completer *c, int64_t room, int64_t user);
/* Early PDUs were put back (federation/in/early_pdus.h). */
void join_completer_add_early(struct join_completer *c);

#endif
