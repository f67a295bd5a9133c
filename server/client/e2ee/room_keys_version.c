/* End-to-end encryption, "Server-side key backups": the versions of a user's backup. */
#include "matrix/canonical_json.h"
#include "server/account/caller.h"
#include "server/client/e2ee/room_keys.h"
#include "server/routes.h"

enum { AUTH_DATA_MAX = 65536, ALGORITHM_MAX = 255, CREATE_TRIES = 5 };

/* The body of a new or changed version. */
static const struct err *room_keys_version_read_body(struct request *rq, const char **ret_algorithm,
                                                     struct str *ret_auth_data)
{
    const json_t *auth_data;
    TRY(json_need_string(rq->body, "algorithm", ret_algorithm));
    TRY(json_need_object(rq->body, "auth_data", &auth_data));
    buf_auto struct buf b = {0};
    TRY(canonical_json_add_tree(&b, CANONICAL_LENIENT, auth_data));
    if (b.n > AUTH_DATA_MAX || strlen(*ret_algorithm) > ALGORITHM_MAX)
        return err(ERR_TOO_LARGE, "`auth_data` or `algorithm` is too large");
    *ret_auth_data = (struct str){arena_memdup(rq->arena, b.p, b.n), b.n};
    return NULL;
}

static const struct err *post_version(struct request *rq, struct reply *rp)
{
    const char *algorithm;
    struct str auth_data;
    int64_t version;
    TRY(room_keys_version_read_body(rq, &algorithm, &auth_data));
    const struct err *e = NULL;
    for (int i = 0; i < CREATE_TRIES; i++) {
        e = key_backup_create(job_tx(job_of(rq)), caller_of(rq)->user, algorithm, auth_data,
                              &version);
        if (!e || e->code != ERR_CONFLICT)
            break;
    }
    TRY(e);
    return reply_json(rp, 200, "{s:o}", "version", json_sprintf("%lld", (long long)version));
}

static const struct err *reply_version(struct reply *rp, const struct key_backup *b)
{
    BUF_LIT(&rp->body, "{\"algorithm\":");
    buf_add_json_string(&rp->body, str_of(b->algorithm));
    BUF_LIT(&rp->body, ",\"auth_data\":");
    buf_add_str(&rp->body, b->auth_data);
    buf_printf(&rp->body, ",\"count\":%lld,\"etag\":\"%lld\",\"version\":\"%lld\"}",
               (long long)b->count, (long long)b->etag, (long long)b->version);
    return reply_body(rp, 200);
}

static const struct err *get_current(struct request *rq, struct reply *rp)
{
    struct key_backup b;
    TRY(key_backup_get(job_tx(job_of(rq)), caller_of(rq)->user, 0, &b));
    if (!b.algorithm)
        return err(ERR_NOT_FOUND, "No current backup version");
    return reply_version(rp, &b);
}

/* The version in the path, deleted or not. */
static const struct err *find_version(struct request *rq, struct key_backup *ret)
{
    int64_t version;
    *ret = (struct key_backup){0};
    if (backup_version_parse(request_param(rq, "version"), &version))
        TRY(key_backup_get(job_tx(job_of(rq)), caller_of(rq)->user, version, ret));
    return ret->algorithm ? NULL : err(ERR_NOT_FOUND, "Unknown backup version");
}

static const struct err *room_keys_version_need_version(struct request *rq, struct key_backup *ret)
{
    TRY(find_version(rq, ret));
    return ret->deleted ? err(ERR_NOT_FOUND, "Unknown backup version") : NULL;
}

static const struct err *room_keys_version_get_version(struct request *rq, struct reply *rp)
{
    struct key_backup b;
    TRY(room_keys_version_need_version(rq, &b));
    return reply_version(rp, &b);
}

static const struct err *put_version(struct request *rq, struct reply *rp)
{
    struct key_backup b;
    const char *algorithm, *version;
    struct str auth_data;
    TRY(room_keys_version_read_body(rq, &algorithm, &auth_data));
    TRY(json_want_string(rq->body, "version", request_param(rq, "version"), &version));
    if (strcmp(version, request_param(rq, "version")) != 0)
        return err(ERR_INVALID_PARAM, "The version in the body is not the one in the path");
    TRY(room_keys_version_need_version(rq, &b));
    if (strcmp(algorithm, b.algorithm) != 0)
        return err(ERR_INVALID_PARAM, "The algorithm of a backup cannot be changed");
    TRY(key_backup_set_auth_data(job_tx(job_of(rq)), caller_of(rq)->user, b.version, auth_data));
    return reply_empty(rp);
}

/* Deleting again succeeds. */
static const struct err *delete_version(struct request *rq, struct reply *rp)
{
    struct key_backup b;
    TRY(find_version(rq, &b));
    if (!b.deleted)
        TRY(key_backup_delete(job_tx(job_of(rq)), caller_of(rq)->user, b.version));
    return reply_empty(rp);
}

#define ROUTE(method_, path_, handler_, body_)                                                     \
    {                                                                                              \
        .method = method_, .path = "/_matrix/client/v3/room_keys/version" path_,                   \
        .handler = handler_, .who = WHO_USER, .body = body_, .rate = RATE_KEY,                     \
        .spec = "server-side key backups",                                                         \
        .also = "/_matrix/client/unstable/room_keys/version" path_                                 \
    }

const struct route room_keys_version_routes[] = {
    ROUTE(POST, "", post_version, BODY_JSON),
    ROUTE(GET, "", get_current, BODY_NONE),
    ROUTE(GET, "/{version}", room_keys_version_get_version, BODY_NONE),
    ROUTE(PUT, "/{version}", put_version, BODY_JSON),
    ROUTE(DELETE, "/{version}", delete_version, BODY_NONE),
    {.path = NULL},
};
