/* Server-server API, "Querying for information": our requests. */
#include "federation/users/query_ask.h"
#include "federation/federation.h"
#include "federation/peer/answers.h"
#include "federation/peer/path.h"
#include "federation/peer/request.h"
#include "matrix/id.h"
#include "rooms/write/naming.h"
#include "users/profile.h"

enum {
    TIMEOUT_MS = 10000, /* a user waits */
    ALIAS_KEPT_MS = 60 * 1000,
    PROFILE_KEPT_MS = 60 * 1000,
    NOTHING_KEPT_MS = 30 * 1000,
    REPLY_MAX = 256 * 1024
};

void federation_forget_answers(struct job *job, const char *id)
{
    answers_forget(job->federation->answers, str_dup(job->arena, id_server(str_of(id))));
}

/* The answer to a query, cached or requested. That there is no answer is cached too. */
static const struct err *ask_cached(struct job *job, const char *server, const char *path,
                                    int64_t keep_ms, const json_t **ret)
{
    struct answers *answers = job->federation->answers;
    const char *key = arena_printf(job->arena, "%s %s", server, path);
    struct fed_request r = {.server = server,
                            .method = GET,
                            .path = path,
                            .timeout_ms = TIMEOUT_MS,
                            .reply_max = REPLY_MAX};
    struct fed_reply reply = {0};
    struct str known;
    if (answers_get(answers, job->arena, key, &known)) {
        json_t *o = NULL;
        if (known.p)
            TRY(json_read(job->arena, known, &o));
        *ret = o;
        return o ? NULL : err(ERR_NOT_FOUND, "%s does not know it", server);
    }
    const struct err *e = federation_question(job, &r, &reply);
    if (e && e->code == ERR_NOT_FOUND)
        answers_put(answers, key, (struct str){0}, NOTHING_KEPT_MS);
    TRY(e);
    answers_put(answers, key, reply.body, keep_ms);
    *ret = reply.json;
    return NULL;
}

/* ---- aliases ---- */

/* An unreachable server has no such alias: clients only know that answer. */
static const struct err *not_reached(const char *alias, const struct err *e)
{
    if (e->code != ERR_CONNECTION_FAILED && e->code != ERR_CONNECTION_TIMEOUT)
        return e;
    return err_with_cause(
        err(ERR_NOT_FOUND, "Room alias %s not found: its server cannot be reached", alias), "%s",
        e->cause);
}

static const struct err *query_ask_read_servers(struct job *job, const json_t *list,
                                                const char *first, const char *const **ret,
                                                size_t *ret_n)
{
    const char **servers = arena_alloc_array(job->arena, QUERY_SERVERS_MAX, sizeof *servers);
    size_t n = 0;
    for (size_t i = 0; i < json_array_size(list) && n < QUERY_SERVERS_MAX; i++) {
        const json_t *item = json_array_get(list, i);
        const char *name = json_string_value(item);
        if (name && id_is_server_name((struct str){name, json_string_length(item)}) &&
            !config_is_own_server(job->config, name))
            servers[n++] = name;
    }
    if (n == 0) /* the alias's server probably knows the room */
        servers[n++] = first;
    *ret = servers;
    *ret_n = n;
    return NULL;
}

const struct err *federation_resolve_alias(struct job *job, const char *alias,
                                           const char **ret_room_id,
                                           const char *const **ret_servers, size_t *ret_n)
{
    const json_t *answer;
    if (!id_is_alias(str_of(alias)))
        return err(ERR_INVALID_PARAM, "\"%s\" is not a room alias", alias);
    if (!id_is_remote(job->node, alias)) {
        TRY(naming_resolve(job, alias, ret_room_id));
        *ret_servers = NULL;
        *ret_n = 0;
        return NULL;
    }
    const char *server = str_dup(job->arena, id_server(str_of(alias)));
    const char *path =
        federation_path(job->arena, "/_matrix/federation/v1/query/directory?room_alias=%s", alias);
    const struct err *e = ask_cached(job, server, path, ALIAS_KEPT_MS, &answer);
    if (e)
        return not_reached(alias, e);
    const char *room_id = json_text(answer, "room_id");
    if (!room_id || !id_is_room(str_of(room_id)))
        return err(ERR_BAD_STATUS, "%s does not say which room %s is", server, alias);
    TRY(query_ask_read_servers(job, json_object_get(answer, "servers"), server, ret_servers,
                               ret_n));
    *ret_room_id = room_id;
    return NULL;
}

/* ---- profiles ---- */

/* Clients rely on these two being strings. */
static void drop_unusable(json_t *profile)
{
    static const char *const texts[] = {"displayname", "avatar_url"};
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++)
        if (!json_text(profile, texts[i]))
            json_object_del(profile, texts[i]);
}

const struct err *federation_get_profile(struct job *job, const char *user_id, const char *field,
                                         const json_t **ret)
{
    const json_t *answer;
    struct arena *a = job->arena;
    const char *server = str_dup(a, id_server(str_of(user_id)));
    const char *path =
        field ? federation_path(a, "/_matrix/federation/v1/query/profile?user_id=%s&field=%s",
                                user_id, field)
              : federation_path(a, "/_matrix/federation/v1/query/profile?user_id=%s", user_id);
    TRY(ask_cached(job, server, path, PROFILE_KEPT_MS, &answer));
    json_t *profile = json_keep(a, json_object());
    const json_t *value = field ? json_object_get(answer, field) : NULL;
    if (value)
        json_object_set(profile, field, (json_t *)value);
    if (!field)
        json_object_update(profile, (json_t *)answer);
    drop_unusable(profile);
    *ret = profile;
    return NULL;
}
