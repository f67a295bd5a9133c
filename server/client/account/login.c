/* Client-server API, "Login", "Refreshing access tokens", "Current account information". */
#include "server/account/attempts.h"
#include "server/account/credentials.h"
#include "server/account/sessions_end.h"
#include "server/account/sign_in.h"
#include "server/account/uia.h"
#include "server/routes.h"
#include "storage/users/one_time_tokens.h"

enum { LOGIN_TOKEN_LIFETIME_MS = 2 * 60 * 1000 };

static const struct err *get_login(struct request *rq, struct reply *rp)
{
    return reply_json(rp, 200, "{s:[{s:s},{s:s, s:b}]}", "flows", "type", "m.login.password",
                      "type", "m.login.token", "get_login_token", 1);
}

/* ---- the ways to log in ---- */

static const struct err *move_to_pool(struct request *rq, struct reply *rp, const char *user_id)
{
    enum queue_order order;
    TRY(credentials_count(rq, user_id, &order));
    return reply_elsewhere_as(rp, POOL_PASSWORD, order);
}

static const struct err *login_check_password(struct request *rq, const char *user_id,
                                              const char *password, struct account *ret)
{
    bool right;
    TRY(credentials_check(rq, user_id, password, &right, ret));
    return right ? NULL : err(ERR_FORBIDDEN, "Wrong user name or password");
}

/* Attempts above the limit are refused before they reach POOL_PASSWORD. */
static const struct err *by_password(struct request *rq, struct reply *rp, bool *ret_here,
                                     struct account *ret)
{
    struct job *job = job_of(rq);
    const json_t *body = rq->body;
    const char *user_id, *password;
    TRY(credentials_user_id(job, body, &user_id));
    if (!user_id)
        return err(ERR_MISSING_PARAM, "Missing identifier");
    TRY(json_need_string(body, "password", &password));
    *ret_here = rq->pool == POOL_PASSWORD;
    const struct err *e = *ret_here ? login_check_password(rq, user_id, password, ret)
                                    : move_to_pool(rq, rp, user_id);
    if (e && err_status(e) < 500)
        attempts_log_failure(rq, user_id, e->text);
    return e;
}

static const struct err *by_token(struct request *rq, struct reply *rp, bool *ret_here,
                                  struct account *ret)
{
    struct job *job = job_of(rq);
    const char *token;
    int64_t user;
    bool found;
    *ret_here = true;
    TRY(json_need_string(rq->body, "token", &token));
    TRY(one_time_tokens_take(job_tx(job), ONE_TIME_LOGIN, token, &found, &user));
    if (found)
        TRY(users_get(job_tx(job), user, &found, ret));
    return found ? NULL : err(ERR_FORBIDDEN, "The login token is not valid");
}

static const struct {
    const char *type;
    const struct err *(*prove)(struct request *rq, struct reply *rp, bool *ret_here,
                               struct account *ret);
} ways[] = {{"m.login.password", by_password}, {"m.login.token", by_token}};

/* *ret_here false: the request moves to another pool. */
static const struct err *prove(struct request *rq, struct reply *rp, bool *ret_here,
                               struct account *ret)
{
    const char *type;
    TRY(json_need_string(rq->body, "type", &type));
    for (size_t i = 0; i < sizeof ways / sizeof *ways; i++)
        if (strcmp(ways[i].type, type) == 0)
            return ways[i].prove(rq, rp, ret_here, ret);
    return err(ERR_UNKNOWN, "Unknown login type");
}

static void add_well_known(struct job *job, json_t *reply)
{
    const char *url = job->config->public_baseurl;
    if (url)
        json_object_set_new(reply, "well_known",
                            json_pack("{s:{s:s}}", "m.homeserver", "base_url", url));
}

