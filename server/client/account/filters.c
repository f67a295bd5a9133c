/* Client-server API, "Filtering": filters that clients store. */
#include "storage/users/filters.h"
#include "matrix/filter.h"
#include "server/client/shared/user_request.h"
#include "server/routes.h"

enum { FILTER_BYTES_MAX = 64 * 1024 };

static const struct err *post_filter(struct request *rq, struct reply *rp)
{
    struct filter checked;
    int64_t id;
    TRY(need_own_user(rq));
    TRY(filter_parse(rq->arena, rq->body, &checked));
    TRY(filters_add(job_tx(job_of(rq)), caller_of(rq)->user,
                    str_of(json_write(rq->arena, rq->body)), &id));
    return reply_json(rp, 200, "{s:s}", "filter_id",
                      arena_printf(rq->arena, "%lld", (long long)id));
}

static const struct err *get_filter(struct request *rq, struct reply *rp)
{
    int64_t id;
    struct str json = {0};
    TRY(need_own_user(rq));
    if (str_to_int64(str_of(request_param(rq, "filter")), &id))
        TRY(filters_get(job_tx(job_of(rq)), caller_of(rq)->user, id, &json));
    if (!json.p)
        return err(ERR_NOT_FOUND, "No such filter");
    buf_add_str(&rp->body, json);
    return reply_body(rp, 200);
}

const struct route filters_routes[] = {
    {.method = POST,
     .path = "/_matrix/client/v3/user/{user}/filter",
     .handler = post_filter,
     .who = WHO_GUEST_TOO,
     .body = BODY_JSON,
     .rate = RATE_ACCOUNT,
     .body_max = FILTER_BYTES_MAX,
     .spec = "Filtering"},
    {.method = GET,
     .path = "/_matrix/client/v3/user/{user}/filter/{filter}",
     .handler = get_filter,
     .who = WHO_GUEST_TOO,
     .spec = "Filtering"},
    {.path = NULL},
};
