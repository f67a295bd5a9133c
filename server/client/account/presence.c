/* Client-server API, "Presence". */
#include "users/presence.h"
#include "users/users.h"

#include "matrix/id.h"
#include "server/client/shared/user_request.h"
#include "server/routes.h"
#include "storage/db/intern.h"

static const struct err *put_status(struct request *rq, struct reply *rp)
{
    struct presence_who who = presence_who_of(rq);
    const char *text, *status_msg;
    enum presence_state state;
    TRY(need_own_user(rq));
    TRY(json_need_string(rq->body, "presence", &text));
    TRY(json_want_string(rq->body, "status_msg", NULL, &status_msg));
    if (!presence_state_parse(text, &state))
        return err(ERR_INVALID_PARAM, "presence must be online, unavailable or offline");
    if (job_of(rq)->users->presence)
        TRY(presence_set(job_of(rq), &who, state, status_msg));
    return reply_empty(rp);
}

static const struct err *check_may_see(struct request *rq, int64_t user)
{
    bool shares = user == caller_of(rq)->user;
    if (user && !shares)
        TRY(presence_share_room(job_tx(job_of(rq)), caller_of(rq)->user, user, &shares));
    return shares ? NULL : err(ERR_FORBIDDEN, "You are not allowed to see their presence");
}

static const struct err *get_status(struct request *rq, struct reply *rp)
{
    const char *user_id = request_param(rq, "user");
    struct job *job = job_of(rq);
    int64_t user;
    if (!id_is_user(str_of(user_id)))
        return err(ERR_INVALID_PARAM, "That is not a user id");
    TRY(intern_find(job->storage->intern, INTERN_USER, user_id, &user));
    TRY(check_may_see(rq, user));
    struct presence_row row = {.state = PRESENCE_OFFLINE};
    if (job->users->presence)
        TRY(presence_get(job, user, &row));
    presence_add_content(&row, &rp->body);
    return reply_body(rp, 200);
}

const struct route presence_routes[] = {
    {.method = PUT,
     .path = "/_matrix/client/v3/presence/{user}/status",
     .handler = put_status,
     .who = WHO_USER,
     .body = BODY_JSON,
     .rate = RATE_ACCOUNT,
     .spec = "Presence"},
    {.method = GET,
     .path = "/_matrix/client/v3/presence/{user}/status",
     .handler = get_status,
     .who = WHO_USER,
     .spec = "Presence"},
    {.path = NULL},
};
