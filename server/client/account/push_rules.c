/* Client-server API, "Push Rules: API". The only scope is `global`. */
#include "matrix/push_rules.h"
#include "rooms/account_cache.h"
#include "server/client/shared/user_request.h"
#include "server/routes.h"

/* ---- reading ---- */

static const struct err *read_ruleset(struct request *rq, const json_t **ret)
{
    const struct user_rules *rules;
    TRY(user_rules_get(job_of(rq), caller_of(rq)->user, caller_of(rq)->user_id, &rules));
    *ret = rules->ruleset;
    return NULL;
}

/* Below /pushrules/ other servers have one handler that parses the path itself, and clients expect
 * its answers. */
static const struct err *odd_path(void)
{
    return err(ERR_ODD_PATH, "Unrecognized request: the path of push rules is "
                             "pushrules/global/{kind}/{rule}, with a slash at the end of lists");
}

static const struct err *refuse_path(struct request *rq, struct reply *rp)
{
    return odd_path();
}

static const struct err *find_rule(struct request *rq, const json_t **ret)
{
    const json_t *ruleset;
    TRY(read_ruleset(rq, &ruleset));
    if (!json_object_get(ruleset, request_param(rq, "kind")))
        return odd_path();
    *ret = push_rules_find(ruleset, request_param(rq, "kind"), request_param(rq, "rule"));
    return *ret ? NULL : err(ERR_NOT_FOUND, "The push rule was not found");
}

static const struct err *push_rules_get_all(struct request *rq, struct reply *rp)
{
    const json_t *ruleset;
    TRY(read_ruleset(rq, &ruleset));
    return reply_json(rp, 200, "{s:O}", "global", ruleset);
}

static const struct err *push_rules_get_global(struct request *rq, struct reply *rp)
{
    const json_t *ruleset;
    TRY(read_ruleset(rq, &ruleset));
    return reply_tree(rp, 200, json_incref((json_t *)ruleset));
}

static const struct err *get_kind(struct request *rq, struct reply *rp)
{
    const json_t *ruleset;
    TRY(read_ruleset(rq, &ruleset));
    json_t *rules = json_object_get(ruleset, request_param(rq, "kind"));
    if (!rules)
        return odd_path();
    return reply_tree(rp, 200, json_incref(rules));
}

static const struct err *get_rule(struct request *rq, struct reply *rp)
{
    const json_t *rule;
    TRY(find_rule(rq, &rule));
    return reply_tree(rp, 200, json_incref((json_t *)rule));
}

static const struct err *get_enabled(struct request *rq, struct reply *rp)
{
    const json_t *rule;
    TRY(find_rule(rq, &rule));
    return reply_json(rp, 200, "{s:O}", "enabled", json_object_get(rule, "enabled"));
}

static const struct err *get_actions(struct request *rq, struct reply *rp)
{
    const json_t *rule;
    TRY(find_rule(rq, &rule));
    return reply_json(rp, 200, "{s:O}", "actions", json_object_get(rule, "actions"));
}

/* ---- changing ---- */

static const struct err *
push_rules_change(struct request *rq, struct reply *rp,
                  const struct err *(*edit)(void *ctx, const json_t *before, json_t **ret))
{
    TRY(account_data_edit(job_of(rq), &(struct account_edit){.user = caller_of(rq)->user,
                                                             .type = "m.push_rules",
                                                             .edit = edit,
                                                             .ctx = rq}));
    return reply_empty(rp);
}

static const struct err *edit_put(void *ctx, const json_t *stored, json_t **ret)
{
    struct request *rq = ctx;
    return push_rules_put(stored, request_param(rq, "kind"), request_param(rq, "rule"), rq->body,
                          request_query(rq, "before"), request_query(rq, "after"), ret);
}

static const struct err *put_rule(struct request *rq, struct reply *rp)
{
    return push_rules_change(rq, rp, edit_put);
}

