/* Client-server API, "User directory" and "Mutual rooms". */
#include "storage/users/user_directory.h"
#include "matrix/id.h"
#include "server/client/shared/room_request.h"
#include "server/routes.h"
#include "storage/db/intern.h"

enum { RESULTS_DEFAULT = 10, RESULTS_MAX = 50, TERM_MAX = 255, MUTUAL_PAGE = 100 };

static const struct err *result(struct request *rq, const struct found_user *u, json_t **ret)
{
    json_t *profile = NULL;
    if (u->profile.p)
        TRY(json_read_own(rq->arena, u->profile, &profile));
    *ret = json_pack("{s:s, s:s?, s:s?}", "user_id", u->user_id, "display_name",
                     json_text(profile, "displayname"), "avatar_url",
                     json_text(profile, "avatar_url"));
    return NULL;
}

static const struct err *user_directory_post_search(struct request *rq, struct reply *rp)
{
    const char *term;
    int64_t limit;
    TRY(json_need_string(rq->body, "search_term", &term));
    TRY(json_want_int(rq->body, "limit", RESULTS_DEFAULT, &limit));
    if (strlen(term) > TERM_MAX)
        return err(ERR_INVALID_PARAM, "\"search_term\" is at most %d bytes", TERM_MAX);
    if (limit < 0)
        return err(ERR_INVALID_PARAM, "\"limit\" must not be negative");
    limit = limit < RESULTS_MAX ? limit : RESULTS_MAX;
    const struct found_user *found = NULL;
    size_t n = 0;
    if (*term)
        TRY(user_directory_search(job_replica_tx(job_of(rq)), caller_of(rq)->user,
                                  job_of(rq)->config->server_name, term, limit + 1, &found, &n));
    json_t *results = json_keep(rq->arena, json_array());
    for (size_t i = 0; i < n && i < (size_t)limit; i++) {
        json_t *one;
        TRY(result(rq, &found[i], &one));
        json_array_append_new(results, one);
    }
    return reply_json(rp, 200, "{s:O, s:b}", "results", results, "limited", n > (size_t)limit);
}

static const struct err *read_from(struct request *rq, int64_t *ret)
{
    const char *from = request_query(rq, "from");
    *ret = 0;
    if (from && (!str_to_int64(str_of(from), ret) || *ret < 0))
        return err(ERR_INVALID_PARAM, "\"from\" is not a token of an earlier page");
    return NULL;
}

static const struct err *get_mutual_rooms(struct request *rq, struct reply *rp)
{
    struct job *job = job_of(rq);
    const char *other = request_query(rq, "user_id");
    int64_t other_id, after, total = 0;
    if (!other)
        return err(ERR_MISSING_PARAM, "Missing \"user_id\"");
    if (!id_is_compliant_user(str_of(other)) || strcmp(other, caller_of(rq)->user_id) == 0)
        return err(ERR_INVALID_PARAM, "\"user_id\" must be the id of another user");
    TRY(read_from(rq, &after));
    TRY(intern_find(job->storage->intern, INTERN_USER, other, &other_id));
    const struct mutual_room *rooms = NULL;
    size_t n = 0;
    if (other_id)
        TRY(mutual_rooms_find(job_tx(job), caller_of(rq)->user, other_id, after, MUTUAL_PAGE + 1,
                              &rooms, &n, &total));
    json_t *joined = json_array();
    for (size_t i = 0; i < n && i < MUTUAL_PAGE; i++)
        json_array_append_new(joined, json_string(rooms[i].room_id));
    json_t *o = json_pack("{s:o, s:I}", "joined", joined, "count", (json_int_t)total);
    if (n > MUTUAL_PAGE)
        json_object_set_new(o, "next_batch",
                            json_sprintf("%lld", (long long)rooms[MUTUAL_PAGE - 1].room));
    return reply_tree(rp, 200, o);
}

const struct route user_directory_routes[] = {
    {.method = POST,
     .path = "/_matrix/client/v3/user_directory/search",
     .handler = user_directory_post_search,
     .who = WHO_USER,
     .body = BODY_JSON,
     .rate = RATE_SEARCH,
     .pool = POOL_SEARCH,
     .spec = "user directory"},
    {.method = GET,
     .path = "/_matrix/client/v1/mutual_rooms",
     .handler = get_mutual_rooms,
     .who = WHO_USER,
     .spec = "mutual rooms",
     .also = "/_matrix/client/unstable/uk.half-shot.msc2666/user/mutual_rooms"},
    {.path = NULL},
};
