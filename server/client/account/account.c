/* Client-server API, "Password management", "Account deactivation", "Adding Account Administrative
 * Contact Information" (not supported: e-mail addresses and phone numbers belong to identity
 * servers). */
#include "server/account/accounts.h"
#include "server/account/credentials.h"
#include "server/account/uia.h"
#include "server/routes.h"

static const struct err *post_password(struct request *rq, struct reply *rp)
{
    const struct caller *c = caller_of(rq);
    const char *password;
    bool logout, done;
    TRY(uia_recall(rq, NULL));
    TRY(json_want_string(rq->body, "new_password", NULL, &password));
    TRY(json_want_bool(rq->body, "logout_devices", true, &logout));
    if (password)
        TRY(credentials_check_new(job_of(rq), password));
    TRY(uia_require_password(rq, rp, &done));
    if (!done)
        return NULL;
    if (!password)
        return err(ERR_MISSING_PARAM, "Missing new_password");
    TRY(accounts_set_password(job_of(rq), c->user, c->user_id, password, logout, c->device));
    return reply_empty(rp);
}

/* Without third-party identifiers, unbinding always succeeds. */
static const struct err *post_deactivate(struct request *rq, struct reply *rp)
{
    const struct caller *c = caller_of(rq);
    bool erase, done;
    TRY(uia_recall(rq, NULL));
    TRY(json_want_bool(rq->body, "erase", false, &erase));
    TRY(uia_require_password(rq, rp, &done));
    if (!done)
        return NULL;
    TRY(accounts_deactivate(job_of(rq), c->user, c->user_id, erase));
    return reply_json(rp, 200, "{s:s}", "id_server_unbind_result", "success");
}

/* ---- third-party identifiers ---- */

static const struct err *get_3pid(struct request *rq, struct reply *rp)
{
    return reply_json(rp, 200, "{s:[]}", "threepids");
}

static const struct err *refuse_change(struct request *rq, struct reply *rp)
{
    return err(ERR_FORBIDDEN, "Third-party identifiers cannot be changed on this server");
}

static const struct err *refuse_medium(struct request *rq, struct reply *rp)
{
    return err(ERR_THREEPID_MEDIUM_NOT_SUPPORTED,
               "This server does not send e-mail or text messages");
}

static const struct err *post_unbind(struct request *rq, struct reply *rp)
{
    return reply_json(rp, 200, "{s:s}", "id_server_unbind_result", "no-support");
}

#define CONTACTS "Adding Account Administrative Contact Information"
#define REFUSE(path_, handler_, who_, spec_)                                                       \
    {                                                                                              \
        .method = POST, .path = "/_matrix/client/v3/" path_, .handler = handler_, .who = who_,     \
        .body = BODY_MAYBE, .body_max = BODY_TINY, .spec = spec_                                   \
    }

const struct route account_routes[] = {
    {.method = POST,
     .path = "/_matrix/client/v3/account/password",
     .handler = post_password,
     .who = WHO_USER,
     .body = BODY_JSON,
     .rate = RATE_LOGIN,
     .pool = POOL_PASSWORD,
     .spec = "Password management"},
    {.method = POST,
     .path = "/_matrix/client/v3/account/deactivate",
     .handler = post_deactivate,
     .who = WHO_USER,
     .body = BODY_MAYBE,
     .rate = RATE_LOGIN,
     .pool = POOL_PASSWORD,
     .spec = "Account deactivation"},
    {.method = GET,
     .path = "/_matrix/client/v3/account/3pid",
     .handler = get_3pid,
     .who = WHO_USER,
     .spec = CONTACTS},
    REFUSE("account/3pid", refuse_change, WHO_USER, CONTACTS),
    REFUSE("account/3pid/add", refuse_change, WHO_USER, CONTACTS),
    REFUSE("account/3pid/bind", refuse_change, WHO_USER, CONTACTS),
    REFUSE("account/3pid/delete", post_unbind, WHO_USER, CONTACTS),
    REFUSE("account/3pid/unbind", post_unbind, WHO_USER, CONTACTS),
    REFUSE("account/3pid/email/requestToken", refuse_medium, WHO_ANYONE, CONTACTS),
    REFUSE("account/3pid/msisdn/requestToken", refuse_medium, WHO_ANYONE, CONTACTS),
    REFUSE("account/password/email/requestToken", refuse_medium, WHO_ANYONE, "Password management"),
    REFUSE("account/password/msisdn/requestToken", refuse_medium, WHO_ANYONE,
           "Password management"),
    REFUSE("register/email/requestToken", refuse_medium, WHO_ANYONE, "Account registration"),
    REFUSE("register/msisdn/requestToken", refuse_medium, WHO_ANYONE, "Account registration"),
    {.path = NULL},
};