static const struct err *edit_delete(void *ctx, const json_t *stored, json_t **ret)
{
    struct request *rq = ctx;
    return push_rules_delete(stored, request_param(rq, "kind"), request_param(rq, "rule"), ret);
}

static const struct err *delete_rule(struct request *rq, struct reply *rp)
{
    return push_rules_change(rq, rp, edit_delete);
}

static const struct err *edit_enabled(void *ctx, const json_t *stored, json_t **ret)
{
    struct request *rq = ctx;
    return push_rules_set_enabled(stored, request_param(rq, "kind"), request_param(rq, "rule"),
                                  json_is_true(json_object_get(rq->body, "enabled")), ret);
}

static const struct err *put_enabled(struct request *rq, struct reply *rp)
{
    const json_t *enabled = json_object_get(rq->body, "enabled");
    if (!enabled)
        return err(ERR_MISSING_PARAM, "Missing enabled");
    if (!json_is_boolean(enabled))
        return err(ERR_BAD_JSON, "enabled must be true or false");
    return push_rules_change(rq, rp, edit_enabled);
}

static const struct err *edit_actions(void *ctx, const json_t *stored, json_t **ret)
{
    struct request *rq = ctx;
    return push_rules_set_actions(stored, request_param(rq, "kind"), request_param(rq, "rule"),
                                  json_object_get(rq->body, "actions"), ret);
}

static const struct err *put_actions(struct request *rq, struct reply *rp)
{
    const json_t *actions;
    TRY(json_need_array(rq->body, "actions", &actions));
    return push_rules_change(rq, rp, edit_actions);
}

#define PUSH_RULES "/_matrix/client/v3/pushrules"
#define RULE PUSH_RULES "/global/{kind}/{rule}"

const struct route push_rules_routes[] = {
    {GET, PUSH_RULES "/", push_rules_get_all, WHO_USER, .spec = "Push Rules: API"},
    {GET, PUSH_RULES "/global/", push_rules_get_global, WHO_USER, .spec = "Push Rules: API"},
    {GET, PUSH_RULES "/global/{kind}/", get_kind, WHO_USER, .spec = "Push Rules: API"},
    {GET, PUSH_RULES "/{path...}", refuse_path, WHO_USER, .spec = "Push Rules: API"},
    {PUT, PUSH_RULES "/{path...}", refuse_path, WHO_USER, BODY_MAYBE, .rate = RATE_ACCOUNT,
     .spec = "Push Rules: API"},
    {PUT, PUSH_RULES "/global/{kind}/", refuse_path, WHO_USER, BODY_MAYBE, .rate = RATE_ACCOUNT,
     .spec = "Push Rules: API"},
    {DELETE, PUSH_RULES "/global/{kind}/", refuse_path, WHO_USER, .rate = RATE_ACCOUNT,
     .spec = "Push Rules: API"},
    {DELETE, PUSH_RULES "/{path...}", refuse_path, WHO_USER, .rate = RATE_ACCOUNT,
     .spec = "Push Rules: API"},
    {GET, RULE, get_rule, WHO_USER, .spec = "Push Rules: API"},
    {PUT, RULE, put_rule, WHO_USER, BODY_JSON, .rate = RATE_ACCOUNT, .spec = "Push Rules: API"},
    {DELETE, RULE, delete_rule, WHO_USER, .rate = RATE_ACCOUNT, .spec = "Push Rules: API"},
    {GET, RULE "/enabled", get_enabled, WHO_USER, .spec = "Push Rules: API"},
    {PUT, RULE "/enabled", put_enabled, WHO_USER, BODY_JSON, .rate = RATE_ACCOUNT,
     .spec = "Push Rules: API"},
    {GET, RULE "/actions", get_actions, WHO_USER, .spec = "Push Rules: API"},
    {PUT, RULE "/actions", put_actions, WHO_USER, BODY_JSON, .rate = RATE_ACCOUNT,
     .spec = "Push Rules: API"},
    {.path = NULL},
};
