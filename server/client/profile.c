/* Client-server API, "Profiles". */
#include "rooms/profile.h"
#include "matrix/id.h"
#include "server/caller.h"
#include "server/routes.h"
#include "storage/users.h"

static const struct err *not_found(void)
{
    return err(ERR_NOT_FOUND, "No such profile");
}

static const struct err *read_profile(struct request *rq, const json_t **ret)
{
    struct job *job = job_of(rq);
    const char *user_id = request_param(rq, "user");
    struct account a = {0};
    bool found;
    if (!id_is_user(str_of(user_id)))
        return err(ERR_INVALID_PARAM, "That is not a user id");
    TRY(users_find(job_tx(job), user_id, &found, &a));
    if (!found)
        return not_found();
    struct profile p = {0};
    json_t *fields;
    TRY(profile_get(job_tx(job), a.user, &p));
    TRY(json_read(rq->arena, p.fields, &fields));
    *ret = fields;
    return NULL;
}

static const struct err *get_profile(struct request *rq, struct reply *rp)
{
    const json_t *fields = NULL;
    TRY(read_profile(rq, &fields));
    return reply_tree(rp, 200, json_copy((json_t *)fields));
}

static const struct err *get_field(struct request *rq, struct reply *rp)
{
    const char *key = request_param(rq, "key");
    const json_t *fields = NULL;
    TRY(profile_check_key(key));
    TRY(read_profile(rq, &fields));
    json_t *value = json_object_get(fields, key);
    if (!value)
        return not_found();
    return reply_json(rp, 200, "{s:O}", key, value);
}

/* Guests may only change their display name. */
static const struct err *check_may_change(struct request *rq, const char *key)
{
    const struct caller *c = caller_of(rq);
    if (strcmp(c->user_id, request_param(rq, "user")) != 0)
        return err(ERR_FORBIDDEN, "That is the profile of somebody else");
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
        return err(ERR_MISSING_PARAM, "The body must have a member named as the field");
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
     .handler = get_profile,
     .spec = SPEC,
     .also = UNSTABLE},
    {.method = GET,
     .path = "/_matrix/client/v3/profile/{user}/{key}",
     .handler = get_field,
     .spec = SPEC,
     .also = UNSTABLE "/{key}"},
    {.method = PUT,
     .path = "/_matrix/client/v3/profile/{user}/{key}",
     .handler = put_field,
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
