/* Client-server API, "Room membership". */
#include "rooms/membership.h"
#include "rooms/naming.h"
#include "rooms/session.h"
#include "server/client/room_request.h"
#include "server/client/room_successor.h"
#include "server/routes.h"
#include "storage/intern.h"

static const struct err *unknown_room(const char *room_id)
{
    return err(ERR_NOT_FOUND, "No room %s is known to this server", room_id);
}

static const struct err *read_reason(const struct request *rq, struct member_change *change)
{
    return json_want_string(rq->body, "reason", NULL, &change->reason);
}

/* ---- joining and knocking ---- */

/* The room to join: unlike elsewhere, one may well not be in it yet. */
static const struct err *find_room(struct request *rq, const char *id_or_alias, struct room **ret)
{
    const char *room_id;
    struct room *room;
    TRY(naming_resolve(job_of(rq), id_or_alias, &room_id));
    TRY(room_find(job_of(rq), room_id, &room));
    if (!room)
        return unknown_room(room_id);
    *ret = room;
    return NULL;
}

static const struct err *enter(struct request *rq, struct reply *rp, struct room *room,
                               enum member_action action)
{
    struct author author = author_of(rq);
    struct member_change change = {
        .action = action, .target = author.user_id, .author_is_guest = caller_of(rq)->is_guest};
    const char *event_id;
    TRY(need_not_suspended(rq));
    TRY(read_reason(rq, &change));
    bool was_in = room_membership(room, author.user) == MEMBERSHIP_JOIN;
    TRY(membership_change(job_of(rq), room, &author, &change, &event_id));
    if (action == MEMBER_JOIN && !was_in)
        room_successor_entered(rq, room);
    return reply_json(rp, 200, "{s:s}", "room_id", room->room_id);
}

static const struct err *join(struct request *rq, struct reply *rp, struct room *room)
{
    const json_t *third_party_signed;
    TRY(json_want_object(rq->body, "third_party_signed", &third_party_signed));
    if (third_party_signed && room_membership(room, caller_of(rq)->user) != MEMBERSHIP_JOIN)
        TRY(membership_claim_invite(job_of(rq), room, caller_of(rq)->user_id, third_party_signed));
    return enter(rq, rp, room, MEMBER_JOIN);
}

static const struct err *post_join(struct request *rq, struct reply *rp)
{
    struct room *room;
    TRY(find_room(rq, request_param(rq, "room_or_alias"), &room));
    return join(rq, rp, room);
}

static const struct err *post_room_join(struct request *rq, struct reply *rp)
{
    struct room *room;
    TRY(room_find(job_of(rq), request_param(rq, "room"), &room));
    return room ? join(rq, rp, room) : unknown_room(request_param(rq, "room"));
}

static const struct err *post_knock(struct request *rq, struct reply *rp)
{
    struct room *room;
    TRY(find_room(rq, request_param(rq, "room_or_alias"), &room));
    return enter(rq, rp, room, MEMBER_KNOCK);
}

/* ---- oneself out, others in and out ---- */

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
    TRY(membership_change(job_of(rq), room, &author, &change, &event_id));
    return reply_empty(rp);
}

/* MSC4293: clients and servers then hide what the user has sent. */
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
    TRY(membership_change(job_of(rq), room, &author, &change, &event_id));
    return reply_empty(rp);
}

/* The other use of this path: inviting an address by way of an identity server. */
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

/* ---- the user's own list ---- */

static const struct err *post_forget(struct request *rq, struct reply *rp)
{
    struct room *room;
    bool done;
    TRY(room_find(job_of(rq), request_param(rq, "room"), &room));
    if (!room || room_membership(room, caller_of(rq)->user) == MEMBERSHIP_NONE)
        return unknown_room(request_param(rq, "room"));
    TRY(members_forget(job_tx(job_of(rq)), room->id, caller_of(rq)->user, &done));
    if (!done)
        return err(ERR_UNKNOWN, "You must leave the room before you can forget it");
    session_forget_room(job_of(rq)->store->sessions, caller_of(rq)->user, room->id);
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
    TRY(intern_names(job->store->intern, INTERN_ROOM, ids, joined, names));
    json_t *list = json_array();
    for (size_t i = 0; i < joined; i++)
        json_array_append_new(list, json_string(names[i]));
    return reply_json(rp, 200, "{s:o}", "joined_rooms", list);
}

const struct route membership_routes[] = {
    {.method = POST,
     .path = "/_matrix/client/v3/join/{room_or_alias}",
     .handler = post_join,
     .who = WHO_GUEST_TOO,
     .body = BODY_MAYBE,
     .rate = RATE_JOIN,
     .spec = "joining rooms"},
    {.method = POST,
     .path = "/_matrix/client/v3/rooms/{room}/join",
     .handler = post_room_join,
     .who = WHO_GUEST_TOO,
     .body = BODY_MAYBE,
     .rate = RATE_JOIN,
     .spec = "joining rooms"},
    {.method = POST,
     .path = "/_matrix/client/v3/knock/{room_or_alias}",
     .handler = post_knock,
     .who = WHO_USER,
     .body = BODY_MAYBE,
     .rate = RATE_JOIN,
     .spec = "knocking on rooms"},
    {.method = POST,
     .path = "/_matrix/client/v3/rooms/{room}/leave",
     .handler = post_leave,
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
