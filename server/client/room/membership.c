/* Client-server API, "Room membership". */
#include "base/clock.h"
#include "federation/rooms/guests.h"
#include "federation/rooms/knock.h"
#include "federation/rooms/third_party.h"
#include "federation/routes/query.h"
#include "federation/users/query_ask.h"
#include "matrix/id.h"
#include "rooms/accept/remote_join.h"
#include "rooms/room_cache.h"
#include "rooms/write/naming.h"
#include "server/client/room/member_change.h"
#include "server/client/shared/room_request.h"
#include "server/client/shared/room_successor.h"
#include "server/routes.h"
#include "storage/db/intern.h"
#include "users/session.h"
#include "users/users.h"

enum { LOOK_EVERY_MS = 100 };

static const struct err *unknown_room(const char *room_id)
{
    return err(ERR_NOT_FOUND, "No room %s is known to this server", room_id);
}

/* Whether the request must move to POOL_REMOTE to wait for another server. */
static bool must_move(const struct request *rq)
{
    return rq->pool != POOL_REMOTE;
}

static const struct err *read_reason(const struct request *rq, struct member_change *change)
{
    return json_want_string(rq->body, "reason", NULL, &change->reason);
}

/* ---- joining and knocking ---- */

/* The room to join: unlike in other requests, the user may not be in it yet, and the server
 * neither. */
struct place {
    const char *room_id;
    struct room *room; /* NULL: this server is not in it */
    struct via via;
    const char *alias; /* another server's alias of the room; NULL: none */
};

/* `via`, and `server_name` as it was called before v1.12. */
static void membership_read_via(const struct request *rq, struct via *ret)
{
    const char *const *via, *const *older;
    size_t n = request_query_all(rq, "via", &via);
    size_t older_n = request_query_all(rq, "server_name", &older);
    const char **all = arena_alloc_array(rq->arena, n + older_n + 1, sizeof *all);
    if (n)
        memcpy(all, via, n * sizeof *all);
    if (older_n)
        memcpy(all + n, older, older_n * sizeof *all);
    *ret = (struct via){.servers = all, .n = n + older_n};
}

/* Servers named by the alias's server follow those named by the client. */
static const struct err *membership_resolve(struct request *rq, const char *alias, struct place *p)
{
    const char *const *servers;
    size_t n;
    TRY(federation_resolve_alias(job_of(rq), alias, &p->room_id, &servers, &n));
    const char **all = arena_alloc_array(rq->arena, p->via.n + n + 1, sizeof *all);
    if (p->via.n)
        memcpy(all, p->via.servers, p->via.n * sizeof *all);
    if (n)
        memcpy(all + p->via.n, servers, n * sizeof *all);
    p->via = (struct via){.servers = all, .n = p->via.n + n};
    p->alias = alias;
    return NULL;
}

static bool is_alias_elsewhere(struct request *rq, const char *id_or_alias)
{
    return id_is_alias(str_of(id_or_alias)) && id_is_remote(job_of(rq)->node, id_or_alias);
}

static const struct err *membership_find_place(struct request *rq, const char *id_or_alias,
                                               struct place *ret)
{
    struct place p = {0};
    membership_read_via(rq, &p.via);
    if (is_alias_elsewhere(rq, id_or_alias))
        TRY(membership_resolve(rq, id_or_alias, &p));
    else
        TRY(naming_resolve(job_of(rq), id_or_alias, &p.room_id));
    bool here = false;
    TRY(room_find(job_of(rq), p.room_id, &p.room));
    if (p.room)
        TRY(member_room_is_here(job_of(rq), p.room, &here));
    if (!here)
        p.room = NULL;
    *ret = p;
    return NULL;
}

static const struct err *reply_joined(struct request *rq, struct reply *rp, const char *room_id)
{
    return reply_json(rp, 200, "{s:s}", "room_id", room_id);
}

/* Other members of a join's body become part of the event; NULL: none. */
static const json_t *spoken_content(struct request *rq)
{
    json_t *content = json_keep(rq->arena, json_copy(rq->body));
    json_object_del(content, "reason");
    json_object_del(content, "third_party_signed");
    json_object_del(content, "membership");
    json_object_del(content, "join_authorised_via_users_server"); /* only servers may set it */
    return json_object_size(content) ? content : NULL;
}

static const struct err *room_membership_make_content(struct request *rq, enum membership m,
                                                      const char *reason, const json_t *spoken,
                                                      const json_t **ret)
{
    json_t *content;
    TRY(membership_content(job_of(rq), caller_of(rq)->user_id, m, &content));
    *ret = json_keep(rq->arena, content);
    json_object_update(content, (json_t *)spoken);
    if (reason)
        json_object_set_new(content, "reason", json_string(reason));
    return NULL;
}

