#include "server/sliding/sliding.h"
#include "users/users.h"

#include "base/clock.h"
#include "server/routes.h"
#include "server/server.h"
#include "server/sliding/requests.h"
#include "server/sync/sync.h"
#include "server/sync_token.h"
#include "storage/nodes/follower.h"

#include <sodium.h>

enum {
    TIMEOUT_MAX_MS = 10 * 60 * 1000,
    ROOMS_AT_ONCE = 100 /* more of them, all from the database, are treated like an initial sync */
};

/* ---- the request ---- */

static const struct err *sliding_read_pos(struct sliding_sync *s, const char *pos, bool may_wait)
{
    const struct storage *storage = s->who.job->storage;
    struct sync_token token = {0};
    bool has_pos = pos && *pos;
    if (s->rq->runs == 1)
        TRY(may_wait && has_pos ? sync_token_await(storage, pos)
                                : follower_barrier(storage->follower));
    if (has_pos && sync_token_parse_since(storage, pos, &token))
        return err(ERR_UNKNOWN_POS, "This is not a position of this server");
    if (has_pos && (token.is_lost || !token.number))
        return err(ERR_UNKNOWN_POS, "This position is not known any more: begin a new connection");
    s->range.is_initial = !has_pos;
    s->range.since = token.position;
    s->range.typing_since = token.serial;
    s->number = token.number;
    return NULL;
}

/* A connection has its own memory of lazily loaded members. */
static int64_t sliding_recipient(struct arena *a, const struct caller *caller, const char *conn_id)
{
    char *name = arena_printf(a, "%lld %s", (long long)caller->device, conn_id);
    return -(int64_t)(hash_bytes(name, strlen(name)) >> 1) - 1;
}

static void sliding_init(struct sliding_sync *s, struct request *rq, struct reply *rp,
                         const struct sliding_request *request)
{
    const struct caller *caller = caller_of(rq);
    *s = (struct sliding_sync){
        .rq = rq,
        .rp = rp,
        .request = request,
        .caller = {caller->user, caller->device, request->conn_id, rq->started_mono_us},
        .who = {.job = job_of(rq),
                .caller = caller,
                .recipient = sliding_recipient(rq->arena, caller, request->conn_id)},
        .viewer = {.user = caller->user,
                   .user_id = caller->user_id,
                   .device = caller->device,
                   .now_ms = now_ms(),
                   .onlooker = onlooker_user(rq->arena, caller->user_id)},
    };
}

/* ---- the reply ---- */

/* Before any room: what has changed, and what was sent. */
static const struct err *sliding_open(struct sliding_sync *s)
{
    TRY(sync_reader_open(&s->who, &s->rq->waiter, &s->range));
    if (s->rq->pool == POOL_INITIAL) /* its reply takes long: the feed may drop changes meanwhile */
        s->range.from_feed = false;
    sliding_draft_init(&s->draft, s->who.job->arena, s->base);
    if (s->range.is_initial)
        return sliding_open_lists(s);
    TRY(sync_account_read(&s->who, &s->range, &s->account));
    for (size_t i = 0; i < s->account.n; i++)
        s->direct_changed |= strcmp(s->account.list[i].type, "m.direct") == 0;
    TRY(sync_rooms_changed(&s->who, &s->range, &s->account, &s->changed, &s->changed_n));
    TRY(sync_rooms_at_end(&s->who, &s->range, s->changed, s->changed_n, &s->changed,
                          &s->changed_n));
    for (size_t i = 0; i < s->changed_n; i++)
        map_put_int(&s->changed_ids, s->changed[i].room, (void *)&s->changed[i]);
    return sliding_open_lists(s);
}

/* Many rooms that are read from the database, or written at all. */
static bool sliding_must_move(const struct sliding_sync *s)
{
    size_t n = 0;
    for (size_t i = 0; i < s->rooms_n; i++)
        n += !s->rooms[i].sent || (s->rooms[i].is_changed && !s->range.from_feed);
    return s->rq->pool != POOL_INITIAL && n > ROOMS_AT_ONCE;
}

