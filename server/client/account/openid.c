/* Client-server API, "OpenID"; server-server API, "OpenID". */
#include "server/account/caller.h"
#include "server/routes.h"
#include "storage/users/one_time_tokens.h"
#include "storage/users/users.h"

enum { LIFETIME_S = 3600 };

static const struct err *post_request_token(struct request *rq, struct reply *rp)
{
    struct job *job = job_of(rq);
    const struct caller *c = caller_of(rq);
    const char *token;
    if (strcmp(c->user_id, request_param(rq, "user")) != 0)
        return err(ERR_FORBIDDEN, "You can only get tokens for yourself");
    TRY(one_time_tokens_make(job_tx(job), ONE_TIME_OPENID, c->user, LIFETIME_S * 1000LL, &token));
    return reply_json(rp, 200, "{s:s, s:s, s:s, s:i}", "access_token", token, "token_type",
                      "Bearer", "matrix_server_name", job->config->server_name, "expires_in",
                      LIFETIME_S);
}

/* Called by the service that received the token; not signed by a server. */
static const struct err *get_userinfo(struct request *rq, struct reply *rp)
{
    struct job *job = job_of(rq);
    const char *token = request_query(rq, "access_token");
    if (!token)
        return err(ERR_MISSING_TOKEN, "Missing access_token");
    struct account a = {0};
    int64_t user;
    bool found;
    TRY(one_time_tokens_look(job_tx(job), ONE_TIME_OPENID, token, &found, &user));
    if (found)
        TRY(users_get(job_tx(job), user, &found, &a));
    if (!found)
        return err(ERR_UNKNOWN_TOKEN, "Access token unknown or expired");
    return reply_json(rp, 200, "{s:s}", "sub", a.user_id);
}

const struct route openid_routes[] = {
    {.method = GET,
     .path = "/_matrix/federation/v1/openid/userinfo",
     .handler = get_userinfo,
     .rate = RATE_KEY,
     .pool = POOL_FEDERATION,
     .spec = "OpenID"},
    {.method = POST,
     .path = "/_matrix/client/v3/user/{user}/openid/request_token",
     .handler = post_request_token,
     .who = WHO_USER,
     .body = BODY_MAYBE,
     .rate = RATE_ACCOUNT,
     .spec = "OpenID"},
    {.path = NULL},
};
