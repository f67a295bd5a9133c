/* Server-server API, make_join, make_knock and make_leave: templates of member events. */
#include "federation/in/share.h"
#include "federation/routes.h"
#include "federation/routes/resident.h"
#include "rooms/state/restricted.h"
#include "rooms/write/template.h"
#include "storage/db/intern.h"

/* `ver`: the room versions that the caller supports; version 1 if absent. */
static const struct err *check_version(const struct request *rq, const struct room *room)
{
    const char *const *versions;
    size_t n = request_query_all(rq, "ver", &versions);
    static const char *const first[] = {"1"};
    if (!n) {
        versions = first;
        n = 1;
    }
    for (size_t i = 0; i < n; i++)
        if (strcmp(versions[i], room->version->id) == 0)
            return NULL;
    return resident_refuse_version(room->version->id);
}

static const struct err *reply_template(struct request *rq, struct reply *rp, struct room *room,
                                        const char *user_id, const json_t *content)
{
    struct job *job = rq->job;
    struct new_event wanted = {.type = "m.room.member",
                               .state_key = user_id,
                               .content = str_of(json_write(rq->arena, content))};
    json_t *event;
    TRY(room_template(job, room, user_id, &wanted, &event));
    json_object_set_new(event, "origin", json_string(job->config->server_name));
    return reply_json(rp, 200, "{s:s, s:O}", "room_version", room->version->id, "event", event);
}

static const struct err *make_membership_find(struct request *rq, struct room **ret_room,
                                              const char **ret_user_id, int64_t *ret_user)
{
    struct job *job = rq->job;
    *ret_user_id = request_param(rq, "user");
    TRY(resident_need_own_user(rq, *ret_user_id));
    TRY(resident_room(rq, ret_room));
    return intern_find(job->storage->intern, INTERN_USER, *ret_user_id, ret_user);
}

/* In a restricted room a user without an invite needs an authorising user. */
static const struct err *add_authoriser(struct basis *on, const char *user_id, int64_t user,
                                        json_t *content)
{
    const char *authoriser;
    bool restricted;
    enum membership before;
    TRY(basis_membership(on, user_id, &before));
    TRY(restricted_applies(on, &restricted));
    if (!restricted || before == MEMBERSHIP_INVITE || before == MEMBERSHIP_JOIN)
        return NULL;
    TRY(restricted_check_remote(on, user));
    TRY(restricted_find_authoriser(on, user, &authoriser));
    if (authoriser)
        json_object_set_new(content, "join_authorised_via_users_server", json_string(authoriser));
    return NULL;
}

static const struct err *get_make_join(struct request *rq, struct reply *rp)
{
    struct room *room;
    const char *user_id;
    int64_t user;
    TRY(make_membership_find(rq, &room, &user_id, &user));
    TRY(check_version(rq, room));
    json_auto_t *content = json_pack("{s:s}", "membership", "join");
    struct basis on;
    basis_init(&on, rq->job, room); /* the same as for the template */
    TRY(add_authoriser(&on, user_id, user, content));
    return reply_template(rq, rp, room, user_id, content);
}

static const struct err *get_make_knock(struct request *rq, struct reply *rp)
{
    struct room *room;
    const char *user_id;
    int64_t user;
    TRY(make_membership_find(rq, &room, &user_id, &user));
    TRY(check_version(rq, room));
    if (!room->version->knock)
        return err(ERR_FORBIDDEN, "Rooms of version %s do not support knocking", room->version->id);
    json_auto_t *content = json_pack("{s:s}", "membership", "knock");
    return reply_template(rq, rp, room, user_id, content);
}

static const struct err *get_make_leave(struct request *rq, struct reply *rp)
{
    struct room *room;
    const char *user_id;
    int64_t user;
    TRY(make_membership_find(rq, &room, &user_id, &user));
    json_auto_t *content = json_pack("{s:s}", "membership", "leave");
    return reply_template(rq, rp, room, user_id, content);
}

const struct route federation_make_membership_routes[] = {
    {.method = GET,
     .path = "/_matrix/federation/v1/make_join/{room}/{user}",
     .handler = share_run,
     .inner = get_make_join,
     .who = WHO_SERVER,
     .pool = POOL_FEDERATION,
     .spec = "joining rooms"},
    {.method = GET,
     .path = "/_matrix/federation/v1/make_knock/{room}/{user}",
     .handler = share_run,
     .inner = get_make_knock,
     .who = WHO_SERVER,
     .pool = POOL_FEDERATION,
     .spec = "knocking upon a room"},
    {.method = GET,
     .path = "/_matrix/federation/v1/make_leave/{room}/{user}",
     .handler = share_run,
     .inner = get_make_leave,
     .who = WHO_SERVER,
     .pool = POOL_FEDERATION,
     .spec = "leaving rooms (rejecting invites)"},
    {.path = NULL},
};
