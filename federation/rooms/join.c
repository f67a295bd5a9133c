/* Joins a room through a resident server (server-server-api, "Joining Rooms"). */
#include "federation/rooms/join.h"

#include "base/clock.h"
#include "federation/federation.h"
#include "federation/in/inbound_internal.h"
#include "federation/keyed_lock.h"
#include "federation/peer/answers.h"
#include "federation/peer/candidates.h"
#include "federation/peer/reply_file.h"
#include "federation/room_tasks.h"
#include "federation/rooms/handshake.h"
#include "federation/rooms/resync.h"
#include "federation/rooms/state_reply.h"
#include "matrix/json_scan.h"
#include "rooms/accept/accept.h"
#include "rooms/accept/outliers.h"
#include "rooms/accept/remote_join.h"
#include "rooms/accept/resync.h"
#include "rooms/room_cache.h"
#include "rooms/write/membership.h"
#include "storage/db/committer.h"
#include "storage/nodes/follower.h"
#include "storage/servers/joins.h"

#include <time.h>

enum {
    LARGE_WAIT_MS = 30 * 1000,
    JOIN_TIME_MS = 120 * 1000,
    WAIT_FOR_OTHER_MS = 150 * 1000,
    LOOK_EVERY_MS = 100,
    REPLY_MAX = 256 * 1024 * 1024 /* the state of the largest rooms, in a file */
};

struct join {
    struct job *job;
    struct handshake hand;
    struct room *resident_in; /* set if we are in the room, but none of our users may authorise: */
    struct err no_authorisation;
};

/* The id of this node. */
static int64_t join_node(const struct job *job)
{
    return committer_view(job->storage->committer)->node;
}

/* ---- send_join ---- */

static const struct err *put_join(const struct join *j, int api_version, struct str *ret)
{
    const struct handshake *h = &j->hand;
    /* A server in the room has the members already; version 1 cannot omit them. */
    const char *query = j->resident_in || api_version == 1 ? "" : "?omit_members=true";
    struct fed_request r = {.server = h->server,
                            .method = PUT,
                            .path = handshake_send_path(h, api_version, query),
                            .raw_body = pdu_bytes(h->event),
                            .timeout_ms = HANDSHAKE_SEND_TIMEOUT_MS,
                            .reply_max = REPLY_MAX,
                            .now = true};
    return federation_request_file(j->job, &r, ret);
}

/* The reply of version 1 is [200, {…}]. */
static struct str second_of(struct str array)
{
    struct json_member m = {0};
    size_t pos = 0, n = 0;
    while (n < 2 && json_scan_next(array, &pos, &m))
        n++;
    return n == 2 && m.value.p[0] == '{' ? m.value : STR("{}");
}

static const struct err *send_join(const struct join *j, struct state_reply *ret)
{
    struct str reply;
    const struct err *e = put_join(j, 2, &reply);
    if (e && handshake_lacks_v2(j->hand.version, e))
        e = put_join(j, 1, &reply);
    TRY(e);
    reply = str_trim(reply, " \t\r\n");
    if (reply.n && reply.p[0] == '[')
        reply = second_of(reply);
    if (!reply.n || reply.p[0] != '{')
        return err(ERR_BAD_JSON, "The reply to send_join is not an object");
    return state_reply_read(j->job, reply, "state", ret);
}

/* The event as others receive it: ours, possibly with the authorising server's signature. */
static const struct err *read_join_event(const struct join *j, const struct state_reply *remote,
                                         const struct event **ret)
{
    const struct handshake *h = &j->hand;
    bool signed_event = remote->event.p && remote->event.p[0] == '{';
    struct pdu pdu = {.raw = h->is_authorised_by_us && signed_event ? remote->event
                                                                    : pdu_bytes(h->event)};
    TRY(pdu_read(j->job, h->version, h->room_id, &pdu, 1));
    if (!pdu.event)
        return err(ERR_BAD_STATUS, "The join is not signed correctly: %s", pdu.refused.text);
    if (strcmp(pdu.event->event_id, h->event->event_id) != 0 ||
        !str_eq(pdu.event->content, h->event->content))
        return err(ERR_BAD_STATUS, "The server changed the join event");
    *ret = pdu.event;
    return NULL;
}

/* ---- storing the join ---- */

/* The servers in the room while its members are unknown: those in the reply, and the resident
 * server. */
