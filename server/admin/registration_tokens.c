/* Registration tokens, by the paths and bodies of Synapse's admin API. */
#include "storage/users/registration_tokens.h"
#include "base/clock.h"
#include "matrix/id.h"
#include "server/account/caller.h"
#include "server/routes.h"

enum { LENGTH_OF_MADE = 16 };

static json_t *number_or_null(int64_t v, bool is_null)
{
    return is_null ? json_null() : json_integer(v);
}

/* `pending` is always 0: a token is used up when the account is made. */
static json_t *token_json(const struct registration_token *t)
{
    return json_pack("{s:s, s:o, s:i, s:I, s:o}", "token", t->token, "uses_allowed",
                     number_or_null(t->uses_allowed, t->uses_allowed < 0), "pending", 0,
                     "completed", (json_int_t)t->completed, "expiry_time",
                     number_or_null(t->expires_ts, t->expires_ts == 0));
}

static const struct err *need_token(struct request *rq, struct registration_token *ret)
{
    bool found;
    TRY(registration_token_get(job_tx(job_of(rq)), request_param(rq, "token"), &found, ret));
    return found ? NULL : err(ERR_NOT_FOUND, "No such registration token");
}

static const struct err *get_tokens(struct request *rq, struct reply *rp)
{
    const struct registration_token *tokens;
    size_t n;
    bool wanted;
    TRY(request_query_bool(rq, "valid", true, &wanted));
    TRY(registration_tokens_list(job_tx(job_of(rq)), &tokens, &n));
    bool all = !request_query(rq, "valid");
    json_t *list = json_array();
    for (size_t i = 0; i < n; i++)
        if (all || registration_token_is_usable(&tokens[i], now_ms()) == wanted)
            json_array_append_new(list, token_json(&tokens[i]));
    return reply_json(rp, 200, "{s:o}", "registration_tokens", list);
}

static const struct err *get_token(struct request *rq, struct reply *rp)
{
    struct registration_token t = {0};
    TRY(need_token(rq, &t));
    return reply_tree(rp, 200, token_json(&t));
}

/* Absent members change nothing, null removes the limit. */
static const struct err *read_limits(const json_t *body, struct registration_token *t)
{
    const json_t *uses = json_object_get(body, "uses_allowed"),
                 *expiry = json_object_get(body, "expiry_time");
    if (uses) {
        t->uses_allowed = json_is_null(uses) ? -1 : json_integer_value(uses);
        if (!json_is_null(uses) && (!json_is_integer(uses) || t->uses_allowed < 0))
            return err(ERR_INVALID_PARAM, "uses_allowed must be a number from 0, or null");
    }
    if (expiry) {
        t->expires_ts = json_is_null(expiry) ? 0 : json_integer_value(expiry);
        if (!json_is_null(expiry) && (!json_is_integer(expiry) || t->expires_ts <= now_ms()))
            return err(ERR_INVALID_PARAM, "expiry_time must be in the future, or null");
    }
    return NULL;
}

static const struct err *post_new(struct request *rq, struct reply *rp)
{
    struct registration_token t = {.uses_allowed = -1};
    int64_t length;
    bool done;
    TRY(json_want_string(rq->body, "token", NULL, &t.token));
    TRY(json_want_int(rq->body, "length", LENGTH_OF_MADE, &length));
    if (length < 1 || length > REGISTRATION_TOKEN_MAX)
        return err(ERR_INVALID_PARAM, "length must be from 1 to %d", REGISTRATION_TOKEN_MAX);
    if (!t.token)
        t.token = id_random(rq->arena, (size_t)length);
    if (!registration_token_is_wellformed(str_of(t.token)))
        return err(ERR_INVALID_PARAM, "A token has 1 to 64 of the characters A-Z a-z 0-9 . _ ~ -");
    TRY(read_limits(rq->body, &t));
    TRY(registration_token_add(job_tx(job_of(rq)), &t, &done));
    if (!done)
        return err(ERR_INVALID_PARAM, "There is a token of that name already");
    return reply_tree(rp, 200, token_json(&t));
}

static const struct err *put_token(struct request *rq, struct reply *rp)
{
    struct registration_token t = {0};
    bool done;
    TRY(need_token(rq, &t));
    TRY(read_limits(rq->body, &t));
    TRY(registration_token_change(job_tx(job_of(rq)), &t, &done));
    return reply_tree(rp, 200, token_json(&t));
}

static const struct err *delete_token(struct request *rq, struct reply *rp)
{
    bool done;
    TRY(registration_token_remove(job_tx(job_of(rq)), request_param(rq, "token"), &done));
    return done ? reply_empty(rp) : err(ERR_NOT_FOUND, "No such registration token");
}

#define TOKENS "/_synapse/admin/v1/registration_tokens"

const struct route registration_tokens_routes[] = {
    {.method = GET, .path = TOKENS, .handler = get_tokens, .who = WHO_ADMIN, .spec = "-"},
    {.method = POST,
     .path = TOKENS "/new",
     .handler = post_new,
     .who = WHO_ADMIN,
     .body = BODY_MAYBE,
     .spec = "-"},
    {.method = GET, .path = TOKENS "/{token}", .handler = get_token, .who = WHO_ADMIN, .spec = "-"},
    {.method = PUT,
     .path = TOKENS "/{token}",
     .handler = put_token,
     .who = WHO_ADMIN,
     .body = BODY_JSON,
     .spec = "-"},
    {.method = DELETE,
     .path = TOKENS "/{token}",
     .handler = delete_token,
     .who = WHO_ADMIN,
     .spec = "-"},
    {.path = NULL},
};
