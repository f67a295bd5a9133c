/* Client-server API, "Room aliases" and "Published room directory". */
#include "federation/routes/public_rooms.h"
#include "federation/routes/query.h"
#include "federation/users/query_ask.h"
#include "matrix/id.h"
#include "rooms/read/summary.h"
#include "rooms/room_cache.h"
#include "rooms/write/naming.h"
#include "server/client/shared/room_request.h"
#include "server/remote_request.h"
#include "server/routes.h"
#include "storage/rooms/aliases.h"
#include "storage/rooms/rooms.h"

/* Users who may set the canonical alias may also change how the room is listed. */
static const struct err *may_name(struct request *rq, struct room *room, bool *ret)
{
    const struct caller *c = caller_of(rq);
    struct auth_state state;
    TRY(room_auth_state(job_of(rq), room, c->user_id, &state));
    *ret = c->is_admin ||
           (room_membership(room, c->user) == MEMBERSHIP_JOIN &&
            auth_power_of_user(&state, room->version, c->user_id) >=
                auth_power_to_send(&state, room->version, "m.room.canonical_alias", true));
    return NULL;
}

/* ---- aliases ---- */

static const struct err *put_alias(struct request *rq, struct reply *rp)
{
    const char *alias = request_param(rq, "alias"), *room_id;
    struct room *room;
    bool added;
    TRY(need_not_suspended(rq));
    TRY(naming_check_new_alias(job_of(rq), alias));
    TRY(json_need_string(rq->body, "room_id", &room_id));
    TRY(room_get(job_of(rq), room_id, &room));
    if (!caller_of(rq)->is_admin)
        TRY(room_need_joined(room, caller_of(rq)->user));
    TRY(aliases_check_number(job_tx(job_of(rq)), caller_of(rq)->user, room->id));
    TRY(aliases_add(job_tx(job_of(rq)), alias, room->id, caller_of(rq)->user, &added));
    if (!added)
        return err(ERR_ALIAS_IN_USE, "Room alias %s already exists", alias);
    return reply_empty(rp);
}

static const struct err *reply_alias(struct reply *rp, const char *room_id,
                                     const char *const *servers, size_t n)
{
    json_t *list = json_array();
    for (size_t i = 0; i < n; i++)
        json_array_append_new(list, json_string(servers[i]));
    return reply_json(rp, 200, "{s:s, s:o}", "room_id", room_id, "servers", list);
}

static const struct err *directory_ask_for_alias(struct request *rq, struct reply *rp,
                                                 const char *alias)
{
    const char *room_id;
    const char *const *servers;
    size_t n;
    bool here;
    TRY(remote_request_begin(rq, rp, str_dup(rq->arena, id_server(str_of(alias))), &here));
    if (!here)
        return NULL;
    TRY(federation_resolve_alias(job_of(rq), alias, &room_id, &servers, &n));
    return reply_alias(rp, room_id, servers, n);
}

static const struct err *get_alias(struct request *rq, struct reply *rp)
{
    const char *alias = request_param(rq, "alias"), *room_id;
    const char *const *servers;
    struct room *room;
    size_t n;
    if (!id_is_alias(str_of(alias)))
        return err(ERR_INVALID_PARAM, "\"%s\" is not a room alias", alias);
    if (id_is_remote(job_of(rq)->node, alias))
        return directory_ask_for_alias(rq, rp, alias);
    TRY(naming_resolve(job_of(rq), alias, &room_id));
    TRY(room_get(job_of(rq), room_id, &room));
    naming_list_servers(job_of(rq), room, &servers, &n);
    return reply_alias(rp, room_id, servers, n);
}

/* The alias is removed even if the user may not change the room's canonical alias. */
static const struct err *update_canonical(struct request *rq, struct room *room, const char *alias)
{
    struct author author = author_of(rq);
    const struct err *e = naming_drop_canonical(job_of(rq), room, &author, alias);
    return e && e->code == ERR_FORBIDDEN ? NULL : e;
}

static const struct err *delete_alias(struct request *rq, struct reply *rp)
{
    struct job *job = job_of(rq);
    const char *name = request_param(rq, "alias");
    struct alias alias;
    struct room *room;
    bool found, may;
    TRY(naming_check_new_alias(job, name));
    TRY(aliases_find(job_tx(job), name, &found, &alias));
    if (!found)
        return err(ERR_NOT_FOUND, "Room alias %s not found", name);
    TRY(room_get_by_id(job, alias.room, &room));
    TRY(may_name(rq, room, &may));
    if (!may && alias.creator != caller_of(rq)->user)
        return err(ERR_FORBIDDEN, "You don't have permission to delete this alias");
    TRY(aliases_remove(job_tx(job), name));
    TRY(update_canonical(rq, room, name));
    return reply_empty(rp);
}

static const struct err *get_room_aliases(struct request *rq, struct reply *rp)
{
    struct job *job = job_of(rq);
    struct room *room;
    struct room_summary summary;
    TRY(room_of_request(rq, &room));
    TRY(room_summary_read(job, room, &summary));
    if (!summary.world_readable && !caller_of(rq)->is_admin)
        TRY(room_need_joined(room, caller_of(rq)->user));
    const char *const *aliases;
    size_t n;
    TRY(aliases_of_room(job_tx(job), room->id, &aliases, &n));
    json_t *list = json_array();
    for (size_t i = 0; i < n; i++)
        json_array_append_new(list, json_string(aliases[i]));
    return reply_json(rp, 200, "{s:o}", "aliases", list);
}

