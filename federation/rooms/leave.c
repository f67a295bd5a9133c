/* Rejects invites to rooms that we are not in, and withdraws knocks on them (server-server-api,
 * "Leaving Rooms (Rejecting Invites)"). */
#include "federation/rooms/leave.h"
#include "rooms/rooms.h"

#include "base/clock.h"
#include "federation/federation.h"
#include "federation/peer/candidates.h"
#include "federation/room_tasks.h"
#include "federation/rooms/handshake.h"
#include "rooms/accept/remote_join.h"
#include "rooms/room_cache.h"
#include "storage/db/intern.h"
#include "storage/rooms/events.h"
#include "storage/servers/pending_leaves.h"

enum { LEAVE_TIME_MS = 25 * 1000, SEND_TIMEOUT_MS = 20 * 1000 };
/* After that the leave is not sent any more. */
static const int64_t send_for_ms = INT64_C(30) * 24 * 3600 * 1000;

/* ---- the handshake ---- */

static const struct err *put_leave(const struct handshake *h, int api_version)
{
    struct fed_request r = {.server = h->server,
                            .method = PUT,
                            .path = handshake_send_path(h, api_version, ""),
                            .raw_body = h->event->json,
                            .timeout_ms = SEND_TIMEOUT_MS,
                            .now = true,
                            .no_tree = true}; /* version 1 answers with an array */
    struct fed_reply reply;
    return federation_request(h->job, &r, &reply);
}

static const struct err *leave_through(void *ctx, const char *server)
{
    struct handshake *h = ctx;
    h->server = server;
    TRY(handshake_make(h));
    const struct err *e = put_leave(h, 2);
    return e && handshake_lacks_v2(h->version, e) ? put_leave(h, 1) : e;
}

/* ---- for our user ---- */

static const struct err *leave_note(struct job *job, const struct room *room,
                                    const struct event *event)
{
    return room_note_membership(
        job,
        &(struct room_note){.version = room->version, .room_id = room->room_id, .event = event});
}

/* No server made a template, so the event follows the one that it answers: the invite or knock. No
 * other server ever sees it. */
static const struct err *make_alone(struct job *job, const struct room *room,
                                    const struct author *author, const json_t *content,
                                    const struct event *before, const struct event **ret)
{
    const char *const follows[] = {before->event_id};
    struct event_template t = {.room_id = room->room_id,
                               .type = "m.room.member",
                               .sender = author->user_id,
                               .state_key = author->user_id,
                               .content = str_of(json_write(job->arena, content)),
                               .origin_server_ts = now_ms(),
                               .depth = before->depth + 1,
                               .prev_events = follows,
                               .prev_n = 1,
                               .auth_events = follows,
                               .auth_n = 1};
    struct event *made;
    TRY(event_build(room->version, &t, job->config->server_name, &job->keys->current, &made));
    *ret = event_keep(job->arena, made);
    return NULL;
}

static const struct err *leave_alone(struct job *job, struct room *room,
                                     const struct author *author, const json_t *content)
{
    struct room_member member = room_member(room, author->user);
    const struct stored_event *before;
    const struct event *event;
    TRY(events_get(job_tx(job), member.position, &before));
    if (!before)
        return err_internal("the member event of %s in %s is missing", author->user_id,
                            room->room_id);
    TRY(make_alone(job, room, author, content, before->event, &event));
    return leave_note(job, room, event);
}

static void leave_send_later(struct federation *f, int64_t room, int64_t user);

/* First the row, then the leave: the leave is sent late rather than never. */
static const struct err *leave_pending(struct job *job, struct room *room,
                                       const struct author *author, const json_t *content,
                                       const struct candidates *c)
{
    TRY(pending_leaves_add(job_tx(job), room->id, author->user, json_text(content, "reason"),
                           c->servers, c->n));
    TRY(leave_alone(job, room, author, content));
    if (job->federation) /* after a command the server sends it at its next start */
        leave_send_later(job->federation, room->id, author->user);
    return NULL;
}

static json_t *content_of(struct job *job, const json_t *given)
{
    json_t *content = json_keep(job->arena, given ? json_copy((json_t *)given) : json_object());
    json_object_set_new(content, "membership", json_string("leave"));
    return content;
}