static const struct err *join_elsewhere(struct request *rq, struct reply *rp, const struct place *p,
                                        const char *reason)
{
    struct author author = author_of(rq);
    const json_t *content;
    const char *event_id;
    struct room *room;
    TRY(room_membership_make_content(rq, MEMBERSHIP_JOIN, reason, spoken_content(rq), &content));
    const struct err *e =
        caller_of(rq)->is_guest
            ? federation_join_as_guest(job_of(rq), p->room_id, &p->via, &author, content, &event_id)
            : federation_join(job_of(rq), p->room_id, &p->via, &author, content, &event_id);
    if (e && p->alias) /* it may name another room by now */
        federation_forget_answers(job_of(rq), p->alias);
    TRY(e);
    TRY(room_get(job_of(rq), p->room_id, &room));
    room_successor_joined(rq, room);
    return reply_joined(rq, rp, p->room_id);
}

static const struct err *join_here(struct request *rq, struct reply *rp, const struct place *p,
                                   const char *reason)
{
    struct author author = author_of(rq);
    struct member_change change = {.action = MEMBER_JOIN,
                                   .target = author.user_id,
                                   .reason = reason,
                                   .content = spoken_content(rq),
                                   .author_is_guest = caller_of(rq)->is_guest};
    const char *event_id;
    bool was_in = room_membership(p->room, author.user) == MEMBERSHIP_JOIN;
    TRY(membership_change(job_of(rq), p->room, &author, &change, &event_id));
    if (!was_in)
        room_successor_joined(rq, p->room);
    return reply_joined(rq, rp, p->room_id);
}

static bool has_waited(const struct request *rq)
{
    enum { SHORT_MS = 2000 };
    return mono_us() - rq->started_mono_us > SHORT_MS * INT64_C(1000);
}

/* While another local user joins the same room, the request is parked, so that many users who
 * follow a link to a slow server hold no workers. */
static bool must_queue(const struct request *rq, const struct place *p)
{
    enum { WAIT_MS = 120 * 1000 };
    return !p->room && !request_is_stopping(rq) &&
           mono_us() - rq->started_mono_us < WAIT_MS * INT64_C(1000) &&
           federation_join_is_under_way(rq->job, p->room_id);
}

/* The user was invited by address: the inviter's server makes it an invite for them.
 */
static const struct err *claim_invite(struct request *rq, const struct place *p,
                                      const json_t *third_party_signed)
{
    struct job *job = job_of(rq);
    const char *sender;
    TRY(json_need_string(third_party_signed, "sender", &sender));
    if (p->room && !id_is_remote(job->node, sender))
        return membership_claim_invite(job, p->room, caller_of(rq)->user_id, third_party_signed);
    return third_party_exchange(job, p->room_id, sender, caller_of(rq)->user_id,
                                third_party_signed);
}

static const struct err *read_claim(struct request *rq, const struct place *p, const json_t **ret)
{
    TRY(json_want_object(rq->body, "third_party_signed", ret));
    if (p->room && room_membership(p->room, caller_of(rq)->user) == MEMBERSHIP_JOIN)
        *ret = NULL;
    return NULL;
}

static const struct err *join(struct request *rq, struct reply *rp, const char *id_or_alias)
{
    struct place p;
    const json_t *claim;
    struct member_change spoken = {0};
    if (is_alias_elsewhere(rq, id_or_alias) && must_move(rq))
        return reply_elsewhere(rp, POOL_REMOTE);
    TRY(need_not_suspended(rq));
    TRY(membership_find_place(rq, id_or_alias, &p));
    TRY(read_claim(rq, &p, &claim));
    TRY(read_reason(rq, &spoken));
    p.via.not_again = has_waited(rq);
    if (must_queue(rq, &p))
        return reply_wait(rp, mono_ms() + LOOK_EVERY_MS);
    if ((!p.room || claim) && must_move(rq))
        return reply_elsewhere(rp, POOL_REMOTE);
    if (claim)
        TRY(claim_invite(rq, &p, claim));
    const struct err *e =
        p.room ? join_here(rq, rp, &p, spoken.reason) : join_elsewhere(rq, rp, &p, spoken.reason);
    if (!p.room || !e || e->code != ERR_UNABLE_TO_GRANT_JOIN || !room_is_resident(p.room))
        return e;
    /* No local user can authorise the join, but a user of another server in the room may. */
    return must_move(rq) ? reply_elsewhere(rp, POOL_REMOTE)
                         : join_elsewhere(rq, rp, &p, spoken.reason);
}

static const struct err *post_join(struct request *rq, struct reply *rp)
{
    return join(rq, rp, request_param(rq, "room_or_alias"));
}

