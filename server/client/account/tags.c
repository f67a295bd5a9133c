/* Client-server API, "Room Tagging": the tags of a room are its m.tag account data. */
#include "server/client/shared/user_request.h"
#include "server/routes.h"
#include "storage/users/account_data.h"

enum { TAG_BYTES_MAX = 255, TAGS_MAX = 100, TAG_DATA_MAX = 4096 };

/* A change of one tag. */
struct tagging {
    const char *tag;
    json_t *data; /* borrowed; NULL: removed */
};

static const struct err *edit(void *ctx, const json_t *before, json_t **ret)
{
    const struct tagging *t = ctx;
    const json_t *old = json_object_get(before, "tags");
    json_t *tags = json_is_object(old) ? json_copy((json_t *)old) : json_object();
    if (t->data)
        json_object_set(tags, t->tag, t->data);
    else
        json_object_del(tags, t->tag);
    if (json_object_size(tags) > TAGS_MAX) {
        json_decref(tags);
        return err(ERR_TOO_LARGE, "A room has at most %d tags", TAGS_MAX);
    }
    *ret = json_pack("{s:o}", "tags", tags);
    return NULL;
}

static const struct err *tags_change(struct request *rq, struct reply *rp, json_t *data)
{
    int64_t room;
    struct tagging t = {request_param(rq, "tag"), data};
    TRY(need_own_user(rq));
    TRY(room_number_of_request(rq, &room));
    if (strlen(t.tag) > TAG_BYTES_MAX)
        return err(ERR_INVALID_PARAM, "The name of a tag is at most %d bytes", TAG_BYTES_MAX);
    if (!room)
        return err(ERR_NOT_FOUND, "Unknown room");
    TRY(account_data_edit(
        job_of(rq),
        &(struct account_edit){
            .user = caller_of(rq)->user, .room = room, .type = "m.tag", .edit = edit, .ctx = &t}));
    return reply_empty(rp);
}

static const struct err *put_tag(struct request *rq, struct reply *rp)
{
    const json_t *order = json_object_get(rq->body, "order");
    if (order && !json_is_null(order)) {
        if (!json_is_number(order))
            return err(ERR_BAD_JSON, "order must be a number");
        double v = json_number_value(order);
        if (!(v >= 0 && v <= 1))
            return err(ERR_INVALID_PARAM, "order must be between 0 and 1");
    }
    return tags_change(rq, rp, rq->body);
}

static const struct err *delete_tag(struct request *rq, struct reply *rp)
{
    return tags_change(rq, rp, NULL);
}

static const struct err *get_tags(struct request *rq, struct reply *rp)
{
    int64_t room;
    struct str content;
    TRY(need_own_user(rq));
    TRY(room_number_of_request(rq, &room));
    TRY(account_data_get(job_tx(job_of(rq)), caller_of(rq)->user, room ? room : -1, "m.tag",
                         &content));
    json_t *o = NULL;
    if (content.p)
        TRY(json_read_own(rq->arena, content, &o));
    json_t *tags = json_object_get(o, "tags");
    return reply_json(rp, 200, "{s:o}", "tags", tags ? json_incref(tags) : json_object());
}

const struct route tags_routes[] = {
    {.method = GET,
     .path = "/_matrix/client/v3/user/{user}/rooms/{room}/tags",
     .handler = get_tags,
     .who = WHO_USER,
     .spec = "Room Tagging"},
    {.method = PUT,
     .path = "/_matrix/client/v3/user/{user}/rooms/{room}/tags/{tag}",
     .handler = put_tag,
     .who = WHO_USER,
     .body = BODY_MAYBE,
     .rate = RATE_ACCOUNT,
     .body_max = TAG_DATA_MAX,
     .spec = "Room Tagging"},
    {.method = DELETE,
     .path = "/_matrix/client/v3/user/{user}/rooms/{room}/tags/{tag}",
     .handler = delete_tag,
     .who = WHO_USER,
     .rate = RATE_ACCOUNT,
     .spec = "Room Tagging"},
    {.path = NULL},
};