/* Each room in an arena of its own, so that any number of rooms fits into bounded memory. What the
 * draft keeps is in the request's. */
static const struct err *sliding_write_in_own_arena(struct sliding_sync *s,
                                                    struct sliding_room *room, struct buf *out,
                                                    bool *ret_any)
{
    struct arena *outer = s->who.job->arena;
    arena_auto struct arena *own = arena_create();
    job_use_arena(s->who.job, own);
    const struct err *e = sliding_write_room(s, room, out, ret_any);
    job_use_arena(s->who.job, outer);
    return e;
}

static const struct err *sliding_write_rooms(struct sliding_sync *s, struct buf *out)
{
    bool any = false;
    s->orders->is_settled = true;
    BUF_LIT(out, "{\"rooms\":{");
    for (size_t i = 0; i < s->rooms_n; i++) {
        size_t before = out->n;
        bool this_any = false;
        if (any)
            buf_add_char(out, ',');
        TRY(sliding_write_in_own_arena(s, &s->rooms[i], out, &this_any));
        if (!this_any) {
            buf_truncate(out, before);
            continue;
        }
        any = s->any = true;
        if (s->rq->pool == POOL_INITIAL)
            TRY(reply_flush(s->rp));
    }
    buf_add_char(out, '}');
    return NULL;
}

static void sliding_write_lists(struct sliding_sync *s, struct buf *out)
{
    BUF_LIT(out, ",\"lists\":{");
    for (size_t i = 0; i < s->request->lists_n; i++) {
        if (i)
            buf_add_char(out, ',');
        buf_add_json_string(out, str_of(s->request->lists[i].name));
        buf_printf(out, ":{\"count\":%zu}", s->orders->lists[i].n);
    }
    buf_add_char(out, '}');
}

/* Writes no more than the beginning when the request must move. */
static const struct err *sliding_write_reply(struct sliding_sync *s, struct buf *out)
{
    TRY(sliding_open(s));
    TRY(sliding_choose_rooms(s));
    if (sliding_must_move(s))
        return NULL;
    TRY(sliding_write_rooms(s, out));
    sliding_write_lists(s, out);
    BUF_LIT(out, ",\"extensions\":{");
    TRY(sliding_write_extensions(s, out));
    buf_add_char(out, '}');
    return NULL;
}

/* The state that the client has after this reply; it is stored before the client gets its number.
 */
static const struct err *sliding_finish(struct sliding_sync *s, struct buf *out)
{
    int64_t number = s->base->number;
    if (!number || !sliding_draft_is_empty(&s->draft)) {
        randombytes_buf(&number, sizeof number);
        number = (number & INT64_MAX) | 1;
        struct sliding_state *state = sliding_draft_finish(&s->draft, number);
        const struct err *e = connection_store(s->who.job, &s->caller, s->base, state);
        sliding_state_unref(state);
        TRY(e);
    }
    s->orders->number = number;
    BUF_LIT(out, ",\"pos\":\"");
    sync_token_add_pos(out, s->who.job->storage, s->range.until, s->range.typing_until, number);
    BUF_LIT(out, "\"}");
    return reply_body(s->rp, 200);
}

/* The client has sent another request on this connection, and does not wait for this reply. */
static const struct err *sliding_reply_superseded(struct sliding_sync *s, const char *pos)
{
    BUF_LIT(&s->rp->body, "{\"rooms\":{},\"lists\":{},\"extensions\":{},\"pos\":");
    buf_add_json_string(&s->rp->body, str_of(pos ? pos : ""));
    buf_add_char(&s->rp->body, '}');
    return reply_body(s->rp, 200);
}

