/* Tasks (federation/tasks.h) about rooms: each is done by the node that holds the lease of the
 * room's slice ("fed_rooms"). A node that notes a task for another one notifies it. The database
 * has all of them, so what a node did not hear of is found there: when it takes a slice, and when
 * nodes come or go. */
#ifndef FEDERATION_ROOM_TASKS_H
#define FEDERATION_ROOM_TASKS_H

#include "federation/federation.h"
#include "federation/tasks.h"

#define ROOM_TASKS_CHANNEL "concorde_task"

enum room_task { ROOM_TASK_RESYNC, ROOM_TASK_LEAVE, ROOM_TASK_GAPS, ROOM_TASK_EARLY, ROOM_TASKS };

/* Do other nodes live? */
bool room_tasks_has_others(const struct node *node);
/* Does this node do the tasks of the room? */
bool room_tasks_are_ours(const struct federation *f, int64_t room);
/* What the task needs to know is stored. If the room is another node's, that one is notified. */
void room_tasks_add(struct federation *f, enum room_task kind, int64_t room, int64_t other);
/* A follower_channel of ROOM_TASKS_CHANNEL. */
void room_tasks_on_notify(void *federation, const char *payload);
/* Looks in the database for all that is to be done. Must not block. */
void room_tasks_look(struct federation *f); /* NULL-safe */

#endif
