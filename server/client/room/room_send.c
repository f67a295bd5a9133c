/* Client-server API, "Sending events to a room" and "Redactions". Sending is the most frequent
 * request: the body is never parsed into a tree, and usually only the commit uses the database. */
#include "matrix/json_scan.h"
#include "server/client/shared/room_request.h"
#include "server/routes.h"

enum { TXN_ID_MAX = 512 };

/* The transaction id, and as its scope the path before it. Older bots send with POST, without one.
 */
static const struct err *set_transaction(const struct request *rq, struct new_event *e)
{
    if (rq->method == POST)
        return NULL;
    e->client_txn = request_param(rq, "txn");
    if (strlen(e->client_txn) > TXN_ID_MAX)
        return err(ERR_INVALID_PARAM, "A transaction id is at most %d bytes", TXN_ID_MAX);
    const char *end = strrchr(rq->path, '/');
    e->txn_scope = arena_memdup(rq->arena, rq->path, (size_t)(end - rq->path));
    return NULL;
}

static const struct err *room_send_append(struct request *rq, struct reply *rp,
                                          const struct new_event *e)
{
    struct author author = author_of(rq);
    struct room *room;
    const char *event_id;
    TRY(room_of_request(rq, &room));
    TRY(room_append(job_of(rq), room, &author, e, 1, &event_id));
    caller_acts(rq);
    BUF_LIT(&rp->body, "{\"event_id\":");
    buf_add_json_string(&rp->body, str_of(event_id));
    buf_add_char(&rp->body, '}');
    return reply_body(rp, 200);
}

/* A redaction sent as an ordinary event names the redacted event in its content, as all do from
 * room version 11 on. */
static const struct err *set_redacts(struct request *rq, struct new_event *e)
{
    TRY(json_scan_check(e->content));
    e->redacts = json_scan_string(rq->arena, json_scan_get(e->content, "redacts"));
    if (!e->redacts)
        return err(ERR_BAD_JSON, "A redaction must say in \"redacts\" which event it redacts");
    return NULL;
}

static const struct err *room_send_put_send(struct request *rq, struct reply *rp)
{
    struct new_event e = {.type = request_param(rq, "type"), .content = rq->raw};
    TRY(need_not_suspended(rq));
    TRY(set_transaction(rq, &e));
    if (strcmp(e.type, "m.room.member") == 0)
        return err(ERR_FORBIDDEN, "Membership is state and cannot be sent as a message");
    if (strcmp(e.type, "m.room.redaction") == 0)
        TRY(set_redacts(rq, &e));
    return room_send_append(rq, rp, &e);
}

/* Suspended users may still redact their own messages. */
static const struct err *check_suspended(struct request *rq)
{
    if (!caller_of(rq)->is_suspended)
        return NULL;
    const struct stored_event *target;
    TRY(events_get_by_id(job_tx(job_of(rq)), request_param(rq, "event"), &target));
    return target && target->sender == caller_of(rq)->user ? NULL : need_not_suspended(rq);
}

static const struct err *put_redact(struct request *rq, struct reply *rp)
{
    const char *reason;
    TRY(json_want_string(rq->body, "reason", NULL, &reason));
    struct new_event e = {.type = "m.room.redaction",
                          .redacts = request_param(rq, "event"),
                          .content = rq->raw.n ? rq->raw : STR("{}")};
    TRY(check_suspended(rq));
    TRY(set_transaction(rq, &e));
    return room_send_append(rq, rp, &e);
}

const struct route room_send_routes[] = {
    {.method = PUT,
     .path = "/_matrix/client/v3/rooms/{room}/send/{type}/{txn}",
     .handler = room_send_put_send,
     .who = WHO_GUEST_TOO,
     .body = BODY_RAW,
     .rate = RATE_MESSAGE,
     .spec = "sending events"},
    {.method = POST,
     .path = "/_matrix/client/v3/rooms/{room}/send/{type}",
     .handler = room_send_put_send,
     .who = WHO_GUEST_TOO,
     .body = BODY_RAW,
     .rate = RATE_MESSAGE,
     .spec = "sending events"},
    {.method = POST,
     .path = "/_matrix/client/v3/rooms/{room}/redact/{event}",
     .handler = put_redact,
     .who = WHO_USER,
     .body = BODY_MAYBE,
     .rate = RATE_MESSAGE,
     .spec = "redactions"},
    {.method = PUT,
     .path = "/_matrix/client/v3/rooms/{room}/redact/{event}/{txn}",
     .handler = put_redact,
     .who = WHO_USER,
     .body = BODY_MAYBE,
     .rate = RATE_MESSAGE,
     .spec = "redactions"},
    {.path = NULL},
};
