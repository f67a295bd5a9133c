/* Client-server API, "Profiles". */
#include "users/profile.h"
#include "federation/routes/query.h"
#include "federation/users/query_ask.h"
#include "matrix/id.h"
#include "server/remote_request.h"
#include "server/routes.h"

static const struct err *profile_not_found(void)
{
    return err(ERR_NOT_FOUND, "There is no such user");
}

/* For a user of another server. */
static const struct err *ask_for_profile(struct request *rq, struct reply *rp, const char *user_id,
                                         const char *field, const json_t **ret)
{
    bool here;
    TRY(remote_request_begin(rq, rp, str_dup(rq->arena, id_server(str_of(user_id))), &here));
    return here ? federation_get_profile(job_of(rq), user_id, field, ret) : NULL;
}

/* The whole profile, or at least that field. *ret stays NULL when the reply is made already. */
static const struct err *read_profile(struct request *rq, struct reply *rp, const char *field,
                                      const json_t **ret)
{
    const char *user_id = request_param(rq, "user");
    if (!caller_of(rq) && job_of(rq)->config->require_auth_for_profile_requests)
        return err(ERR_MISSING_TOKEN, "Sign in to see profiles of this server");
    if (!id_is_user(str_of(user_id)))
        return err(ERR_INVALID_PARAM, "That is not a user id");
    if (id_is_remote(job_of(rq)->node, user_id))
        return ask_for_profile(rq, rp, user_id, field, ret);
    TRY(profile_read(job_of(rq), user_id, ret));
    return *ret ? NULL : profile_not_found();
}

static const struct err *profile_get_profile(struct request *rq, struct reply *rp)
{
    const json_t *fields = NULL;
    TRY(read_profile(rq, rp, NULL, &fields));
    return fields ? reply_tree(rp, 200, json_copy((json_t *)fields)) : NULL;
}

static const struct err *get_field(struct request *rq, struct reply *rp)
{
    const char *key = request_param(rq, "key");
    const json_t *fields = NULL;
    TRY(profile_check_key(key));
    TRY(read_profile(rq, rp, key, &fields));
    if (!fields)
        return NULL;
    json_t *value = json_object_get(fields, key);
    if (!value)
        return err(ERR_NOT_FOUND, "%.100s has set no such field in their profile",
                   request_param(rq, "user"));
    return reply_json(rp, 200, "{s:O}", key, value);
}

/* Guests may only change their display name. */
static const struct err *check_may_change(struct request *rq, const char *key)
{
    const struct caller *c = caller_of(rq);
    if (strcmp(c->user_id, request_param(rq, "user")) != 0)
        return err(ERR_FORBIDDEN, "That is another user's profile");
    if (c->is_guest && strcmp(key, "displayname") != 0)
        return err(ERR_GUEST_ACCESS_FORBIDDEN, "Guests may only change their display name");
    if (c->is_suspended)
        return err(ERR_USER_SUSPENDED, "You cannot perform this action while suspended");
    return NULL;
}

static const struct err *put_field(struct request *rq, struct reply *rp)
{
    const struct caller *c = caller_of(rq);
    const char *key = request_param(rq, "key");
    TRY(profile_check_key(key));
    TRY(check_may_change(rq, key));
    const json_t *value = json_object_get(rq->body, key);
    if (!value)
        return err(ERR_MISSING_PARAM, "The body must have a member with the field's name");
    TRY(profile_set_field(job_of(rq), c->user, c->user_id, key, value));
    return reply_empty(rp);
}

static const struct err *delete_field(struct request *rq, struct reply *rp)
{
    const struct caller *c = caller_of(rq);
    const char *key = request_param(rq, "key");
    TRY(profile_check_key(key));
    TRY(check_may_change(rq, key));
    TRY(profile_set_field(job_of(rq), c->user, c->user_id, key, NULL));
    return reply_empty(rp);
}

#define SPEC "Profiles"
#define UNSTABLE "/_matrix/client/unstable/uk.tcpip.msc4133/profile/{user}"

const struct route profile_routes[] = {
    {.method = GET,
     .path = "/_matrix/client/v3/profile/{user}",
     .handler = profile_get_profile,
     .moves_to = POOL_REMOTE,
     .who = WHO_MAYBE_USER, /* so that a client can be charged for requests to other servers */
     .spec = SPEC,
     .also = UNSTABLE},
    {.method = GET,
     .path = "/_matrix/client/v3/profile/{user}/{key}",
     .handler = get_field,
     .moves_to = POOL_REMOTE,
     .who = WHO_MAYBE_USER,
     .spec = SPEC,
     .also = UNSTABLE "/{key}"},
    {.method = PUT,
     .path = "/_matrix/client/v3/profile/{user}/{key}",
     .handler = put_field,
     .body_max = 128 * 1024, /* so that a field that is too large gets its own error */
     .who = WHO_GUEST_TOO,
     .body = BODY_JSON,
     .rate = RATE_MESSAGE,
     .pool = POOL_SLOW,
     .spec = SPEC,
     .also = UNSTABLE "/{key}"},
    {.method = DELETE,
     .path = "/_matrix/client/v3/profile/{user}/{key}",
     .handler = delete_field,
     .who = WHO_GUEST_TOO,
     .rate = RATE_MESSAGE,
     .pool = POOL_SLOW,
     .spec = SPEC,
     .also = UNSTABLE "/{key}"},
    {.path = NULL},
};
