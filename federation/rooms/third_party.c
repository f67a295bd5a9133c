#include "federation/rooms/third_party.h"

#include "federation/peer/candidates.h"
#include "federation/peer/path.h"
#include "federation/peer/request.h"
#include "federation/rooms/invite.h"
#include "federation/routes.h"
#include "federation/routes/resident.h"
#include "matrix/id.h"
#include "rooms/accept/remote_join.h"
#include "rooms/room_cache.h"
#include "rooms/write/membership.h"
#include "storage/db/intern.h"
#include "storage/users/users.h"

enum { BOUND_INVITES_MAX = 20, TIME_MS = 30 * 1000 };

/* ---- requests to another server ---- */

struct exchange_asked {
    struct job *job;
    const char *path;
    const json_t *body;
};

static const struct err *third_party_ask(void *ctx, const char *server)
{
    const struct exchange_asked *x = ctx;
    struct fed_request r = {.server = server,
                            .method = PUT,
                            .path = x->path,
                            .body = x->body,
                            .timeout_ms = TIME_MS,
                            .now = true};
    struct fed_reply reply;
    return federation_request(x->job, &r, &reply);
}

const struct err *third_party_exchange(struct job *job, const char *room_id, const char *sender,
                                       const char *user_id, const json_t *signed_)
{
    struct str server = id_server(str_of(sender));
    const char *name = str_dup(job->arena, server);
    struct candidates c = {.servers = {name}, .n = 1};
    if (!id_is_user(str_of(sender)) || !federation_may_contact(job->config, name))
        return err(ERR_FORBIDDEN,
                   "The invite is from a server with which this one does not federate");
    json_t *body = json_keep(
        job->arena,
        json_pack("{s:s, s:s, s:s, s:s, s:{s:s, s:{s:s, s:O}}}", "type", "m.room.member", "room_id",
                  room_id, "sender", sender, "state_key", user_id, "content", "membership",
                  "invite", "third_party_invite", "display_name", user_id, "signed", signed_));
    struct exchange_asked x = {
        job,
        federation_path(job->arena, "/_matrix/federation/v1/exchange_third_party_invite/%s",
                        room_id),
        body};
    return candidates_ask(&c, TIME_MS, third_party_ask, &x);
}

/* ---- requests of another server ---- */

static const struct err *third_party_need_text(const json_t *o, const char *key, const char *wanted)
{
    const char *got;
    TRY(json_need_string(o, key, &got));
    return strcmp(got, wanted) == 0 ? NULL
                                    : err(ERR_INVALID_PARAM, "\"%s\" must be \"%s\"", key, wanted);
}

static const struct err *read_request(struct request *rq, const char **ret_sender,
                                      const char **ret_target, const json_t **ret_third_party)
{
    const json_t *content;
    TRY(third_party_need_text(rq->body, "type", "m.room.member"));
    TRY(third_party_need_text(rq->body, "room_id", request_param(rq, "room")));
    TRY(json_need_string(rq->body, "sender", ret_sender));
    TRY(json_need_string(rq->body, "state_key", ret_target));
    TRY(json_need_object(rq->body, "content", &content));
    TRY(third_party_need_text(content, "membership", "invite"));
    TRY(json_need_object(content, "third_party_invite", ret_third_party));
    TRY(resident_need_own_user(rq, *ret_target));
    struct job *job = rq->job;
    if (!id_is_local(job->node, *ret_sender))
        return err(ERR_FORBIDDEN, "The invite was made on another server");
    return NULL;
}

/* We choose the content of the invite: the display name it was made with, and what the identity
 * server signed. The authorisation rules check it. */
