/* Server-server API, "Querying for information": our replies. */
#include "federation/routes/query.h"
#include "federation/federation.h"
#include "federation/routes.h"
#include "federation/users/query_ask.h"
#include "matrix/id.h"
#include "rooms/room_cache.h"
#include "rooms/write/naming.h"
#include "users/profile.h"

static const struct err *need_query(const struct request *rq, const char *name, const char **ret)
{
    *ret = request_query(rq, name);
    return *ret ? NULL : err(ERR_MISSING_PARAM, "Missing %s", name);
}

static const struct err *get_directory(struct request *rq, struct reply *rp)
{
    struct job *job = rq->job;
    const char *alias, *room_id;
    const char *const *servers;
    struct room *room;
    size_t n;
    TRY(need_query(rq, "room_alias", &alias));
    if (!id_is_alias(str_of(alias)) || id_is_remote(job->node, alias))
        return err(ERR_INVALID_PARAM, "\"%s\" is not a room alias of this server", alias);
    TRY(naming_resolve(job, alias, &room_id));
    TRY(room_get(job, room_id, &room));
    naming_list_servers(job, room, &servers, &n);
    json_t *list = json_array();
    for (size_t i = 0; i < n; i++)
        json_array_append_new(list, json_string(servers[i]));
    return reply_json(rp, 200, "{s:s, s:o}", "room_id", room_id, "servers", list);
}

static const struct err *query_get_profile(struct request *rq, struct reply *rp)
{
    struct job *job = rq->job;
    const char *user_id, *field = request_query(rq, "field");
    const json_t *profile;
    TRY(need_query(rq, "user_id", &user_id));
    if (!job->config->allow_profile_lookup_over_federation)
        return err(ERR_FORBIDDEN,
                   "This server does not share its users' profiles with other servers");
    if (!id_is_user(str_of(user_id)) || id_is_remote(job->node, user_id))
        return err(ERR_INVALID_PARAM, "\"%s\" is not a user of this server", user_id);
    TRY(profile_read(job, user_id, &profile));
    if (!profile)
        return err(ERR_NOT_FOUND, "There is no such user");
    if (!field)
        return reply_tree(rp, 200, json_copy((json_t *)profile));
    json_t *value = json_object_get(profile, field);
    if (!value)
        return err(ERR_NOT_FOUND, "The profile has no such field");
    return reply_json(rp, 200, "{s:O}", field, value);
}

static const struct err *get_unknown(struct request *rq, struct reply *rp)
{
    return err(ERR_UNRECOGNIZED, "Unknown type of query");
}

#define ROW(path_, handler_)                                                                       \
    {                                                                                              \
        .method = GET, .path = "/_matrix/federation/v1/query/" path_, .handler = handler_,         \
        .who = WHO_SERVER, .rate = RATE_SERVER, .pool = POOL_FEDERATION,                           \
        .spec = "querying for information"                                                         \
    }

const struct route federation_query_routes[] = {
    ROW("directory", get_directory),
    ROW("profile", query_get_profile),
    ROW("{type}", get_unknown),
    {.path = NULL},
};
