#include "server/client/timeline/room_snapshot.h"
#include "users/users.h"

#include "rooms/account_cache.h"
#include "rooms/read/walk.h"
#include "storage/db/feed.h"
#include "storage/rooms/room_state.h"
#include "storage/rooms/rooms.h"
#include "storage/users/account_data.h"
#include "users/presence.h"
#include "users/receipts.h"

static const struct err *room_snapshot_add_messages(struct request *rq, struct reply *rp,
                                                    struct room *room, size_t limit, int64_t end)
{
    struct viewer viewer = viewer_of(rq);
    struct room_walk w = {.room = room,
                          .viewer = &viewer,
                          .from = end,
                          .to = WALK_START,
                          .backwards = true,
                          .limit = limit};
    struct walked walked;
    TRY(walk_room(job_of(rq), &w, &walked));
    for (size_t i = 0; i < walked.n / 2; i++) { /* oldest first */
        const struct stored_event *e = walked.events[i];
        walked.events[i] = walked.events[walked.n - 1 - i];
        walked.events[walked.n - 1 - i] = e;
    }
    BUF_LIT(&rp->body, ",\"messages\":{");
    reading_add_token(rq, rp, "start", walked.place);
    buf_add_char(&rp->body, ',');
    reading_add_token(rq, rp, "end", end);
    BUF_LIT(&rp->body, ",\"chunk\":[");
    TRY(serialize_events(job_of(rq), &viewer, walked.events, walked.n, RELATIONS_UNKNOWN,
                         &rp->body));
    BUF_LIT(&rp->body, "]}");
    return NULL;
}

static const struct err *add_account_data(struct request *rq, struct buf *out, struct room *room,
                                          int64_t end)
{
    const struct account_data *list;
    size_t n;
    TRY(account_data_since(job_tx(job_of(rq)), caller_of(rq)->user, 0, end, &list, &n));
    BUF_LIT(out, ",\"account_data\":[");
    for (size_t i = 0; i < n; i++) {
        if (list[i].room != room->id)
            continue;
        buf_add_json_comma(out);
        BUF_LIT(out, "{\"type\":");
        buf_add_json_string(out, str_of(list[i].type));
        BUF_LIT(out, ",\"content\":");
        buf_add_str(out, list[i].content);
        buf_add_char(out, '}');
    }
    buf_add_char(out, ']');
    return NULL;
}

/* Users who have left do not see who is there now. */
static const struct err *add_receipts_and_presence(struct request *rq, struct buf *out,
                                                   struct room *room, int64_t end, bool is_now)
{
    struct job *job = job_of(rq);
    const struct caller *c = caller_of(rq);
    const struct map *ignored;
    struct receipt *receipts;
    size_t n;
    TRY(ignored_users(job, c->user, &ignored));
    BUF_LIT(out, ",\"receipts\":[");
    TRY(receipts_read(job, room->id, c->user, 0, end, ignored, &receipts, &n));
    receipts_add_events(receipts, n, room->room_id, out);
    BUF_LIT(out, "],\"presence\":[");
    if (job->users->presence && is_now)
        presence_add_room(job, room->id, ignored, out);
    buf_add_char(out, ']');
    return NULL;
}

const struct err *room_snapshot_write(struct request *rq, struct reply *rp, struct room *room,
                                      size_t limit, bool with_receipts_and_presence)
{
    struct job *job = job_of(rq);
    const struct caller *c = caller_of(rq);
    struct buf *out = &rp->body;
    struct visibility visibility;
    const struct room_head *head;
    bool any;
    TRY(visibility_open(job, room, c->user, c->user_id, VALID_FOREVER, &visibility));
    TRY(rooms_get(job_tx(job), room->id, &head));
    int64_t now = feed_position(job->storage->feed),
            end = visibility.end < now ? visibility.end : now;

    BUF_LIT(out, "{\"room_id\":");
    buf_add_json_string(out, str_of(room->room_id));
    if (visibility.now.membership != MEMBERSHIP_NONE)
        buf_printf(out, ",\"membership\":\"%s\"", membership_text(visibility.now.membership));
    buf_printf(out, ",\"visibility\":\"%s\"", head && head->is_published ? "public" : "private");
    TRY(room_snapshot_add_messages(rq, rp, room, limit, end));
    TRY(add_account_data(rq, out, room, now));
    if (with_receipts_and_presence)
        TRY(add_receipts_and_presence(rq, out, room, end, visibility.end == VALID_FOREVER));
    BUF_LIT(out, ",\"state\":[");
    TRY(reading_add_state(rq, rp, room, end, NULL, true, &any));
    BUF_LIT(out, "]}");
    return NULL;
}
