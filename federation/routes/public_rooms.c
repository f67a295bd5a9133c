#include "federation/routes/public_rooms.h"

#include "federation/federation.h"
#include "federation/peer/answers.h"
#include "federation/peer/path.h"
#include "federation/peer/request.h"
#include "federation/routes.h"
#include "federation/users/remote_summary.h"

#define PATH "/_matrix/federation/v1/publicRooms"
enum { TIMEOUT_MS = 20000, REPLY_MAX = 4 << 20, TOKEN_MAX = 1024 };

/* ---- the query ---- */

static const struct err *public_rooms_check(struct public_rooms *q, int64_t limit)
{
    if (q->all_networks && q->network)
        return err(ERR_INVALID_PARAM,
                   "\"third_party_instance_id\" excludes \"include_all_networks\"");
    q->list.limit = limit <= 0                   ? DIRECTORY_PAGE_DEFAULT
                    : limit > DIRECTORY_PAGE_MAX ? DIRECTORY_PAGE_MAX
                                                 : limit;
    return NULL;
}

const struct err *public_rooms_of_url(const struct request *rq, struct public_rooms *ret)
{
    struct public_rooms q = {.list.since = request_query(rq, "since"),
                             .network = request_query(rq, "third_party_instance_id")};
    int64_t limit;
    TRY(request_query_int(rq, "limit", 0, 0, INT64_MAX, &limit));
    TRY(request_query_bool(rq, "include_all_networks", false, &q.all_networks));
    TRY(public_rooms_check(&q, limit));
    *ret = q;
    return NULL;
}

static const struct err *public_rooms_read_filter(const json_t *body, struct directory_query *q)
{
    const json_t *filter;
    TRY(json_want_object(body, "filter", &filter));
    if (!filter)
        return NULL;
    TRY(json_want_string(filter, "generic_search_term", NULL, &q->term));
    return json_want_array(filter, "room_types", &q->room_types);
}

const struct err *public_rooms_of_body(const json_t *body, struct public_rooms *ret)
{
    struct public_rooms q = {0};
    int64_t limit;
    TRY(json_want_int(body, "limit", 0, &limit));
    TRY(json_want_string(body, "since", NULL, &q.list.since));
    TRY(json_want_bool(body, "include_all_networks", false, &q.all_networks));
    TRY(json_want_string(body, "third_party_instance_id", NULL, &q.network));
    TRY(public_rooms_read_filter(body, &q.list));
    TRY(public_rooms_check(&q, limit));
    *ret = q;
    return NULL;
}

/* ---- our reply ---- */

const struct err *public_rooms_list(struct job *job, const struct public_rooms *q, struct reply *rp)
{
    if (q->network) /* no bridged network has a directory here */
        return reply_json(rp, 200, "{s:[], s:i}", "chunk", "total_room_count_estimate", 0);
    TRY(directory_list(job, &q->list, &rp->body));
    return reply_body(rp, 200);
}

static const struct err *public_rooms_answer(struct request *rq, struct reply *rp,
                                             const struct public_rooms *q)
{
    struct job *job = rq->job;
    if (!job->config->allow_public_rooms_over_federation)
        return err(ERR_FORBIDDEN,
                   "This server does not share its room directory with other servers");
    return public_rooms_list(job, q, rp);
}

static const struct err *public_rooms_get_public_rooms(struct request *rq, struct reply *rp)
{
    struct public_rooms q;
    TRY(public_rooms_of_url(rq, &q));
    return public_rooms_answer(rq, rp, &q);
}

static const struct err *public_rooms_post_public_rooms(struct request *rq, struct reply *rp)
{
    struct public_rooms q;
    TRY(public_rooms_of_body(rq->body, &q));
    return public_rooms_answer(rq, rp, &q);
}

/* ---- our request ---- */

static void public_rooms_set_text(json_t *o, const char *key, const char *text)
{
    if (text)
        json_object_set_new(o, key, json_string(text));
}

/* Only a POST can have a filter. */
static json_t *make_body(const struct public_rooms *q)
{
    json_t *body = json_pack("{s:I}", "limit", (json_int_t)q->list.limit);
    json_t *filter = json_object();
    public_rooms_set_text(body, "since", q->list.since);
    public_rooms_set_text(body, "third_party_instance_id", q->network);
    if (q->all_networks)
        json_object_set_new(body, "include_all_networks", json_true());
    public_rooms_set_text(filter, "generic_search_term", q->list.term);
    if (q->list.room_types)
        json_object_set(filter, "room_types", (json_t *)q->list.room_types);
    json_object_set_new(body, "filter", filter);
    return body;
}

static const char *public_rooms_make_path(struct arena *a, const struct public_rooms *q)
{
    const char *path = arena_printf(a, PATH "?limit=%lld&include_all_networks=%s",
                                    (long long)q->list.limit, q->all_networks ? "true" : "false");
    if (q->list.since)
        path = arena_printf(a, "%s%s", path, federation_path(a, "&since=%s", q->list.since));
    if (q->network)
        path = arena_printf(a, "%s%s", path,
                            federation_path(a, "&third_party_instance_id=%s", q->network));
    return path;
}

static void copy_token(json_t *o, const json_t *answer, const char *key)
{
    const char *token = json_text(answer, key);
    if (token && strlen(token) <= TOKEN_MAX)
        json_object_set_new(o, key, json_string(token));
}

json_t *public_rooms_read_answer(const json_t *answer)
{
    const json_t *chunk = json_object_get(answer, "chunk");
    const json_t *estimate = json_object_get(answer, "total_room_count_estimate");
    json_t *rooms = json_array();
    for (size_t i = 0; i < json_array_size(chunk) && i < DIRECTORY_PAGE_MAX; i++) {
        json_t *room = remote_summary_read(json_array_get(chunk, i));
        if (room)
            json_array_append_new(rooms, room);
    }
    json_t *o = json_pack("{s:o}", "chunk", rooms);
    copy_token(o, answer, "next_batch");
    copy_token(o, answer, "prev_batch");
    if (json_is_integer(estimate) && json_integer_value(estimate) >= 0)
        json_object_set(o, "total_room_count_estimate", (json_t *)estimate);
    return o;
}

const struct err *federation_public_rooms(struct job *job, const char *server,
                                          const struct public_rooms *q, json_t **ret)
{
    struct fed_request r = {
        .server = server, .method = GET, .timeout_ms = TIMEOUT_MS, .reply_max = REPLY_MAX};
    if (q->list.term || q->list.room_types) {
        r.method = POST;
        r.path = PATH;
        r.body = json_keep(job->arena, make_body(q));
    } else {
        r.path = public_rooms_make_path(job->arena, q);
    }
    struct fed_reply reply;
    TRY(federation_question(job, &r, &reply));
    *ret = public_rooms_read_answer(reply.json);
    return NULL;
}

#define SPEC "published room directory"

const struct route federation_public_rooms_routes[] = {
    {.method = GET,
     .path = PATH,
     .handler = public_rooms_get_public_rooms,
     .who = WHO_SERVER,
     .rate = RATE_SERVER,
     .pool = POOL_FEDERATION,
     .spec = SPEC},
    {.method = POST,
     .path = PATH,
     .handler = public_rooms_post_public_rooms,
     .who = WHO_SERVER,
     .body = BODY_MAYBE,
     .rate = RATE_SERVER,
     .pool = POOL_FEDERATION,
     .spec = SPEC},
    {.path = NULL},
};