static const struct err *post_room_join(struct request *rq, struct reply *rp)
{
    const char *room_id = request_param(rq, "room");
    return id_is_room(str_of(room_id)) ? join(rq, rp, room_id) : unknown_room(room_id);
}

static const struct err *knock_elsewhere(struct request *rq, const struct place *p,
                                         const char *reason)
{
    struct author author = author_of(rq);
    const json_t *content;
    TRY(room_membership_make_content(rq, MEMBERSHIP_KNOCK, reason, NULL, &content));
    return federation_knock(job_of(rq), p->room_id, &p->via, &author, content);
}

static const struct err *post_knock(struct request *rq, struct reply *rp)
{
    const char *id_or_alias = request_param(rq, "room_or_alias"), *event_id;
    struct author author = author_of(rq);
    struct member_change change = {.action = MEMBER_KNOCK, .target = author.user_id};
    struct place p;
    if (is_alias_elsewhere(rq, id_or_alias) && must_move(rq))
        return reply_elsewhere(rp, POOL_REMOTE);
    TRY(need_not_suspended(rq));
    TRY(membership_find_place(rq, id_or_alias, &p));
    TRY(read_reason(rq, &change));
    if (!p.room && must_move(rq))
        return reply_elsewhere(rp, POOL_REMOTE);
    if (p.room)
        TRY(membership_change(job_of(rq), p.room, &author, &change, &event_id));
    else
        TRY(knock_elsewhere(rq, &p, change.reason));
    return reply_joined(rq, rp, p.room_id);
}

/* ---- leaving, and changes by others ---- */

static const struct err *post_leave(struct request *rq, struct reply *rp)
{
    struct author author = author_of(rq);
    struct member_change change = {.action = MEMBER_LEAVE, .target = author.user_id};
    struct room *room;
    const char *event_id;
    TRY(room_find(job_of(rq), request_param(rq, "room"), &room));
    if (!room)
        return unknown_room(request_param(rq, "room"));
    TRY(read_reason(rq, &change));
    if (member_change_is_remote(job_of(rq), room, &change) && must_move(rq))
        return reply_elsewhere(rp, POOL_REMOTE);
    TRY(member_change_apply(job_of(rq), room, &author, &change, &event_id));
    return reply_empty(rp);
}

/* MSC4293: clients and servers then hide the user's messages. */
static const struct err *read_redact_events(struct request *rq, struct member_change *change)
{
    static const char key[] = "org.matrix.msc4293.redact_events";
    bool on;
    TRY(json_want_bool(rq->body, key, false, &on));
    if (on)
        change->content = json_keep(rq->arena, json_pack("{s:b}", key, true));
    return NULL;
}

static const struct err *change_other(struct request *rq, struct reply *rp,
                                      enum member_action action)
{
    struct author author = author_of(rq);
    struct member_change change = {.action = action};
    struct room *room;
    const char *event_id;
    TRY(need_not_suspended(rq));
    TRY(json_need_string(rq->body, "user_id", &change.target));
    TRY(read_reason(rq, &change));
    if (action == MEMBER_KICK || action == MEMBER_BAN)
        TRY(read_redact_events(rq, &change));
    TRY(room_of_request(rq, &room));
    if (member_change_is_remote(job_of(rq), room, &change) && must_move(rq))
        return reply_elsewhere(rp, POOL_REMOTE);
    TRY(member_change_apply(job_of(rq), room, &author, &change, &event_id));
    return reply_empty(rp);
}

/* The other use of this path: inviting an address through an identity server. */
static const struct err *invite_address(struct request *rq)
{
    static const char *const needed[] = {"id_server", "id_access_token", "medium", "address"};
    for (size_t i = 0; i < sizeof needed / sizeof *needed; i++) {
        const char *text;
        TRY(json_need_string(rq->body, needed[i], &text));
    }
    struct room *room;
    TRY(room_of_request(rq, &room));
    TRY(room_need_joined(room, caller_of(rq)->user));
    return membership_refuse_address();
}

static const struct err *post_invite(struct request *rq, struct reply *rp)
{
    if (!json_object_get(rq->body, "user_id") && json_object_get(rq->body, "medium"))
        return invite_address(rq);
    return change_other(rq, rp, MEMBER_INVITE);
}

static const struct err *post_kick(struct request *rq, struct reply *rp)
{
    return change_other(rq, rp, MEMBER_KICK);
}

static const struct err *post_ban(struct request *rq, struct reply *rp)
{
    return change_other(rq, rp, MEMBER_BAN);
}

static const struct err *post_unban(struct request *rq, struct reply *rp)
{
    return change_other(rq, rp, MEMBER_UNBAN);
}

