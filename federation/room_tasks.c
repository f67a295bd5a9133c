#include "federation/room_tasks.h"

#include "base/log.h"
#include "storage/db/committer.h"
#include "storage/nodes/follower.h"
#include "storage/nodes/lease.h"

#include <stdio.h>

static struct worker_kind *room_tasks_kind(const struct federation *f, int kind)
{
    return kind == ROOM_TASK_RESYNC  ? f->resyncs
           : kind == ROOM_TASK_LEAVE ? f->leaves
           : kind == ROOM_TASK_GAPS  ? f->old_gaps
           : kind == ROOM_TASK_EARLY ? f->early
                                     : NULL;
}

void room_tasks_look(struct federation *f)
{
    for (int i = 0; f && i < ROOM_TASKS; i++)
        task_add(room_tasks_kind(f, i), 0, 0);
}

bool room_tasks_are_ours(const struct federation *f, int64_t room)
{
    return lease_fence(f->room_lease, lease_slice_of_id(room)) != 0;
}

bool room_tasks_has_others(const struct node *node)
{
    return node->storage->follower && committer_view(node->storage->committer)->has_others;
}

void room_tasks_add(struct federation *f, enum room_task kind, int64_t room, int64_t other)
{
    char payload[64];
    if (room_tasks_are_ours(f, room) || !room_tasks_has_others(f->node)) {
        task_add(room_tasks_kind(f, kind), room, other);
        return;
    }
    snprintf(payload, sizeof payload, "%d %lld %lld", kind, (long long)room, (long long)other);
    const struct err *e = follower_notify(f->node->storage->follower, ROOM_TASKS_CHANNEL, payload);
    if (e && log_limited("another node has not heard of a task", LOG_FEW))
        log_err(LOG_INFO, "another node has not heard of a task; it will find it", e);
}

void room_tasks_on_notify(void *federation, const char *payload)
{
    struct federation *f = federation;
    int kind = -1;
    long long room = 0, other = 0;
    if (sscanf(payload, "%d %lld %lld", &kind, &room, &other) == 3 && room > 0 &&
        room_tasks_kind(f, kind) && room_tasks_are_ours(f, room))
        task_add(room_tasks_kind(f, kind), room, other);
}
