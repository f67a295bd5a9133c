/* Server-server API, "Inviting to a room": one of our users is invited by a user of another
 * server. */
#include "federation/federation.h"
#include "federation/in/pdu.h"
#include "federation/in/share.h"
#include "federation/rooms/invite_state.h"
#include "federation/routes.h"
#include "federation/routes/resident.h"
#include "matrix/id.h"
#include "matrix/json_scan.h"
#include "rooms/accept/remote_join.h"
#include "rooms/room_cache.h"
#include "rooms/rooms.h"
#include "rooms/write/membership.h"
#include "storage/users/users.h"

struct invitation {
    struct request *rq;
    const struct room_version *version;
    struct str raw;           /* the event as received */
    const json_t *room_state; /* NULL: absent */
    const struct event *event;
};

/* ---- checking the event ---- */

static const struct err *invite_receive_read_event(struct invitation *i)
{
    struct event *parsed;
    TRY(event_parse(i->version, i->raw, &parsed));
    i->event = event_keep(i->rq->arena, parsed);
    TRY(resident_check_form(i->rq, i->event, MEMBERSHIP_INVITE));
    struct pdu pdu = {.raw = pdu_bytes(i->event)};
    TRY(pdu_read(i->rq->job, i->version, i->event->room_id, &pdu, 1));
    if (!pdu.event)
        return pdu_refusal(&pdu);
    i->event = pdu.event;
    return NULL;
}

static const struct err *check_invitee(const struct invitation *i)
{
    struct job *job = i->rq->job;
    const char *user_id = i->event->state_key;
    struct account account;
    bool found;
    if (!id_is_local(job->node, user_id))
        return err(ERR_INVALID_PARAM, "The state_key is not a user of this server");
    TRY(users_find(job_tx(job), user_id, &found, &account));
    if (!found || account.deactivated)
        return err(ERR_NOT_FOUND, "There is no user %s", user_id);
    return membership_check_invitee(job, user_id, remote_of(i->rq)->name);
}

/* ---- storing the invite ---- */

/* A server in the room receives the event with the others of the room, and notifies its user
 * then. */
static const struct err *invite_receive_keep(const struct invitation *i,
                                             const struct event *signed_)
{
    struct job *job = i->rq->job;
    struct room *room;
    struct room_note note = {.version = i->version, .room_id = signed_->room_id, .event = signed_};
    TRY(invite_state_read(job, signed_, i->room_state, i->version->room_id_is_create_hash,
                          &note.stripped, &note.proves_version));
    TRY(room_find(job, signed_->room_id, &room));
    return room && room_is_resident(room) ? NULL : room_note_membership(job, &note);
}

/* Other servers' users are limited like our own. */
static const struct err *charge_sender(const struct invitation *i)
{
    struct request *rq = i->rq;
    const char *server = rq->caller_id;
    rq->caller_id = i->event->sender;
    const struct err *e = request_charge(rq, RATE_INVITE, 1);
    rq->caller_id = server;
    return e;
}

static const struct err *invite_receive_take(struct invitation *i, const struct event **ret)
{
    struct job *job = i->rq->job;
    struct event *signed_;
    TRY(invite_receive_read_event(i));
    TRY(charge_sender(i));
    TRY(check_invitee(i));
    TRY(event_add_signature(i->event, job->config->server_name, &job->keys->current, &signed_));
    *ret = event_keep(i->rq->arena, signed_);
    return invite_receive_keep(i, *ret);
}

/* ---- the endpoints ---- */

static const struct err *put_invite(struct request *rq, struct reply *rp)
{
    const char *version;
    const json_t *event;
    const struct event *signed_;
    struct invitation i = {.rq = rq};
    TRY(json_need_string(rq->body, "room_version", &version));
    TRY(json_need_object(rq->body, "event", &event));
    i.version = room_version_find(version);
    if (!i.version)
        return resident_refuse_version(version);
    i.raw = json_scan_get(rq->raw, "event"); /* the original bytes, for its hash */
    i.room_state = json_object_get(rq->body, "invite_room_state");
    TRY(invite_receive_take(&i, &signed_));
    BUF_LIT(&rp->body, "{\"event\":");
    buf_add_str(&rp->body, pdu_bytes(signed_));
    buf_add_char(&rp->body, '}');
    return reply_body(rp, 200);
}

/* The body is the event itself, of room version 1 or 2, which have the same event format. */
static const struct err *put_invite_v1(struct request *rq, struct reply *rp)
{
    struct job *job = rq->job;
    const struct event *signed_;
    struct room *room;
    struct invitation i = {.rq = rq, .raw = rq->raw};
    TRY(room_find(job, request_param(rq, "room"), &room));
    i.version =
        room && room->version->event_id == EVENT_ID_GIVEN ? room->version : room_version_find("1");
    i.room_state = json_at(rq->body, "unsigned", "invite_room_state", NULL);
    TRY(invite_receive_take(&i, &signed_));
    BUF_LIT(&rp->body, "[200,{\"event\":");
    buf_add_str(&rp->body, pdu_bytes(signed_));
    BUF_LIT(&rp->body, "}]");
    return reply_body(rp, 200);
}

const struct route federation_invite_routes[] = {
    {.method = PUT,
     .path = "/_matrix/federation/v2/invite/{room}/{event}",
     .handler = share_run,
     .inner = put_invite,
     .who = WHO_SERVER,
     .body = BODY_JSON,
     .body_max = BODY_AS_SET,
     .pool = POOL_FEDERATION,
     .spec = "inviting to a room"},
    {.method = PUT,
     .path = "/_matrix/federation/v1/invite/{room}/{event}",
     .handler = share_run,
     .inner = put_invite_v1,
     .who = WHO_SERVER,
     .body = BODY_JSON,
     .body_max = BODY_AS_SET,
     .pool = POOL_FEDERATION,
     .spec = "inviting to a room"},
    {.path = NULL},
};