/* ---- joined rooms, forgetting ---- */

static const struct err *post_forget(struct request *rq, struct reply *rp)
{
    struct job *job = job_of(rq);
    int64_t user = caller_of(rq)->user;
    struct room *room;
    TRY(room_find(job, request_param(rq, "room"), &room));
    enum membership m = room ? room_membership(room, user) : MEMBERSHIP_NONE;
    if (m == MEMBERSHIP_NONE)
        return unknown_room(request_param(rq, "room"));
    if (m != MEMBERSHIP_LEAVE && m != MEMBERSHIP_BAN)
        return err(ERR_UNKNOWN, "You must leave the room before you can forget it");
    struct write *w = write_begin(job);
    members_write_forgotten(w, room->id, user);
    TRY(write_commit(job, w, NULL));
    return reply_empty(rp);
}

static const struct err *get_joined_rooms(struct request *rq, struct reply *rp)
{
    struct job *job = job_of(rq);
    const struct member_row *rows;
    size_t n;
    TRY(members_of_user(job_tx(job), caller_of(rq)->user, &rows, &n));
    int64_t *ids = arena_alloc_array(rq->arena, n + 1, sizeof *ids);
    size_t joined = 0;
    for (size_t i = 0; i < n; i++)
        if (rows[i].membership == MEMBERSHIP_JOIN)
            ids[joined++] = rows[i].room;
    const char **names = arena_alloc_array(rq->arena, joined + 1, sizeof *names);
    TRY(intern_names(job->storage->intern, INTERN_ROOM, ids, joined, names));
    json_t *list = json_array();
    for (size_t i = 0; i < joined; i++)
        json_array_append_new(list, json_string(names[i]));
    return reply_json(rp, 200, "{s:o}", "joined_rooms", list);
}

const struct route membership_routes[] = {
    {.method = POST,
     .path = "/_matrix/client/v3/join/{room_or_alias}",
     .handler = post_join,
     .moves_to = POOL_REMOTE,
     .who = WHO_GUEST_TOO,
     .body = BODY_MAYBE,
     .rate = RATE_JOIN,
     .spec = "joining rooms"},
    {.method = POST,
     .path = "/_matrix/client/v3/rooms/{room}/join",
     .handler = post_room_join,
     .moves_to = POOL_REMOTE,
     .who = WHO_GUEST_TOO,
     .body = BODY_MAYBE,
     .rate = RATE_JOIN,
     .spec = "joining rooms"},
    {.method = POST,
     .path = "/_matrix/client/v3/knock/{room_or_alias}",
     .handler = post_knock,
     .moves_to = POOL_REMOTE,
     .who = WHO_USER,
     .body = BODY_MAYBE,
     .rate = RATE_JOIN,
     .spec = "knocking on rooms"},
    {.method = POST,
     .path = "/_matrix/client/v3/rooms/{room}/leave",
     .handler = post_leave,
     .moves_to = POOL_REMOTE,
     .who = WHO_GUEST_TOO,
     .body = BODY_MAYBE,
     .rate = RATE_MESSAGE,
     .spec = "leaving rooms"},
    {.method = POST,
     .path = "/_matrix/client/v3/rooms/{room}/forget",
     .handler = post_forget,
     .who = WHO_USER,
     .body = BODY_MAYBE,
     .rate = RATE_MESSAGE,
     .spec = "leaving rooms"},
    {.method = POST,
     .path = "/_matrix/client/v3/rooms/{room}/invite",
     .handler = post_invite,
     .moves_to = POOL_REMOTE,
     .who = WHO_USER,
     .body = BODY_JSON,
     .rate = RATE_INVITE,
     .spec = "joining rooms"},
    {.method = POST,
     .path = "/_matrix/client/v3/rooms/{room}/kick",
     .handler = post_kick,
     .who = WHO_USER,
     .body = BODY_JSON,
     .rate = RATE_MESSAGE,
     .spec = "kicking users"},
    {.method = POST,
     .path = "/_matrix/client/v3/rooms/{room}/ban",
     .handler = post_ban,
     .who = WHO_USER,
     .body = BODY_JSON,
     .rate = RATE_MESSAGE,
     .spec = "banning users"},
    {.method = POST,
     .path = "/_matrix/client/v3/rooms/{room}/unban",
     .handler = post_unban,
     .who = WHO_USER,
     .body = BODY_JSON,
     .rate = RATE_MESSAGE,
     .spec = "banning users"},
    {.method = GET,
     .path = "/_matrix/client/v3/joined_rooms",
     .handler = get_joined_rooms,
     .who = WHO_USER,
     .spec = "room membership"},
    {.path = NULL},
};