static bool sliding_may_wait(const struct sliding_sync *s, int64_t timeout)
{
    return !s->range.is_initial && s->rq->pool != POOL_INITIAL && timeout > 0 &&
           !s->rq->timed_out && !s->rq->waiter.is_displaced && !request_is_stopping(s->rq);
}

/* Again, if the feed has dropped changes meanwhile. */
static bool sliding_must_repeat(const struct sliding_sync *s)
{
    return s->range.from_feed && !feed_covers(s->who.job->storage->feed, s->range.since);
}

static const struct err *sliding_answer_found(struct sliding_sync *s, int64_t timeout)
{
    TRY(sliding_write_reply(s, &s->rp->body));
    if (sliding_must_repeat(s)) {
        buf_clear(&s->rp->body);
        return reply_elsewhere(s->rp, POOL_INITIAL);
    }
    if (sliding_must_move(s))
        return reply_elsewhere(s->rp, POOL_INITIAL);
    if (s->any || !sliding_may_wait(s, timeout))
        return sliding_finish(s, &s->rp->body);
    s->orders->number = s->base->number;
    buf_finish(&s->rp->body);
    return reply_wait(s->rp, s->rq->started_mono_us / 1000 +
                                 (timeout < TIMEOUT_MAX_MS ? timeout : TIMEOUT_MAX_MS));
}

static const struct err *sliding_answer(struct sliding_sync *s, const char *pos, int64_t timeout)
{
    bool is_superseded;
    TRY(sliding_read_pos(s, pos, timeout > 0));
    TRY(connection_find(s->who.job, &s->caller, s->number, &s->base, &is_superseded));
    if (is_superseded)
        return sliding_reply_superseded(s, pos);
    const struct err *e = sliding_answer_found(s, timeout);
    map_finish(&s->changed_ids);
    if (!e && s->orders && s->orders->number)
        connection_give_orders(s->who.job, &s->caller, s->orders);
    else
        sliding_orders_destroy(s->orders);
    return e;
}

/* ---- routes ---- */

static const struct err *sliding_parse(struct request *rq, bool is_accepted,
                                       struct sliding_request *ret)
{
    return sliding_requests_parse(job_of(rq)->server->requests, rq->arena, rq->raw, is_accepted,
                                  ret);
}

static const struct err *post_deployed(struct request *rq, struct reply *rp)
{
    struct sliding_request request;
    struct sliding_sync s;
    int64_t timeout;
    TRY(request_query_int(rq, "timeout", 0, 0, INT64_MAX, &timeout));
    TRY(sliding_parse(rq, false, &request));
    TRY(sync_touch_presence(rq, request_query(rq, "set_presence")));
    sliding_init(&s, rq, rp, &request);
    return sync_keep_parked(rq, rp, sliding_answer(&s, request_query(rq, "pos"), timeout));
}

static const struct err *post_accepted(struct request *rq, struct reply *rp)
{
    struct sliding_request request;
    struct sliding_sync s;
    TRY(sliding_parse(rq, true, &request));
    TRY(sync_touch_presence(rq, request.set_presence));
    sliding_init(&s, rq, rp, &request);
    return sync_keep_parked(rq, rp, sliding_answer(&s, request.pos, request.timeout));
}

const struct route sliding_routes[] = {
    {.method = POST,
     .path = "/_matrix/client/unstable/org.matrix.simplified_msc3575/sync",
     .handler = post_deployed,
     .who = WHO_GUEST_TOO,
     .body = BODY_RAW,
     .body_max = SLIDING_BODY_MAX,
     .moves_to = POOL_INITIAL,
     .spec = "MSC4186",
     .waits_for_log = true},
    {.method = POST,
     .path = "/_matrix/client/v4/sync",
     .handler = post_accepted,
     .who = WHO_GUEST_TOO,
     .body = BODY_RAW,
     .body_max = SLIDING_BODY_MAX,
     .moves_to = POOL_INITIAL,
     .spec = "MSC4186",
     .waits_for_log = true},
    {.path = NULL},
};
