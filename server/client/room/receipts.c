/* Client-server API, "Receipts" and "Fully read markers". */
#include "users/receipts.h"

#include "server/client/shared/room_request.h"
#include "server/routes.h"

static const struct err *need_joined_room(struct request *rq, struct room **ret)
{
    TRY(room_of_request(rq, ret));
    return room_need_joined(*ret, caller_of(rq)->user);
}

/* "" for an unthreaded receipt. */
static const struct err *receipts_read_thread(const json_t *body, const char *type,
                                              const char **ret)
{
    const json_t *v = json_object_get(body, "thread_id");
    *ret = "";
    if (!v)
        return NULL;
    *ret = json_string_text(v);
    if (!*ret || !**ret)
        return err(ERR_INVALID_PARAM, "thread_id must be a non-empty string");
    if (strcmp(type, "m.fully_read") == 0)
        return err(ERR_INVALID_PARAM, "thread_id is not allowed with m.fully_read");
    return NULL;
}

static const struct err *receipts_set(struct request *rq, struct room *room, const char *type,
                                      const char *thread, const char *event_id)
{
    struct author who = author_of(rq);
    if (strcmp(type, "m.fully_read") == 0)
        return receipt_set_fully_read(job_of(rq), room, &who, event_id);
    if (strcmp(type, "m.read") == 0)
        return receipt_set(job_of(rq), room, &who, RECEIPT_READ, thread, event_id);
    if (strcmp(type, "m.read.private") == 0)
        return receipt_set(job_of(rq), room, &who, RECEIPT_READ_PRIVATE, thread, event_id);
    return err(ERR_INVALID_PARAM,
               "The type of a receipt is m.read, m.read.private or m.fully_read");
}

static const struct err *post_receipt(struct request *rq, struct reply *rp)
{
    struct room *room;
    const char *thread, *type = request_param(rq, "type");
    TRY(receipts_read_thread(rq->body, type, &thread));
    TRY(need_joined_room(rq, &room));
    TRY(receipts_set(rq, room, type, thread, request_param(rq, "event")));
    caller_acts(rq);
    return reply_empty(rp);
}

static const struct err *post_read_markers(struct request *rq, struct reply *rp)
{
    static const char *const types[] = {"m.fully_read", "m.read", "m.read.private"};
    const char *events[3];
    struct room *room;
    for (int i = 0; i < 3; i++)
        TRY(json_want_string(rq->body, types[i], NULL, &events[i]));
    TRY(need_joined_room(rq, &room));
    for (int i = 0; i < 3; i++)
        if (events[i])
            TRY(receipts_set(rq, room, types[i], "", events[i]));
    caller_acts(rq);
    return reply_empty(rp);
}

const struct route receipts_routes[] = {
    {.method = POST,
     .path = "/_matrix/client/v3/rooms/{room}/receipt/{type}/{event}",
     .handler = post_receipt,
     .who = WHO_USER,
     .body = BODY_MAYBE,
     .rate = RATE_ACCOUNT,
     .spec = "Receipts"},
    {.method = POST,
     .path = "/_matrix/client/v3/rooms/{room}/read_markers",
     .handler = post_read_markers,
     .who = WHO_USER,
     .body = BODY_MAYBE,
     .rate = RATE_ACCOUNT,
     .spec = "Fully read markers"},
    {.path = NULL},
};
