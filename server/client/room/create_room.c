/* Client-server API, "Creation". */
#include "rooms/write/create.h"

#include "base/log.h"
#include "federation/peer/candidates.h"
#include "federation/routes/query.h"
#include "federation/users/query_ask.h"
#include "matrix/id.h"
#include "rooms/room_cache.h"
#include "rooms/write/membership.h"
#include "server/client/room/member_change.h"
#include "server/client/shared/room_request.h"
#include "server/client/shared/room_successor.h"
#include "server/routes.h"

/* They count like those of /invite. */
static const struct err *charge_invites(struct request *rq)
{
    const json_t *invited;
    TRY(json_want_array(rq->body, "invite", &invited));
    size_t n = json_array_size(invited);
    return n ? request_charge(rq, RATE_INVITE, (int)n) : NULL;
}

/* ---- users of other servers ---- */

static bool invites_elsewhere(struct request *rq)
{
    const json_t *invited = json_object_get(rq->body, "invite");
    for (size_t i = 0; i < json_array_size(invited); i++) {
        const char *id = json_string_text(json_array_get(invited, i));
        if (id && id_is_user(str_of(id)) && id_is_remote(job_of(rq)->node, id))
            return true;
    }
    return false;
}

static const struct err *invite_one(struct job *job, struct room *room, const struct author *author,
                                    const char *target, bool is_direct)
{
    struct member_change change = {.action = MEMBER_INVITE, .target = target};
    const char *event_id;
    if (is_direct)
        change.content = json_keep(job->arena, json_pack("{s:b}", "is_direct", true));
    return member_change_apply(job, room, author, &change, &event_id);
}

static bool create_room_is_among(const char *const *servers, size_t n, struct str server)
{
    for (size_t i = 0; i < n; i++)
        if (str_is(server, servers[i]))
            return true;
    return false;
}

/* The room exists already: a user who cannot be invited now can be later, and does not prevent
 * other invites. It waits only once for an unreachable server. */
static const struct err *invite_all(struct request *rq, const struct author *author,
                                    const char *room_id, const struct invited_elsewhere *invited)
{
    struct job *job = job_of(rq);
    struct room *room;
    const char **away = arena_alloc_array(rq->arena, invited->n + 1, sizeof *away);
    size_t away_n = 0;
    TRY(room_get(job, room_id, &room));
    for (size_t i = 0; i < invited->n; i++) {
        struct str server = id_server(str_of(invited->ids[i]));
        if (create_room_is_among(away, away_n, server))
            continue;
        const struct err *e = invite_one(job, room, author, invited->ids[i], invited->is_direct);
        if (e && candidate_was_away(e))
            away[away_n++] = str_dup(rq->arena, server);
        if (e && log_limited("an invite to a new room failed", LOG_FEW))
            log_info("%s could not be invited to the new room %s: %s", invited->ids[i], room_id,
                     e->text);
    }
    return NULL;
}

/* For a room made by hand to replace another: copies the creator's settings, as after an upgrade.
 */
static const struct err *follow_predecessor(struct request *rq, const char *room_id)
{
    struct room *room;
    if (!json_at(rq->body, "creation_content", "predecessor", NULL))
        return NULL;
    TRY(room_get(job_of(rq), room_id, &room));
    room_successor_joined(rq, room);
    return NULL;
}

static const struct err *post_create_room(struct request *rq, struct reply *rp)
{
    struct author author = author_of(rq);
    struct invited_elsewhere elsewhere;
    const char *room_id;
    TRY(need_not_suspended(rq));
    if (rq->pool != POOL_REMOTE) {
        TRY(charge_invites(rq));
        if (invites_elsewhere(rq))
            return reply_elsewhere(rp, POOL_REMOTE);
    }
    TRY(room_create(job_of(rq), &author, rq->body, &room_id, &elsewhere));
    if (elsewhere.n)
        TRY(invite_all(rq, &author, room_id, &elsewhere));
    TRY(follow_predecessor(rq, room_id));
    return reply_json(rp, 200, "{s:s}", "room_id", room_id);
}

const struct route create_room_routes[] = {
    {.method = POST,
     .path = "/_matrix/client/v3/createRoom",
     .handler = post_create_room,
     .moves_to = POOL_REMOTE,
     .who = WHO_USER,
     .body = BODY_MAYBE,
     .body_max = BODY_AS_SET,
     .rate = RATE_ROOM,
     .spec = "creation"},
    {.path = NULL},
};