static const struct err *post_login(struct request *rq, struct reply *rp)
{
    struct job *job = job_of(rq);
    struct sign_in how;
    struct account a;
    bool here;
    TRY(sign_in_read(rq->body, &how));
    TRY(prove(rq, rp, &here, &a));
    if (!here)
        return NULL;
    if (a.deactivated || a.locked)
        attempts_log_failure(rq, a.user_id, a.locked ? "locked" : "deactivated");
    if (a.deactivated)
        return err(ERR_USER_DEACTIVATED, "This account has been deactivated");
    if (a.locked)
        return err_with_fields(err(ERR_USER_LOCKED, "This account has been locked"),
                               "\"soft_logout\":true");
    json_t *reply = NULL;
    TRY(attempts_note_sign_in(rq, a.user));
    TRY(sign_in(job, a.user, a.user_id, &how, &reply));
    add_well_known(job, reply);
    return reply_tree(rp, 200, reply);
}

/* Each further client needs a new confirmation: a completed session is used up. */
static const struct err *post_get_token(struct request *rq, struct reply *rp)
{
    bool done;
    TRY(uia_require_password(rq, rp, &done));
    if (!done)
        return NULL;
    const char *token;
    TRY(one_time_tokens_make(job_tx(job_of(rq)), ONE_TIME_LOGIN, caller_of(rq)->user,
                             LOGIN_TOKEN_LIFETIME_MS, &token));
    return reply_json(rp, 200, "{s:s, s:i}", "login_token", token, "expires_in_ms",
                      LOGIN_TOKEN_LIFETIME_MS);
}

/* ---- logging out ---- */

static const struct err *post_refresh(struct request *rq, struct reply *rp)
{
    const char *token;
    json_t *reply = NULL;
    TRY(json_need_string(rq->body, "refresh_token", &token));
    TRY(sign_in_refresh(rq, token, &reply));
    return reply_tree(rp, 200, reply);
}

static const struct err *post_logout(struct request *rq, struct reply *rp)
{
    const struct caller *c = caller_of(rq);
    TRY(sessions_end_device(job_of(rq), c->user, c->user_id, c->device_id));
    return reply_empty(rp);
}

static const struct err *post_logout_all(struct request *rq, struct reply *rp)
{
    const struct caller *c = caller_of(rq);
    TRY(sessions_end_all(job_of(rq), c->user, c->user_id, 0));
    return reply_empty(rp);
}

static const struct err *get_whoami(struct request *rq, struct reply *rp)
{
    const struct caller *c = caller_of(rq);
    return reply_json(rp, 200, "{s:s, s:s, s:b}", "user_id", c->user_id, "device_id", c->device_id,
                      "is_guest", c->is_guest);
}

const struct route login_routes[] = {
    {.method = GET, .path = "/_matrix/client/v3/login", .handler = get_login, .spec = "Login"},
    {.method = POST,
     .path = "/_matrix/client/v3/login",
     .handler = post_login,
     .body = BODY_JSON,
     .body_max = BODY_TINY,
     .rate = RATE_LOGIN,
     .moves_to = POOL_PASSWORD,
     .spec = "Login"},
    {.method = POST,
     .path = "/_matrix/client/v1/login/get_token",
     .handler = post_get_token,
     .who = WHO_USER,
     .body = BODY_MAYBE,
     .rate = RATE_LOGIN,
     .pool = POOL_PASSWORD,
     .spec = "Login",
     .also = "/_matrix/client/unstable/org.matrix.msc3882/login/get_token"},
    {.method = POST,
     .path = "/_matrix/client/v3/refresh",
     .handler = post_refresh,
     .body = BODY_JSON,
     .body_max = BODY_TINY,
     .spec = "Refreshing access tokens",
     .also = "/_matrix/client/v1/refresh"},
    {.method = POST,
     .path = "/_matrix/client/v3/logout",
     .handler = post_logout,
     .who = WHO_GUEST_TOO,
     .spec = "Login"},
    {.method = POST,
     .path = "/_matrix/client/v3/logout/all",
     .handler = post_logout_all,
     .who = WHO_GUEST_TOO,
     .spec = "Login"},
    {.method = GET,
     .path = "/_matrix/client/v3/account/whoami",
     .handler = get_whoami,
     .who = WHO_GUEST_TOO,
     .spec = "Current account information"},
    {.path = NULL},
};