static void join_add_servers(const struct join *j, const struct state_reply *remote,
                             struct remote_join *entry)
{
    const char **all = arena_alloc_array(j->job->arena, remote->servers_n + 1, sizeof *all);
    size_t n = 0;
    all[n++] = j->hand.server;
    for (size_t i = 0; i < remote->servers_n; i++)
        if (strcmp(remote->servers[i], j->hand.server) != 0)
            all[n++] = remote->servers[i];
    entry->servers = all;
    entry->servers_n = n;
}

static const struct err *enter(const struct join *j, const struct state_reply *remote,
                               const struct received_state *state, const struct event *event)
{
    const struct handshake *h = &j->hand;
    struct remote_join entry = {.version = h->version,
                                .room_id = h->room_id,
                                .remote = *state,
                                .join = event,
                                .is_partial = remote->members_omitted,
                                .resident = h->server,
                                .node = join_node(j->job)};
    struct room *room;
    if (entry.is_partial)
        join_add_servers(j, remote, &entry);
    TRY(room_join_remote(j->job, &entry, &room));
    if (room_is_partial(room) && (entry.is_partial || room_resync(j->job, room, state)))
        resync_room_later(j->job->federation, room->id);
    return NULL;
}

static const struct err *join_accept_one(const struct join *j, const struct incoming *in,
                                         struct accept_outcome *ret)
{
    TRY(inbound_accept(j->job, j->resident_in, in, LARGE_WAIT_MS, ret));
    inbound_event_concluded(inbound_of(j->job), in->event, ret);
    if (ret->verdict == VERDICT_REJECTED || ret->verdict == VERDICT_SOFT_FAILED)
        return err(ERR_FORBIDDEN, "%s", ret->reason);
    return NULL;
}

/* If we are in the room already, the join is accepted like any other event, wherever the other
 * server put it in the graph. */
static const struct err *accept(const struct join *j, const struct received_state *state,
                                const struct event *event)
{
    struct incoming in = {.event = event};
    struct accept_outcome outcome;
    TRY(join_accept_one(j, &in, &outcome));
    if (outcome.verdict != VERDICT_MISSING)
        return NULL;
    const char **ids = arena_alloc_array(j->job->arena, state->state_n + 1, sizeof *ids);
    for (size_t i = 0; i < state->state_n; i++)
        ids[i] = state->state[i]->event_id;
    TRY(outliers_store(j->job, j->resident_in, state->auth_chain, state->auth_n, NULL, NULL));
    TRY(outliers_store(j->job, j->resident_in, state->state, state->state_n, NULL, NULL));
    in.state_ids = ids;
    in.state_n = state->state_n;
    TRY(join_accept_one(j, &in, &outcome));
    return outcome.verdict == VERDICT_MISSING
               ? err(ERR_BAD_STATUS, "%s did not send the whole state of the room", j->hand.server)
               : NULL;
}

static const struct err *join_through(void *ctx, const char *server)
{
    struct join *j = ctx;
    struct state_reply remote;
    struct received_state state;
    const struct event *event;
    j->hand.server = server;
    TRY(handshake_make(&j->hand));
    TRY(send_join(j, &remote));
    TRY(state_reply_check(j->job, j->hand.version, j->hand.room_id, &remote, &state));
    TRY(read_join_event(j, &remote, &event));
    if (remote.members_omitted)
        state_reply_add_cited_members(j->job->arena, event, &state);
    return j->resident_in ? accept(j, &state, event) : enter(j, &remote, &state, event);
}

/* ---- one at a time ---- */

static const struct err *join_locally(struct job *job, struct room *room,
                                      const struct author *author, const json_t *content,
                                      const char **ret_event_id)
{
    struct member_change change = {
        .action = MEMBER_JOIN, .target = author->user_id, .content = content};
    return membership_change(job, room, author, &change, ret_event_id);
}

/* Another of our users may have joined while we waited. ret_done: the user is in the room. */
static const struct err *look_again(struct join *j, const char **ret_event_id, bool *ret_done)
{
    struct room *room;
    *ret_done = false;
    TRY(room_find(j->job, j->hand.room_id, &room));
    if (!room || !room_is_resident(room))
        return NULL;
    const struct err *e = join_locally(j->job, room, j->hand.author, j->hand.content, ret_event_id);
    if (e && e->code == ERR_UNABLE_TO_GRANT_JOIN) {
        j->resident_in = room;
        j->no_authorisation = *e;
        return NULL;
    }
    *ret_done = !e;
    return e;
}

