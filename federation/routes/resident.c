#include "federation/routes/resident.h"
#include "rooms/rooms.h"

#include "federation/in/inbound_internal.h"
#include "federation/in/pdu.h"
#include "matrix/id.h"
#include "rooms/accept/accept.h"
#include "rooms/accept/remote_join.h"
#include "rooms/accept/resync.h"
#include "rooms/room_cache.h"
#include "rooms/servers.h"
#include "rooms/state/restricted.h"
#include "storage/db/intern.h"
#include "storage/db/write.h"

const struct err *resident_room(struct request *rq, struct room **ret)
{
    struct job *job = rq->job;
    struct room *room;
    TRY(room_find(job, request_param(rq, "room"), &room));
    if (!room || !room_is_resident(room))
        return err(ERR_NOT_FOUND, "This server is not in the room %s", request_param(rq, "room"));
    if (room_is_partial(room))
        return err(ERR_NOT_FOUND, "This server is itself still joining the room; ask another");
    *ret = room;
    return NULL;
}

const struct err *resident_need_own_user(struct request *rq, const char *user_id)
{
    if (id_is_user_of(user_id, remote_of(rq)->name))
        return NULL;
    return err(ERR_FORBIDDEN, "%s is not a user of %s", user_id, remote_of(rq)->name);
}

const struct err *resident_refuse_version(const char *version)
{
    buf_auto struct buf name = {0};
    buf_add_json_string(&name, str_of(version));
    return err_with_fields(err(ERR_INCOMPATIBLE_ROOM_VERSION,
                               "Your homeserver does not support the features required to join "
                               "this room"),
                           "\"room_version\":%s", name.p);
}

/* ---- reading an event ---- */

const struct err *resident_check_form(struct request *rq, const struct event *e,
                                      enum membership membership)
{
    bool is_invite = membership == MEMBERSHIP_INVITE;
    if (strcmp(e->type, "m.room.member") != 0 || event_membership(e) != membership)
        return err(ERR_INVALID_PARAM, "Not %s %s event", is_invite ? "an" : "a",
                   membership_text(membership));
    if (!is_invite && (!e->state_key || strcmp(e->state_key, e->sender) != 0))
        return err(ERR_INVALID_PARAM, "The sender and the state_key must be the same user");
    if (!id_is_of(e->sender, remote_of(rq)->name))
        return err(ERR_FORBIDDEN, "The sender is not a user of your server");
    if (strcmp(e->room_id, request_param(rq, "room")) != 0)
        return err(ERR_INVALID_PARAM, "The event is in another room");
    if (strcmp(e->event_id, request_param(rq, "event")) != 0)
        return err(ERR_INVALID_PARAM, "The event is not the one in the path");
    return event_content_hash_ok(e) ? NULL
                                    : err(ERR_INVALID_PARAM, "The event's content hash is wrong");
}

/* Whether one of our users authorises this join of a user without an invite. */
static bool needs_our_signature(const struct job *job, const struct event *e)
{
    const char *who = json_text(event_content(e), "join_authorised_via_users_server");
    return e->version->restricted && id_is_local(job->node, who);
}

/* Our signature confirms that the user fulfils a condition of the room now. */
static const struct err *authorise(struct job *job, struct room *room, const struct event *e,
                                   const struct event **ret)
{
    int64_t user;
    struct event *with_ours;
    struct basis on;
    basis_init(&on, job, room);
    TRY(intern_find(job->storage->intern, INTERN_USER, e->sender, &user));
    TRY(restricted_check_remote(&on, user));
    TRY(event_add_signature(e, job->config->server_name, &job->keys->current, &with_ours));
    *ret = event_keep(job->arena, with_ours);
    return NULL;
}

const struct err *resident_read_event(struct request *rq, struct room *room,
                                      enum membership membership, const struct event **ret)
{
    struct job *job = rq->job;
    struct event *parsed;
    TRY(event_parse(room->version, rq->raw, &parsed));
    const struct event *e = event_keep(rq->arena, parsed);
    TRY(resident_check_form(rq, e, membership));
    if (membership == MEMBERSHIP_JOIN && needs_our_signature(job, e))
        TRY(authorise(job, room, e, &e));
    struct pdu pdu = {.raw = pdu_bytes(e)};
    TRY(pdu_read(job, room->version, room->room_id, &pdu, 1));
    if (!pdu.event)
        return pdu_refusal(&pdu);
    *ret = pdu.event;
    return NULL;
}

/* A template names the newest events, which may still wait for their commit, or no longer be the
 * newest. So pending writes are committed before an event's parents count as unknown. */
static const struct err *resident_accept_one(struct job *job, struct room *room,
                                             const struct incoming *in, struct accept_outcome *ret)
{
    TRY(inbound_accept(job, room, in, 0, ret));
    if (ret->verdict != VERDICT_MISSING)
        return NULL;
    TRY(write_commit(job, write_begin(job), NULL));
    TRY(room_get_by_id(job, room->id, &room));
    return inbound_accept(job, room, in, 0, ret);
}

const struct err *resident_accept(struct request *rq, struct room *room, const struct event *event,
                                  int64_t *ret_position)
{
    struct incoming in = {.event = event, .relay = true};
    struct accept_outcome outcome;
    TRY(resident_accept_one(rq->job, room, &in, &outcome));
    inbound_event_concluded(inbound_of(rq->job), event, &outcome);
    switch (outcome.verdict) {
    case VERDICT_ACCEPTED:
    case VERDICT_KNOWN:
        if (event_is_off_timeline(outcome.position))
            return err(ERR_FORBIDDEN, "The event is known, but not allowed now");
        *ret_position = outcome.position;
        return NULL;
    case VERDICT_MISSING:
        return err(ERR_INVALID_PARAM, "The event follows events that this server does not know");
    default:
        return err(ERR_FORBIDDEN, "%s", outcome.reason ? outcome.reason : "The event is refused");
    }
}