static const struct err *leave_through_servers(struct job *job, struct room *room,
                                               const struct author *author, const json_t *content)
{
    struct candidates c;
    struct handshake h = {.job = job,
                          .room_id = room->room_id,
                          .author = author,
                          .membership = MEMBERSHIP_LEAVE,
                          .content = content};
    TRY(candidates_find(job, room->room_id, author->user_id, NULL, &c));
    const struct err *e = candidates_ask(&c, LEAVE_TIME_MS, leave_through, &h);
    if (!e)
        return leave_note(job, room, h.event);
    if (e->code == ERR_INTERNAL || e->code == ERR_UNAVAILABLE)
        return e;
    /* If a server has refused the leave, it need not be sent later. */
    return c.n && candidate_was_away(e) ? leave_pending(job, room, author, content, &c)
                                        : leave_alone(job, room, author, content);
}

const struct err *federation_leave(struct job *job, const char *room_id,
                                   const struct author *author, const json_t *content)
{
    struct room *room;
    TRY(room_get(job, room_id, &room));
    switch (room_membership(room, author->user)) {
    case MEMBERSHIP_INVITE:
    case MEMBERSHIP_KNOCK:
        return leave_through_servers(job, room, author, content_of(job, content));
    case MEMBERSHIP_LEAVE:
        return NULL;
    default:
        return err(ERR_FORBIDDEN, "You are not in the room");
    }
}

const struct err *federation_leave_unattended(struct job *job, struct room *room,
                                              const struct author *author)
{
    struct candidates c;
    TRY(candidates_find(job, room->room_id, author->user_id, NULL, &c));
    return leave_pending(job, room, author, content_of(job, NULL), &c);
}

/* ---- sending it later ---- */

static const struct err *leave_send(struct job *job, struct room *room, const struct author *author,
                                    const struct pending_leave *absent)
{
    struct candidates c;
    const char **servers = arena_alloc_array(job->arena, absent->servers_n + 1, sizeof *servers);
    for (size_t i = 0; i < absent->servers_n; i++)
        servers[i] = absent->servers[i].p;
    json_t *content = content_of(job, NULL);
    if (absent->reason)
        json_object_set_new(content, "reason", json_string(absent->reason));
    struct handshake h = {.job = job,
                          .room_id = room->room_id,
                          .author = author,
                          .membership = MEMBERSHIP_LEAVE,
                          .content = content};
    TRY(candidates_find(job, room->room_id, author->user_id,
                        &(struct via){.servers = servers, .n = absent->servers_n}, &c));
    return candidates_ask(&c, LEAVE_TIME_MS, leave_through, &h);
}

/* Done once a server has accepted or refused it, the user is in the room again, or it is too
 * old. */
static const struct err *leave_send_task(struct job *job, int64_t room_id, int64_t user,
                                         bool *ret_done)
{
    const struct pending_leave *absent;
    struct room *room;
    struct author author = {.user = user};
    TRY(pending_leaves_get(job_tx(job), room_id, user, &absent));
    TRY(room_get_by_id(job, room_id, &room));
    *ret_done = !absent;
    if (*ret_done)
        return NULL;
    TRY(intern_name(job->storage->intern, INTERN_USER, user, &author.user_id));
    const struct err *e = NULL;
    if (room && room_membership(room, user) == MEMBERSHIP_LEAVE &&
        now_ms() - absent->since_ts < send_for_ms)
        e = leave_send(job, room, &author, absent);
    if (e && (candidate_was_away(e) || e->code == ERR_INTERNAL || e->code == ERR_UNAVAILABLE))
        return e;
    TRY(pending_leaves_remove(job_tx(job), room_id, user));
    *ret_done = true;
    return NULL;
}

static void leave_send_later(struct federation *f, int64_t room, int64_t user)
{
    room_tasks_add(f, ROOM_TASK_LEAVE, room, user);
}

static const struct err *leave_find_interrupted(struct job *job)
{
    const struct pending_leave *leaves;
    size_t n;
    TRY(pending_leaves_list(job_tx(job), &leaves, &n));
    for (size_t i = 0; i < n; i++)
        if (room_tasks_are_ours(job->federation, leaves[i].room))
            task_add(job->federation->leaves, leaves[i].room, leaves[i].user);
    return NULL;
}

const struct err *leave_task(struct job *job, int64_t room, int64_t user, bool *ret_done)
{
    *ret_done = true;
    return room ? leave_send_task(job, room, user, ret_done) : leave_find_interrupted(job);
}