static const struct err *join_locked(struct join *j, const struct via *via,
                                     const char **ret_event_id)
{
    struct candidates candidates;
    bool done;
    TRY(look_again(j, ret_event_id, &done));
    if (done)
        return NULL;
    TRY(candidates_find(j->job, j->hand.room_id, j->hand.author->user_id, via, &candidates));
    if (j->resident_in && !candidates.n)
        return err_copy(&j->no_authorisation);
    const struct err *e = candidates_ask(&candidates, JOIN_TIME_MS, join_through, j);
    /* Cached answers about the room may be wrong, or were given to a server outside the room. */
    for (size_t i = 0; i < candidates.n; i++)
        answers_forget(j->job->federation->answers, candidates.servers[i]);
    TRY(e);
    *ret_event_id = j->hand.event->event_id;
    return NULL;
}

static const struct err *join_still_under_way(void)
{
    return err(ERR_CONNECTION_TIMEOUT, "Another user is still joining the room; try again");
}

/* Waits for other nodes. Afterwards this one sees what they have stored. */
static const struct err *join_take(struct job *job, const char *room_id, int64_t deadline_mono_ms)
{
    for (bool taken = false;;) {
        TRY(joins_take(job_tx(job), room_id, join_node(job), &taken));
        if (taken)
            return follower_barrier(job->storage->follower);
        if (mono_ms() > deadline_mono_ms || atomic_load(&job->federation->is_draining))
            return join_still_under_way();
        nanosleep(&(struct timespec){.tv_nsec = LOOK_EVERY_MS * 1000000L}, NULL);
    }
}

static const struct err *join_give_back(struct job *job, const char *room_id, bool was_taken)
{
    TRY(joins_end(job_tx(job), room_id, join_node(job)));
    return was_taken ? inbound_take_early(job, room_id) : NULL;
}

/* The lock is held. *ret_rest: something is left to the task of such joins. */
static const struct err *join_alone(struct join *j, const struct via *via, int64_t deadline_mono_ms,
                                    const char **ret_event_id, bool *ret_rest)
{
    struct err failed;
    const struct err *e = join_take(j->job, j->hand.room_id, deadline_mono_ms);
    bool was_taken = !e;
    if (!e)
        e = join_locked(j, via, ret_event_id);
    if (e)
        failed = *e; /* its place may be used again */
    *ret_rest = join_give_back(j->job, j->hand.room_id, was_taken) != NULL;
    return e ? err_copy(&failed) : NULL;
}

const struct err *federation_join(struct job *job, const char *room_id, const struct via *via,
                                  const struct author *author, const json_t *content,
                                  const char **ret_event_id)
{
    struct keyed_lock *locks = job->federation->joins;
    int64_t deadline = mono_ms() + WAIT_FOR_OTHER_MS;
    struct join j = {.job = job,
                     .hand = {.job = job,
                              .room_id = room_id,
                              .author = author,
                              .membership = MEMBERSHIP_JOIN,
                              .content = content,
                              .not_again = via->not_again}};
    if (!keyed_lock_take(locks, room_id, author->user_id, deadline))
        return join_still_under_way();
    bool rest;
    const struct err *e = join_alone(&j, via, deadline, ret_event_id, &rest);
    keyed_lock_release(locks, room_id);
    if (rest)
        task_add(job->federation->early, 0, 0);
    return e;
}

/* Joins that have ended here, as when the database was away. */
static const struct err *join_end_own(struct job *job)
{
    struct keyed_lock *locks = job->federation->joins;
    const char *const *room_ids;
    const struct err *failed = NULL;
    size_t n;
    TRY(joins_of_node(job_tx(job), join_node(job), &room_ids, &n));
    for (size_t i = 0; i < n; i++) {
        if (!keyed_lock_take(locks, room_ids[i], "", mono_ms()))
            continue;
        const struct err *e = joins_end(job_tx(job), room_ids[i], join_node(job));
        keyed_lock_release(locks, room_ids[i]);
        failed = failed ? failed : e;
    }
    return failed;
}

const struct err *join_rest_task(struct job *job, int64_t unused_a, int64_t unused_b,
                                 bool *ret_done)
{
    TRY(joins_end_gone(job_tx(job)));
    TRY(join_end_own(job));
    TRY(inbound_take_all_early(job));
    *ret_done = true;
    return NULL;
}

bool federation_join_is_under_way(struct job *job, const char *room_id)
{
    return keyed_lock_is_taken(job->federation->joins, room_id);
}
