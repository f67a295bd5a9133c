/* Client-server API, "Listing Notifications". */
#include "storage/users/notifications.h"
#include "base/clock.h"
#include "rooms/account_cache.h"
#include "rooms/read/serialize.h"
#include "rooms/room_cache.h"
#include "server/account/caller.h"
#include "server/client/shared/room_reading.h"
#include "server/routes.h"
#include "users/unread.h"

enum { LIMIT_DEFAULT = 20, LIMIT_MAX = 100 };

static const struct err *notifications_write_one(struct request *rq, const struct stored_event *e,
                                                 struct room *room, bool highlight, bool is_read,
                                                 struct buf *out)
{
    const struct caller *c = caller_of(rq);
    const struct viewer viewer = {.user = c->user,
                                  .user_id = c->user_id,
                                  .device = c->device,
                                  .now_ms = now_ms(),
                                  .onlooker = onlooker_user(rq->arena, c->user_id)};
    buf_add_json_comma(out);
    buf_add_text(out, highlight ? "{\"actions\":[\"notify\",{\"set_tweak\":\"highlight\"}]"
                                : "{\"actions\":[\"notify\"]");
    BUF_LIT(out, ",\"event\":");
    TRY(serialize_events(job_of(rq), &viewer, &e, 1, RELATIONS_UNKNOWN, out));
    buf_printf(out, ",\"read\":%s,\"room_id\":", is_read ? "true" : "false");
    buf_add_json_string(out, str_of(room->room_id));
    buf_printf(out, ",\"ts\":%lld}", (long long)e->event->origin_server_ts);
    return NULL;
}

/* Events from before the user joined, and hidden ones, did not notify the user. */
static const struct err *notifications_add(struct request *rq, const struct notification *n,
                                           struct buf *out)
{
    struct job *job = job_of(rq);
    const struct caller *c = caller_of(rq);
    const struct stored_event *e;
    struct room *room;
    bool visible, was_there, is_read;
    TRY(events_get(job_tx(job), n->position, &e));
    TRY(room_get_by_id(job, n->room, &room));
    if (!e || !room)
        return NULL;
    TRY(unread_is_read(job, room, c->user, c->user_id, e, &was_there, &is_read));
    TRY(visibility_may_see(job, room, c->user, c->user_id, e, &visible));
    return was_there && visible ? notifications_write_one(rq, e, room, n->highlight, is_read, out)
                                : NULL;
}

static const struct err *get_notifications(struct request *rq, struct reply *rp)
{
    const char *only = request_query(rq, "only");
    const struct notification *list;
    const int64_t *ignored;
    size_t n, ignored_n;
    int64_t limit, floor, before;
    TRY(request_query_int(rq, "limit", LIMIT_DEFAULT, 1, INT64_MAX, &limit));
    if (limit > LIMIT_MAX)
        limit = LIMIT_MAX;
    TRY(reading_place(rq, "from", INT64_MAX, &before));
    TRY(ignored_user_ids(job_of(rq), caller_of(rq)->user, &ignored, &ignored_n));
    TRY(notifications_before(job_tx(job_of(rq)), caller_of(rq)->user, before,
                             only && strcmp(only, "highlight") == 0, limit, ignored, ignored_n,
                             &list, &n, &floor));
    BUF_LIT(&rp->body, "{\"notifications\":[");
    for (size_t i = 0; i < n; i++)
        TRY(notifications_add(rq, &list[i], &rp->body));
    buf_add_char(&rp->body, ']');
    int64_t next = (int64_t)n == limit ? list[n - 1].position : floor ? floor + 1 : 0;
    if (next) {
        buf_add_char(&rp->body, ',');
        reading_add_token(rq, rp, "next_token", next);
    }
    buf_add_char(&rp->body, '}');
    return reply_body(rp, 200);
}

const struct route notifications_routes[] = {
    {.method = GET,
     .path = "/_matrix/client/v3/notifications",
     .handler = get_notifications,
     .who = WHO_USER,
     .pool = POOL_SEARCH,
     .spec = "Listing Notifications"},
    {.path = NULL},
};