static const struct err *third_party_make_content(struct job *job, struct room *room,
                                                  const json_t *third_party, json_t **ret)
{
    const json_t *signed_;
    const char *token;
    const struct event *offer;
    TRY(json_need_object(third_party, "signed", &signed_));
    TRY(json_need_string(signed_, "token", &token));
    TRY(room_state(job, room, "m.room.third_party_invite", token, &offer));
    if (!offer)
        return err(ERR_FORBIDDEN, "There is no such invite in the room");
    const char *name = json_text(event_content(offer), "display_name");
    *ret = json_keep(job->arena,
                     json_pack("{s:s, s:{s:s, s:O}}", "membership", "invite", "third_party_invite",
                               "display_name", name ? name : "", "signed", signed_));
    return NULL;
}

static const struct err *put_exchange(struct request *rq, struct reply *rp)
{
    struct job *job = rq->job;
    struct room *room;
    struct author author = {0};
    const char *target, *event_id;
    const json_t *third_party;
    json_t *content = NULL;
    TRY(read_request(rq, &author.user_id, &target, &third_party));
    TRY(resident_room(rq, &room));
    TRY(intern_find(job->storage->intern, INTERN_USER, author.user_id, &author.user));
    if (!author.user)
        return err(ERR_FORBIDDEN, "There is no user %s", author.user_id);
    TRY(third_party_make_content(job, room, third_party, &content));
    TRY(federation_invite(job, room, &author, target, content, &event_id));
    return reply_empty(rp);
}

/* ---- requests of an identity server ---- */

static const struct err *take_bound_invite(struct job *job, const char *user_id,
                                           const json_t *invite)
{
    const char *room_id, *sender, *mxid;
    const json_t *signed_;
    struct room *room;
    TRY(json_need_string(invite, "room_id", &room_id));
    TRY(json_need_string(invite, "sender", &sender));
    TRY(json_need_object(invite, "signed", &signed_));
    TRY(json_need_string(signed_, "mxid", &mxid));
    if (strcmp(mxid, user_id) != 0 || !id_is_room(str_of(room_id)))
        return err(ERR_INVALID_PARAM, "The invite is not one for %s", user_id);
    TRY(room_find(job, room_id, &room));
    if (room && room_is_resident(room) && id_is_local(job->node, sender))
        return membership_claim_invite(job, room, user_id, signed_);
    return third_party_exchange(job, room_id, sender, user_id, signed_);
}

/* This request is not signed, but the invites in it are, and are checked where they were made. */
static const struct err *put_onbind(struct request *rq, struct reply *rp)
{
    struct job *job = rq->job;
    const char *user_id;
    const json_t *invites;
    struct account account;
    bool found;
    TRY(json_need_string(rq->body, "mxid", &user_id));
    TRY(json_need_array(rq->body, "invites", &invites));
    TRY(users_find(job_tx(job), user_id, &found, &account));
    if (!found || account.deactivated)
        return err(ERR_NOT_FOUND, "There is no user %s", user_id);
    if (json_array_size(invites) > BOUND_INVITES_MAX)
        return err(ERR_TOO_LARGE, "At most %d invites are accepted at once", BOUND_INVITES_MAX);
    struct err last;
    bool failed = false;
    for (size_t i = 0; i < json_array_size(invites); i++) {
        const struct err *e = take_bound_invite(job, user_id, json_array_get(invites, i));
        if (e)
            last = *e;
        failed |= e != NULL;
    }
    return failed ? err_copy(&last) : reply_empty(rp);
}

const struct route federation_third_party_routes[] = {
    {.method = PUT,
     .path = "/_matrix/federation/v1/exchange_third_party_invite/{room}",
     .handler = put_exchange,
     .who = WHO_SERVER,
     .body = BODY_JSON,
     .pool = POOL_REMOTE,
     .spec = "third-party invites"},
    {.method = PUT,
     .path = "/_matrix/federation/v1/3pid/onbind",
     .handler = put_onbind,
     .body = BODY_JSON,
     .rate = RATE_INVITE,
     .pool = POOL_REMOTE,
     .spec = "third-party invites"},
    {.path = NULL},
};
