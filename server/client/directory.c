/* Client-server API, "Room aliases" and "Published room directory". */
#include "rooms/directory.h"
#include "matrix/id.h"
#include "rooms/naming.h"
#include "rooms/summary.h"
#include "server/client/room_request.h"
#include "server/routes.h"
#include "storage/aliases.h"
#include "storage/rooms.h"

/* Who may set the canonical alias speaks for how the room is known. */
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
    TRY(aliases_add(job_tx(job_of(rq)), alias, room->id, caller_of(rq)->user, &added));
    if (!added)
        return err(ERR_ALIAS_IN_USE, "Room alias %s already exists", alias);
    return reply_empty(rp);
}

static const struct err *get_alias(struct request *rq, struct reply *rp)
{
    const char *alias = request_param(rq, "alias"), *room_id;
    if (!id_is_alias(str_of(alias)))
        return err(ERR_INVALID_PARAM, "\"%s\" is not a room alias", alias);
    struct room *room;
    TRY(naming_resolve(job_of(rq), alias, &room_id));
    TRY(room_get(job_of(rq), room_id, &room));
    const char *const *servers;
    size_t n;
    naming_list_servers(job_of(rq), room, &servers, &n);
    json_t *list = json_array();
    for (size_t i = 0; i < n; i++)
        json_array_append_new(list, json_string(servers[i]));
    return reply_json(rp, 200, "{s:s, s:o}", "room_id", room_id, "servers", list);
}

/* The alias has gone, whether or not the user may say so in the room. */
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

/* ---- being published ---- */

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

/* `server`: whose directory. */
static const struct err *check_server(struct request *rq)
{
    const struct config *config = job_of(rq)->store->config;
    const char *server = request_query(rq, "server");
    if (server && strcmp(server, config->server_name) != 0)
        return err(ERR_UNKNOWN, "This server does not federate yet: it has no directory of %s",
                   server);
    if (!caller_of(rq) && !config->allow_public_rooms_without_auth)
        return err(ERR_MISSING_TOKEN, "Sign in to see the directory of this server");
    return NULL;
}

static int64_t page_size(int64_t wanted)
{
    return wanted <= 0                   ? DIRECTORY_PAGE_DEFAULT
           : wanted > DIRECTORY_PAGE_MAX ? DIRECTORY_PAGE_MAX
                                         : wanted;
}

static const struct err *get_public_rooms(struct request *rq, struct reply *rp)
{
    struct directory_query q = {.since = request_query(rq, "since")};
    int64_t limit;
    TRY(check_server(rq));
    TRY(request_query_int(rq, "limit", 0, 0, INT64_MAX, &limit));
    q.limit = page_size(limit);
    TRY(directory_list(job_of(rq), &q, &rp->body));
    return reply_body(rp, 200);
}

static const struct err *read_filter(const json_t *body, struct directory_query *q)
{
    const json_t *filter;
    TRY(json_want_object(body, "filter", &filter));
    if (!filter)
        return NULL;
    TRY(json_want_string(filter, "generic_search_term", NULL, &q->term));
    return json_want_array(filter, "room_types", &q->room_types);
}

static const struct err *post_public_rooms(struct request *rq, struct reply *rp)
{
    struct directory_query q = {0};
    int64_t limit;
    bool all_networks;
    const char *network;
    TRY(check_server(rq));
    TRY(json_want_int(rq->body, "limit", 0, &limit));
    TRY(json_want_string(rq->body, "since", NULL, &q.since));
    TRY(json_want_bool(rq->body, "include_all_networks", false, &all_networks));
    TRY(json_want_string(rq->body, "third_party_instance_id", NULL, &network));
    if (all_networks && network)
        return err(ERR_INVALID_PARAM,
                   "\"third_party_instance_id\" excludes \"include_all_networks\"");
    TRY(read_filter(rq->body, &q));
    if (network) /* no bridged network has a directory here */
        return reply_json(rp, 200, "{s:[], s:i}", "chunk", "total_room_count_estimate", 0);
    q.limit = page_size(limit);
    TRY(directory_list(job_of(rq), &q, &rp->body));
    return reply_body(rp, 200);
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
     .handler = get_public_rooms,
     .who = WHO_MAYBE_USER,
     .rate = RATE_SEARCH,
     .spec = "published room directory"},
    {.method = POST,
     .path = "/_matrix/client/v3/publicRooms",
     .handler = post_public_rooms,
     .who = WHO_USER,
     .body = BODY_MAYBE,
     .rate = RATE_SEARCH,
     .spec = "published room directory"},
    {.path = NULL},
};
