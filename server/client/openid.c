/* Client-server API, "OpenID". */
#include "server/caller.h"
#include "server/routes.h"
#include "storage/passes.h"

enum { LIFETIME_S = 3600 };

static const struct err *post_request_token(struct request *rq, struct reply *rp)
{
    struct job *job = job_of(rq);
    const struct caller *c = caller_of(rq);
    const char *token;
    if (strcmp(c->user_id, request_param(rq, "user")) != 0)
        return err(ERR_FORBIDDEN, "Tokens can only be had for oneself");
    TRY(passes_make(job_tx(job), PASS_OPENID, c->user, LIFETIME_S * 1000LL, &token));
    return reply_json(rp, 200, "{s:s, s:s, s:s, s:i}", "access_token", token, "token_type",
                      "Bearer", "matrix_server_name", job->store->config->server_name, "expires_in",
                      LIFETIME_S);
}

const struct route openid_routes[] = {
    {.method = POST,
     .path = "/_matrix/client/v3/user/{user}/openid/request_token",
     .handler = post_request_token,
     .who = WHO_USER,
     .body = BODY_MAYBE,
     .spec = "OpenID"},
    {.path = NULL},
};
