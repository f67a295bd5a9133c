#include "federation/rooms/resync.h"

#include "base/log.h"
#include "federation/peer/path.h"
#include "federation/peer/reply_file.h"
#include "federation/room_tasks.h"
#include "federation/rooms/state_reply.h"
#include "rooms/accept/resync.h"
#include "rooms/room_cache.h"
#include "storage/rooms/partial_rooms.h"

enum {
    REPLY_MAX = 256 * 1024 * 1024,
    STATE_TIMEOUT_MS = 5 * 60 * 1000,
    ASK_MAX = 8 /* servers for each try */
};

/* ---- partial state ---- */

/* The whole state before our join, in one reply: for thousands of members that is far faster than
 * event by event. */
static const struct err *ask_for_state(struct job *job, const struct partial_room *p,
                                       struct room *room, const char *server,
                                       struct received_state *ret)
{
    struct fed_request r = {.server = server,
                            .method = GET,
                            .path = federation_path(job->arena,
                                                    "/_matrix/federation/v1/state/%s?event_id=%s",
                                                    p->room_id, p->join_event_id),
                            .timeout_ms = STATE_TIMEOUT_MS,
                            .reply_max = REPLY_MAX,
                            .now = true};
    struct str reply;
    struct state_reply reply_state;
    TRY(federation_request_file(job, &r, &reply));
    TRY(state_reply_read(job, reply, "pdus", &reply_state));
    return state_reply_check(job, room->version, p->room_id, &reply_state, ret);
}

/* In an arena of its own: the state of a large room is many megabytes. */
static const struct err *complete_from(struct job *job, const struct partial_room *p,
                                       struct room *room, const char *server)
{
    struct arena *outer = job->arena;
    arena_auto struct arena *a = arena_create();
    struct received_state reply_state;
    job_use_arena(job, a);
    const struct err *e = ask_for_state(job, p, room, server, &reply_state);
    if (!e)
        e = room_resync(job, room, &reply_state);
    job_use_arena(job, outer);
    return e;
}

/* Asks the resident server of our join first, then the others that it named. */
static const struct err *complete_room(struct job *job, int64_t id, bool *ret_done)
{
    const struct partial_room *p;
    struct room *room;
    TRY(partial_room_get(job_tx(job), id, &p));
    TRY(room_get_by_id(job, id, &room));
    *ret_done = !p || !room || !room_is_partial(room);
    if (*ret_done)
        return NULL;
    const struct config *config = job->config;
    const struct err *e = p->resident ? complete_from(job, p, room, p->resident)
                                      : err(ERR_NOT_FOUND, "no server of the room is known");
    for (size_t i = 0; e && i < p->servers_n && i < ASK_MAX; i++) {
        const char *server = p->servers[i];
        if (worker_is_stopping(job->federation->resyncs))
            return e;
        if ((p->resident && strcmp(server, p->resident) == 0) ||
            !federation_may_contact(config, server))
            continue;
        e = complete_from(job, p, room, server);
    }
    *ret_done = !e;
    if (!e && log_limited("the state of a room is complete", LOG_FEW))
        log_info("%s: the state is complete", p->room_id);
    return e;
}

/* ---- tasks ---- */

static const struct err *resync_find_interrupted(struct job *job)
{
    const struct partial_room *rooms;
    size_t n;
    TRY(rooms_partial_list(job_tx(job), &rooms, &n));
    for (size_t i = 0; i < n; i++)
        if (room_tasks_are_ours(job->federation, rooms[i].room))
            task_add(job->federation->resyncs, rooms[i].room, 0);
    return NULL;
}

const struct err *resync_task(struct job *job, int64_t room, int64_t unused, bool *ret_done)
{
    *ret_done = true;
    return room ? complete_room(job, room, ret_done) : resync_find_interrupted(job);
}

void resync_room_later(struct federation *f, int64_t room)
{
    room_tasks_add(f, ROOM_TASK_RESYNC, room, 0);
}
