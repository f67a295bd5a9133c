/* Client-server API, "Typing Notifications". */
#include "users/typing.h"
#include "users/users.h"

#include "server/client/shared/room_request.h"
#include "server/client/shared/user_request.h"
#include "server/routes.h"

enum { TIMEOUT_DEFAULT_MS = 30 * 1000, TIMEOUT_MAX_MS = 120 * 1000 };

static const struct err *put_typing(struct request *rq, struct reply *rp)
{
    const struct caller *c = caller_of(rq);
    struct room *room;
    bool typing;
    int64_t timeout;
    const json_t *v = json_object_get(rq->body, "typing");
    TRY(need_own_user(rq));
    if (!v)
        return err(ERR_MISSING_PARAM, "Missing typing");
    TRY(json_want_bool(rq->body, "typing", false, &typing));
    TRY(json_want_int(rq->body, "timeout", TIMEOUT_DEFAULT_MS, &timeout));
    TRY(room_of_request(rq, &room));
    TRY(room_need_joined(room, c->user));
    if (timeout < 0)
        return err(ERR_INVALID_PARAM, "timeout must not be negative");
    if (timeout > TIMEOUT_MAX_MS)
        timeout = TIMEOUT_MAX_MS;
    TRY(typing_set(job_of(rq), room->id, c->user, c->user_id, typing ? (int)timeout : 0));
    caller_acts(rq);
    return reply_empty(rp);
}

const struct route typing_routes[] = {
    {.method = PUT,
     .path = "/_matrix/client/v3/rooms/{room}/typing/{user}",
     .handler = put_typing,
     .who = WHO_USER,
     .body = BODY_JSON,
     .rate = RATE_ACCOUNT,
     .spec = "Typing Notifications"},
    {.path = NULL},
};
