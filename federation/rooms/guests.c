#include "federation/rooms/guests.h"

#include "base/mem.h"
#include "federation/federation.h"
#include "federation/peer/candidates.h"
#include "federation/room_tasks.h"
#include "federation/routes/hierarchy.h"
#include "federation/users/hierarchy_ask.h"
#include "matrix/id.h"
#include "rooms/accept/remote_join.h"
#include "rooms/guests.h"
#include "rooms/room_cache.h"
#include "storage/db/feed.h"

/* ---- joining ---- */

static bool guests_is_invited(struct room *room, int64_t user)
{
    return room && room_membership(room, user) == MEMBERSHIP_INVITE;
}

/* Checked before other servers learn of the guest. If no server knows the room, an invited guest is
 * checked against its state after the join. */
static const struct err *check_summary(struct job *job, const char *room_id, const struct via *via,
                                       const struct author *author)
{
    struct candidates c;
    struct space_answer answer = {0};
    struct room *room;
    TRY(candidates_find(job, room_id, author->user_id, via, &c));
    struct space_question q = {.room_id = room_id, .servers = c.servers, .servers_n = c.n};
    if (!federation_space_known(job, &q, &answer))
        TRY(federation_ask_space(job, &q, &answer));
    TRY(room_find(job, room_id, &room));
    if (answer.room ? json_is_true(json_object_get(answer.room, "guest_can_join"))
                    : guests_is_invited(room, author->user))
        return NULL;
    return err(ERR_GUEST_ACCESS_FORBIDDEN, "Guests may not join this room");
}

const struct err *federation_join_as_guest(struct job *job, const char *room_id,
                                           const struct via *via, const struct author *author,
                                           const json_t *content, const char **ret_event_id)
{
    struct room *room;
    struct basis on;
    TRY(check_summary(job, room_id, via, author));
    TRY(federation_join(job, room_id, via, author, content, ret_event_id));
    TRY(room_get(job, room_id, &room));
    basis_init_committed(&on, job, room);
    const struct err *e = guests_check_access(&on);
    if (e && e->code == ERR_GUEST_ACCESS_FORBIDDEN)
        TRY(guests_remove_one(job, room, author));
    return e;
}

/* ---- leaving ---- */

struct guest_watch {
    struct node *node;
    struct task_kind kind;
    struct worker_kind *work;
};

static const struct err *look_at_room(struct job *job, int64_t id)
{
    struct room *room;
    TRY(room_get_by_id(job, id, &room));
    return room && room_is_resident(room) ? guests_remove(job, room) : NULL;
}

static void watch_room(struct guest_watch *g, int64_t room)
{
    task_add(g->work, room, 0);
}

/* For access that was revoked while the server was stopped, or just before. */
static const struct err *look_at_all(struct job *job)
{
    const int64_t *rooms;
    size_t n;
    TRY(members_rooms_with_guests(job_tx(job), &rooms, &n));
    for (size_t i = 0; i < n; i++)
        if (room_tasks_are_ours(job->federation, rooms[i]))
            watch_room(job->federation->guest_watch, rooms[i]);
    return NULL;
}

static const struct err *guests_task(struct job *job, int64_t room, int64_t unused, bool *ret_done)
{
    *ret_done = true;
    return room ? look_at_room(job, room) : look_at_all(job);
}

static bool may_revoke(const struct guest_watch *g, const struct change *c)
{
    if (c->local.resets_room)
        return c->room != 0;
    const struct event *e = change_any_event(c);
    return e && e->state_key && !*e->state_key && strcmp(e->type, "m.room.guest_access") == 0 &&
           (c->kind == CHANGE_STATE || !id_is_local(g->node, e->sender));
}

void guest_watch_on_changes(void *ctx, const struct change *changes, size_t n)
{
    struct guest_watch *g = ctx;
    for (size_t i = 0; i < n; i++)
        if (may_revoke(g, &changes[i]) && room_tasks_are_ours(g->node->federation, changes[i].room))
            watch_room(g, changes[i].room);
}

struct guest_watch *guest_watch_create(struct node *node, struct lease_job *lease)
{
    struct guest_watch *g = mem_zalloc(sizeof *g);
    g->node = node;
    g->kind = (struct task_kind){"removing guests", guests_task, .at_once_max = 1, .lease = lease};
    g->work = task_kind_create(node->storage->background, &g->kind);
    return g;
}

void guest_watch_look(struct guest_watch *g)
{
    task_add(g->work, 0, 0);
}

void guest_watch_start(struct guest_watch *g)
{
    guest_watch_look(g);
    worker_kind_start(g->work);
}

void guest_watch_stop(struct guest_watch *g)
{
    if (g)
        worker_kind_stop(g->work);
}

void guest_watch_destroy(struct guest_watch *g)
{
    if (!g)
        return;
    worker_kind_destroy(g->work);
    free(g);
}