/* ---- publishing ---- */

static const struct err *get_visibility(struct request *rq, struct reply *rp)
{
    struct room *room;
    const struct room_head *head;
    TRY(room_get(job_of(rq), request_param(rq, "room"), &room));
    TRY(rooms_get(job_tx(job_of(rq)), room->id, &head));
    return reply_json(rp, 200, "{s:s}", "visibility", head->is_published ? "public" : "private");
}

static const struct err *put_visibility(struct request *rq, struct reply *rp)
{
    const char *visibility;
    struct room *room;
    bool may;
    TRY(need_not_suspended(rq));
    TRY(json_want_string(rq->body, "visibility", "public", &visibility));
    bool is_public = strcmp(visibility, "public") == 0;
    if (!is_public && strcmp(visibility, "private") != 0)
        return err(ERR_INVALID_PARAM, "\"visibility\" must be \"public\" or \"private\"");
    TRY(room_get(job_of(rq), request_param(rq, "room"), &room));
    TRY(may_name(rq, room, &may));
    if (!may)
        return err(ERR_FORBIDDEN, "You don't have permission to publish this room");
    TRY(rooms_set_published(job_tx(job_of(rq)), room->id, is_public));
    return reply_empty(rp);
}

/* ---- the list ---- */

static const struct err *check_sees_list(struct request *rq)
{
    if (!caller_of(rq) && !job_of(rq)->config->allow_public_rooms_without_auth)
        return err(ERR_MISSING_TOKEN, "Sign in to see the directory of this server");
    return NULL;
}

/* `server`: the directory's server. */
static const struct err *list_public_rooms(struct request *rq, struct reply *rp,
                                           const struct public_rooms *q)
{
    struct job *job = job_of(rq);
    const char *server = request_query(rq, "server");
    json_t *list;
    bool here;
    if (!server || config_is_own_server(job->config, server))
        return public_rooms_list(job, q, rp);
    if (!id_is_server_name(str_of(server)))
        return err(ERR_INVALID_PARAM, "\"%s\" is not the name of a server", server);
    TRY(remote_request_begin(rq, rp, server, &here));
    if (!here)
        return NULL;
    TRY(federation_public_rooms(job, server, q, &list));
    return reply_tree(rp, 200, list);
}

static const struct err *directory_get_public_rooms(struct request *rq, struct reply *rp)
{
    struct public_rooms q;
    TRY(check_sees_list(rq));
    TRY(public_rooms_of_url(rq, &q));
    return list_public_rooms(rq, rp, &q);
}

static const struct err *directory_post_public_rooms(struct request *rq, struct reply *rp)
{
    struct public_rooms q;
    TRY(check_sees_list(rq));
    TRY(public_rooms_of_body(rq->body, &q));
    return list_public_rooms(rq, rp, &q);
}

const struct route directory_routes[] = {
    {.method = PUT,
     .path = "/_matrix/client/v3/directory/room/{alias}",
     .handler = put_alias,
     .who = WHO_USER,
     .body = BODY_JSON,
     .rate = RATE_ROOM,
     .spec = "room aliases"},
    {.method = GET,
     .path = "/_matrix/client/v3/directory/room/{alias}",
     .handler = get_alias,
     .moves_to = POOL_REMOTE,
     .who = WHO_MAYBE_USER,
     .spec = "room aliases"},
    {.method = DELETE,
     .path = "/_matrix/client/v3/directory/room/{alias}",
     .handler = delete_alias,
     .who = WHO_USER,
     .rate = RATE_ROOM,
     .spec = "room aliases"},
    {.method = GET,
     .path = "/_matrix/client/v3/rooms/{room}/aliases",
     .handler = get_room_aliases,
     .who = WHO_USER,
     .spec = "room aliases",
     .also = "/_matrix/client/unstable/org.matrix.msc2432/rooms/{room}/aliases"},
    {.method = GET,
     .path = "/_matrix/client/v3/directory/list/room/{room}",
     .handler = get_visibility,
     .spec = "published room directory"},
    {.method = PUT,
     .path = "/_matrix/client/v3/directory/list/room/{room}",
     .handler = put_visibility,
     .who = WHO_USER,
     .body = BODY_MAYBE,
     .rate = RATE_ROOM,
     .spec = "published room directory"},
    {.method = GET,
     .path = "/_matrix/client/v3/publicRooms",
     .handler = directory_get_public_rooms,
     .moves_to = POOL_REMOTE,
     .who = WHO_MAYBE_USER,
     .rate = RATE_SEARCH,
     .pool = POOL_SEARCH,
     .spec = "published room directory"},
    {.method = POST,
     .path = "/_matrix/client/v3/publicRooms",
     .handler = directory_post_public_rooms,
     .moves_to = POOL_REMOTE,
     .who = WHO_USER,
     .body = BODY_MAYBE,
     .rate = RATE_SEARCH,
     .pool = POOL_SEARCH,
     .spec = "published room directory"},
    {.path = NULL},
};
