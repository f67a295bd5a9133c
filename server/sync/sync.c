#include "server/sync/sync.h"
#include "users/users.h"

#include "base/clock.h"
#include "rooms/read/visibility.h"
#include "server/routes.h"
#include "server/sync_token.h"
#include "storage/nodes/follower.h"
#include "users/filters.h"
#include "users/presence.h"

enum {
    DATABASE_PAUSE_MS = 1000,
    TIMEOUT_MAX_MS = 10 * 60 * 1000,
    FEW_EVENTS = 10,   /* the minimum to read from a room */
    LONG_EVENTS = 2000 /* of all rooms, from the database: treated like an initial sync */
};

/* A request that may wait is answered with what this node has seen, if the client has seen no more:
 * what another node has just committed wakes it. */
static const struct err *read_parameters(struct sync *s, struct request *rq, bool may_wait)
{
    const char *since = request_query(rq, "since");
    struct sync_token token = {0};
    if (rq->runs == 1 && may_wait)
        TRY(sync_token_await(s->who.job->storage, since));
    else if (rq->runs == 1)
        TRY(follower_barrier(s->who.job->storage->follower));
    if (since && *since)
        TRY(sync_token_parse_since(s->who.job->storage, since, &token));
    s->range.is_resync = token.is_lost;
    s->range.is_initial = !since || !*since || s->range.is_resync;
    s->range.since = s->range.is_initial ? 0 : token.position;
    s->range.typing_since = s->range.is_initial ? 0 : token.serial;
    TRY(request_query_bool(rq, "full_state", false, &s->full_state));
    bool stable, unstable;
    TRY(request_query_bool(rq, "use_state_after", false, &stable));
    TRY(request_query_bool(rq, "org.matrix.msc4222.use_state_after", false, &unstable));
    s->state_after = stable ? "state_after" : unstable ? "org.matrix.msc4222.state_after" : NULL;
    return filter_load(s->who.job, s->who.caller->user, request_query(rq, "filter"), &s->filter);
}

const struct err *sync_touch_presence(struct request *rq, const char *text)
{
    struct job *job = job_of(rq);
    enum presence_state state = PRESENCE_ONLINE;
    struct presence_who who = presence_who_of(rq);
    if (text && !presence_state_parse(text, &state))
        return err(ERR_INVALID_PARAM, "set_presence must be online, unavailable or offline");
    if (job->users->presence && rq->runs == 1)
        presence_sync(job, &who, state);
    return NULL;
}

const struct err *sync_choose_rooms(struct sync *s)
{
    if (!s->range.is_initial && !s->full_state)
        return sync_rooms_changed(&s->who, &s->range, &s->account, &s->rooms, &s->rooms_n);
    session_rooms(s->who.job, s->who.session, &s->rooms, &s->rooms_n);
    return NULL;
}

static size_t events_of_room(const struct sync *s)
{
    int64_t n = s->filter.timeline.limit;
    return n < FEW_EVENTS ? FEW_EVENTS : n < LONG_EVENTS ? (size_t)n : LONG_EVENTS;
}

bool sync_must_move(const struct sync *s, const struct request *rq)
{
    if (rq->pool == POOL_INITIAL)
        return false;
    return s->range.is_initial || s->full_state ||
           (!s->range.from_feed && s->rooms_n * events_of_room(s) > LONG_EVENTS);
}

/* Writes nothing when the request must move. */
static const struct err *write_reply(struct sync *s, const struct request *rq, struct buf *out)
{
    buf_auto struct buf first = {0}; /* decides the position of the token */
    TRY(sync_write_to_device(s, &first));
    TRY(sync_account_read(&s->who, &s->range, &s->account));
    TRY(sync_choose_rooms(s));
    if (sync_must_move(s, rq))
        return NULL;
    BUF_LIT(out, "{\"next_batch\":\"");
    sync_token_add(out, s->who.job->storage, s->range.until, s->range.typing_until);
    buf_add_char(out, '"');
    buf_add_str(out, buf_str(&first));
    TRY(sync_write_account_data(s, out));
    sync_write_presence(s, out);
    TRY(sync_write_rooms(s, out));
    TRY(sync_write_device_lists(s, out));
    TRY(sync_write_key_counts(s, out));
    buf_add_char(out, '}');
    return NULL;
}

struct sync sync_of(struct request *rq, struct reply *rp)
{
    return (struct sync){
        .rp = rp,
        .who = {.job = job_of(rq), .caller = caller_of(rq), .recipient = caller_of(rq)->device},
        .viewer = {.user = caller_of(rq)->user,
                   .user_id = caller_of(rq)->user_id,
                   .device = caller_of(rq)->device,
                   .now_ms = now_ms(),
                   .onlooker = onlooker_user(rq->arena, caller_of(rq)->user_id)},
    };
}

static const struct err *sync_answer(struct request *rq, struct reply *rp)
{
    struct sync s = sync_of(rq, rp);
    int64_t timeout;
    TRY(request_query_int(rq, "timeout", 0, 0, INT64_MAX, &timeout));
    TRY(read_parameters(&s, rq, timeout > 0));
    if (s.filter.event_fields.present || s.filter.format_federation)
        s.viewer.fields = &s.filter;
    TRY(sync_touch_presence(rq, request_query(rq, "set_presence")));
    if (sync_must_move(&s, rq))
        return reply_elsewhere(rp, POOL_INITIAL);
    do { /* again, if the feed has dropped changes meanwhile */
        buf_clear(&rp->body);
        s.any = s.members_changed = false;
        TRY(sync_reader_open(&s.who, &rq->waiter, &s.range));
        TRY(write_reply(&s, rq, &rp->body));
    } while (s.range.from_feed && !feed_covers(s.who.job->storage->feed, s.range.since));
    if (sync_must_move(&s, rq))
        return reply_elsewhere(rp, POOL_INITIAL);
    bool may_wait = rq->pool != POOL_INITIAL && timeout > 0 && !rq->timed_out &&
                    !rq->waiter.is_displaced && !request_is_stopping(rq);
    if (s.any || !may_wait)
        return reply_body(rp, 200);
    buf_finish(&rp->body);
    return reply_wait(rp, rq->started_mono_us / 1000 +
                              (timeout < TIMEOUT_MAX_MS ? timeout : TIMEOUT_MAX_MS));
}

const struct err *sync_keep_parked(struct request *rq, struct reply *rp, const struct err *e)
{
    if (!e || e->code != ERR_UNAVAILABLE || rq->runs == 1 || rq->timed_out ||
        rq->pool == POOL_INITIAL || request_is_stopping(rq))
        return e;
    buf_finish(&rp->body);
    return reply_wait(rp, mono_ms() + DATABASE_PAUSE_MS);
}

static const struct err *get_sync(struct request *rq, struct reply *rp)
{
    return sync_keep_parked(rq, rp, sync_answer(rq, rp));
}

const struct route sync_routes[] = {
    {GET, "/_matrix/client/v3/sync", get_sync, .who = WHO_GUEST_TOO, .moves_to = POOL_INITIAL,
     .spec = "Syncing", .waits_for_log = true},
    {0},
};
