/* Client-server API, "Client Config": account data. */
#include "storage/users/account_data.h"
#include "rooms/account_cache.h"
#include "server/client/shared/user_request.h"
#include "server/routes.h"

enum {
    TYPE_MAX = 255,
    CONTENT_MAX = 512 * 1024,
    IGNORED_MAX =
        2000 /* users: each is looked up whenever something is counted for the ignoring user */
};

/* Types that the server manages have APIs of their own. */
static const struct err *check_type(const char *type)
{
    if (strcmp(type, "m.fully_read") == 0 || strcmp(type, "m.push_rules") == 0)
        return err(ERR_SERVER_CONTROLLED, "Cannot set %s through this API", type);
    if (strlen(type) > TYPE_MAX)
        return err(ERR_INVALID_PARAM, "A type is at most %d bytes", TYPE_MAX);
    return NULL;
}

static const struct err *account_account_data_set(struct request *rq, struct reply *rp,
                                                  int64_t room)
{
    struct job *job = job_of(rq);
    TRY(account_data_check_space(job_tx(job), caller_of(rq)->user, room, request_param(rq, "type"),
                                 rq->raw.n));
    struct write *w = write_begin(job);
    account_data_set(w, caller_of(rq)->user, room, request_param(rq, "type"), rq->raw);
    TRY(write_commit(job, w, NULL));
    return reply_empty(rp);
}

/* Users who ignored themselves would not see their own messages. */
static const struct err *check_content(struct request *rq)
{
    const json_t *ignored = json_object_get(rq->body, "ignored_users");
    if (strcmp(request_param(rq, "type"), "m.ignored_user_list") != 0)
        return NULL;
    if (json_object_get(ignored, caller_of(rq)->user_id))
        return err(ERR_INVALID_PARAM, "You cannot ignore yourself");
    if (json_object_size(ignored) > IGNORED_MAX)
        return err(ERR_TOO_LARGE, "You can ignore at most %d users", IGNORED_MAX);
    return NULL;
}

static const struct err *put_global(struct request *rq, struct reply *rp)
{
    TRY(need_own_user(rq));
    TRY(check_type(request_param(rq, "type")));
    TRY(check_content(rq));
    return account_account_data_set(rq, rp, 0);
}

static const struct err *put_room(struct request *rq, struct reply *rp)
{
    int64_t room;
    TRY(need_own_user(rq));
    TRY(room_number_of_request(rq, &room));
    TRY(check_type(request_param(rq, "type")));
    if (!room)
        return err(ERR_NOT_FOUND, "Unknown room");
    return account_account_data_set(rq, rp, room);
}

/* Only the difference from the predefined rules is stored. */
static const struct err *reply_push_rules(struct request *rq, struct reply *rp)
{
    const struct user_rules *rules;
    TRY(user_rules_get(job_of(rq), caller_of(rq)->user, caller_of(rq)->user_id, &rules));
    return reply_json(rp, 200, "{s:O}", "global", rules->ruleset);
}

static const struct err *account_account_data_get(struct request *rq, struct reply *rp,
                                                  int64_t room)
{
    struct str content;
    TRY(account_data_get(job_tx(job_of(rq)), caller_of(rq)->user, room, request_param(rq, "type"),
                         &content));
    if (!content.p)
        return err(ERR_NOT_FOUND, "There is no account data of this type");
    buf_add_str(&rp->body, content);
    return reply_body(rp, 200);
}

static const struct err *account_data_get_global(struct request *rq, struct reply *rp)
{
    TRY(need_own_user(rq));
    if (strcmp(request_param(rq, "type"), "m.push_rules") == 0)
        return reply_push_rules(rq, rp);
    return account_account_data_get(rq, rp, 0);
}

static const struct err *account_data_get_room(struct request *rq, struct reply *rp)
{
    int64_t room;
    TRY(need_own_user(rq));
    TRY(room_number_of_request(rq, &room));
    return account_account_data_get(rq, rp, room ? room : -1);
}

const struct route account_data_routes[] = {
    {.method = PUT,
     .path = "/_matrix/client/v3/user/{user}/account_data/{type}",
     .handler = put_global,
     .who = WHO_USER,
     .body = BODY_JSON,
     .rate = RATE_ACCOUNT,
     .body_max = CONTENT_MAX,
     .spec = "Client Config"},
    {.method = GET,
     .path = "/_matrix/client/v3/user/{user}/account_data/{type}",
     .handler = account_data_get_global,
     .who = WHO_USER,
     .spec = "Client Config"},
    {.method = PUT,
     .path = "/_matrix/client/v3/user/{user}/rooms/{room}/account_data/{type}",
     .handler = put_room,
     .who = WHO_USER,
     .body = BODY_JSON,
     .rate = RATE_ACCOUNT,
     .body_max = CONTENT_MAX,
     .spec = "Client Config"},
    {.method = GET,
     .path = "/_matrix/client/v3/user/{user}/rooms/{room}/account_data/{type}",
     .handler = account_data_get_room,
     .who = WHO_USER,
     .spec = "Client Config"},
    {.path = NULL},
};
