/* The endpoints from before /sync (client-server-api, "Syncing"; deprecated, but bots and old
 * clients use them): GET /initialSync, GET /rooms/{roomId}/initialSync, and GET /events, which
 * streams from the first one's token. They read the same data as /sync and use its tokens. */
#include "base/clock.h"
#include "rooms/read/visibility.h"
#include "rooms/room_cache.h"
#include "server/client/timeline/room_snapshot.h"
#include "server/routes.h"
#include "server/sync/sync.h"
#include "server/sync_token.h"
#include "storage/rooms/room_state.h"
#include "users/filters.h"
#include "users/presence.h"
#include "users/receipts.h"
#include "users/typing.h"
#include "users/users.h"

enum {
    TIMEOUT_DEFAULT_MS = 30 * 1000,
    TIMEOUT_MAX_MS = 10 * 60 * 1000,
    EVENTS_MAX = 1000 /* of one reply of /events */
};

/* ---- initialSync ---- */

static const struct err *get_room_initial_sync(struct request *rq, struct reply *rp)
{
    struct room *room;
    size_t limit;
    TRY(reading_room(rq, &room));
    TRY(reading_limit(rq, &limit));
    TRY(room_snapshot_write(rq, rp, room, limit, true));
    return reply_body(rp, 200);
}

static void begin_bare(struct buf *out, const struct room *room, enum membership m)
{
    BUF_LIT(out, "{\"room_id\":");
    buf_add_json_string(out, str_of(room->room_id));
    buf_printf(out, ",\"membership\":\"%s\"", membership_text(m));
}

/* *ret_any false: left out (an ignored user has invited). */
static const struct err *old_sync_add_invited(struct sync *s, struct room *room,
                                              const struct session_room *at, bool *ret_any)
{
    struct buf *out = &s->rp->body;
    const struct stored_event *e;
    TRY(events_get(job_tx(s->who.job), at->event, &e));
    *ret_any = e && !sync_reader_ignores(&s->who, e->event->sender);
    if (!*ret_any)
        return NULL;
    begin_bare(out, room, at->membership);
    BUF_LIT(out, ",\"invite\":");
    TRY(serialize_state_event(s->who.job, &s->viewer, e, out));
    buf_add_char(out, '}');
    return NULL;
}

static const struct err *old_sync_add_room(struct sync *s, struct request *rq,
                                           const struct session_room *at, size_t limit,
                                           bool *ret_any)
{
    struct room *room;
    *ret_any = false;
    TRY(room_get_by_id(s->who.job, at->room, &room));
    if (!room)
        return NULL;
    if (at->membership == MEMBERSHIP_INVITE)
        return old_sync_add_invited(s, room, at, ret_any);
    *ret_any = true;
    const struct err *e = visibility_need_room(s->who.job, room, s->who.caller->user);
    if (!e)
        return room_snapshot_write(rq, s->rp, room, limit, false);
    if (e->code != ERR_FORBIDDEN)
        return e;
    begin_bare(&s->rp->body, room, at->membership); /* banned */
    buf_add_char(&s->rp->body, '}');
    return NULL;
}

/* In an arena of its own: a user may be in very many rooms. */
static const struct err *add_room_apart(struct sync *s, struct request *rq,
                                        const struct session_room *at, size_t limit, bool *any)
{
    struct arena *outer = s->who.job->arena;
    arena_auto struct arena *own = arena_create();
    bool this_any;
    size_t before = s->rp->body.n;
    buf_add_text(&s->rp->body, *any ? "," : "");
    job_use_arena(s->who.job, own);
    const struct err *e = old_sync_add_room(s, rq, at, limit, &this_any);
    job_use_arena(s->who.job, outer);
    TRY(e);
    if (!this_any)
        s->rp->body.n = before;
    *any |= this_any;
    return this_any ? reply_flush(s->rp) : NULL;
}

static bool old_sync_is_listed(const struct session_room *at, bool archived)
{
    bool is_gone = at->membership == MEMBERSHIP_LEAVE || at->membership == MEMBERSHIP_BAN;
    return at->membership == MEMBERSHIP_JOIN || at->membership == MEMBERSHIP_INVITE ||
           (archived && is_gone && !at->forgotten);
}

static size_t old_sync_read_presence(struct sync *s, const struct presence_row **ret)
{
    size_t n;
    presence_read(s->who.job, s->who.session, s->range.since, s->range.until, &s->filter.presence,
                  s->who.ignored, ret, &n);
    return n;
}

static const struct err *get_initial_sync(struct request *rq, struct reply *rp)
{
    struct sync s = sync_of(rq, rp);
    struct buf *out = &rp->body;
    const struct session_room *rooms;
    const struct presence_row *presence;
    size_t limit, n;
    bool archived, any = false;
    s.range.is_initial = true;
    s.viewer = viewer_of(rq);
    TRY(reading_limit(rq, &limit));
    TRY(request_query_bool(rq, "archived", false, &archived));
    TRY(filter_load(s.who.job, s.who.caller->user, NULL, &s.filter));
    TRY(sync_reader_open(&s.who, &rq->waiter, &s.range));
    TRY(sync_account_read(&s.who, &s.range, &s.account));
    BUF_LIT(out, "{\"end\":\"");
    sync_token_add(out, s.who.job->storage, s.range.until, s.range.typing_until);
    BUF_LIT(out, "\",\"presence\":[");
    n = old_sync_read_presence(&s, &presence);
    presence_add_events(presence, n, out);
    BUF_LIT(out, "],\"account_data\":[");
    TRY(sync_add_account_events(&s, out));
    BUF_LIT(out, "],\"rooms\":[");
    session_rooms(s.who.job, s.who.session, &rooms, &n);
    for (size_t i = 0; i < n; i++)
        if (old_sync_is_listed(&rooms[i], archived))
            TRY(add_room_apart(&s, rq, &rooms[i], limit, &any));
    BUF_LIT(out, "]}");
    return reply_body(rp, 200);
}

/* ---- events ---- */

/* The new events of one room. */
struct room_update {
    struct room *room;
    struct session_room at;
    const struct stored_event **events; /* oldest first, only visible ones */
    size_t n;
};

/* If a page is full, the reply ends with it, so that nothing is left out. */
static const struct err *read_timeline(struct sync *s, struct room_update *update, size_t max)
{
    const struct stored_event *list;
    size_t n;
    int64_t to = update->at.membership == MEMBERSHIP_JOIN ? s->range.until : update->at.position;
    TRY(events_page(job_tx(s->who.job), update->room->id, s->range.since,
                    to < s->range.until ? to : s->range.until, false, (int64_t)max, &list, &n));
    update->events = arena_alloc_array(s->who.job->arena, n + 1, sizeof *update->events);
    bool *visible = arena_alloc_array(s->who.job->arena, n + 1, sizeof *visible);
    for (size_t i = 0; i < n; i++)
        update->events[i] = &list[i];
    TRY(visibility_filter(s->who.job, update->room, s->who.caller->user, s->who.caller->user_id,
                          update->events, n, visible));
    for (size_t i = 0; i < n; i++)
        if (visible[i])
            update->events[update->n++] = update->events[i];
    if (n == max && list[n - 1].position < s->range.until)
        s->range.until = list[n - 1].position;
    return NULL;
}

static const struct err *read_invite(struct sync *s, struct room_update *update)
{
    const struct stored_event *e;
    if (update->at.position <= s->range.since)
        return NULL;
    TRY(events_get(job_tx(s->who.job), update->at.event, &e));
    if (!e || sync_reader_ignores(&s->who, e->event->sender))
        return NULL;
    update->events = arena_alloc_array(s->who.job->arena, 1, sizeof *update->events);
    update->events[update->n++] = e;
    return NULL;
}

static const struct err *read_update(struct sync *s, const struct session_room *at, size_t max,
                                     struct room_update *ret)
{
    ret->at = *at;
    TRY(room_get_by_id(s->who.job, at->room, &ret->room));
    if (!ret->room || at->membership == MEMBERSHIP_KNOCK)
        return NULL;
    if (at->membership == MEMBERSHIP_INVITE)
        return read_invite(s, ret);
    bool is_over = at->membership != MEMBERSHIP_JOIN && at->position <= s->range.since;
    return is_over ? NULL : read_timeline(s, ret, max);
}

static void separate(struct buf *out, bool *any)
{
    buf_add_text(out, *any ? "," : "");
    *any = true;
}

static const struct err *add_update(struct sync *s, struct room_update *update, struct buf *out)
{
    size_t n = 0;
    while (n < update->n && update->events[n]->position <= s->range.until)
        n++;
    if (!n)
        return NULL;
    separate(out, &s->any);
    return serialize_events(s->who.job, &s->viewer, update->events, n, RELATIONS_UNKNOWN, out);
}

static const struct err *add_ephemeral(struct sync *s, const struct room_update *update,
                                       struct buf *out)
{
    struct typing *typing = s->who.job->users->typing;
    const struct typing_place seen = {s->range.since, s->range.typing_since};
    const struct typing_place until = {s->range.until, s->range.typing_until};
    int64_t room = update->room->id;
    const char *room_id = update->room->room_id, *const * users;
    struct receipt *receipts;
    size_t n;
    if (update->at.membership != MEMBERSHIP_JOIN)
        return NULL;
    if (typing_has_changed(typing, room, &seen, &until)) {
        separate(out, &s->any);
        typing_list(typing, s->who.job->arena, room, s->who.ignored, &users, &n);
        typing_add_event(users, n, room_id, out);
    }
    TRY(receipts_read(s->who.job, room, s->who.caller->user, s->range.since, s->range.until,
                      s->who.ignored, &receipts, &n));
    if (n)
        separate(out, &s->any);
    receipts_add_events(receipts, n, room_id, out);
    return NULL;
}

/* The rooms with changes, or the requested one, which the user need not be in. */
static const struct err *old_sync_choose(struct sync *s, struct room *only)
{
    if (!only)
        return sync_choose_rooms(s);
    struct session_room *one = arena_alloc(s->who.job->arena, sizeof *one);
    if (!session_get_room(s->who.session, only->id, one) || one->membership != MEMBERSHIP_JOIN)
        *one = (struct session_room){
            .room = only->id, .membership = MEMBERSHIP_LEAVE, .position = VALID_FOREVER};
    s->rooms = one;
    s->rooms_n = 1;
    return NULL;
}

static const struct err *write_chunk(struct sync *s, struct room *only, struct buf *out)
{
    size_t n = s->rooms_n, presence_n;
    const struct presence_row *presence;
    struct room_update *update = arena_alloc_array(s->who.job->arena, n + 1, sizeof *update);
    memset(update, 0, (n + 1) * sizeof *update);
    for (size_t i = 0; i < n; i++)
        TRY(read_update(s, &s->rooms[i], n < EVENTS_MAX ? EVENTS_MAX / n : 1, &update[i]));
    for (size_t i = 0; i < n; i++)
        if (update[i].room)
            TRY(add_update(s, &update[i], out));
    for (size_t i = 0; i < n; i++)
        if (update[i].room)
            TRY(add_ephemeral(s, &update[i], out));
    if (only)
        return NULL;
    presence_n = old_sync_read_presence(s, &presence);
    if (presence_n)
        separate(out, &s->any);
    presence_add_events(presence, presence_n, out);
    return NULL;
}

static const struct err *find_only_room(struct request *rq, struct room **ret)
{
    const char *room_id = request_query(rq, "room_id");
    *ret = NULL;
    if (!room_id)
        return NULL;
    TRY(room_find(job_of(rq), room_id, ret));
    if (!*ret)
        return err(ERR_FORBIDDEN, "You are not in this room, or there is no such room");
    return visibility_need_room(job_of(rq), *ret, caller_of(rq)->user);
}

static const struct err *old_sync_reply_events(struct request *rq, struct reply *rp,
                                               const struct sync *s, const char *from,
                                               const struct buf *chunk)
{
    struct buf *out = &rp->body;
    buf_auto struct buf end = {0};
    sync_token_add(&end, s->who.job->storage, s->range.until, s->range.typing_until);
    BUF_LIT(out, "{\"start\":");
    buf_add_json_string(out, from ? str_of(from) : buf_str(&end));
    BUF_LIT(out, ",\"end\":");
    buf_add_json_string(out, buf_str(&end));
    BUF_LIT(out, ",\"chunk\":[");
    buf_add_str(out, buf_str(chunk));
    BUF_LIT(out, "]}");
    return reply_body(rp, 200);
}

/* Changes in their own rooms wake users anyway. */
static const struct err *await_only_room(struct sync *s, struct request *rq,
                                         const struct room *only)
{
    struct session *session;
    if (!only)
        return NULL;
    TRY(session_open(s->who.job, s->who.caller->user, s->who.caller->user_id, &session));
    session_subscribe(session, &rq->waiter);
    if (!session_is_joined(session, only->id))
        session_await_room(session, &rq->waiter, only->id);
    return NULL;
}

/* Without `from` the answer is the stream's current token. */
static const struct err *answer_events(struct request *rq, struct reply *rp)
{
    struct sync s = sync_of(rq, rp);
    const char *from = request_query(rq, "from");
    struct sync_token token = {0};
    struct room *only;
    int64_t timeout;
    buf_auto struct buf chunk = {0};
    TRY(request_query_int(rq, "timeout", TIMEOUT_DEFAULT_MS, 0, INT64_MAX, &timeout));
    if (from)
        TRY(sync_token_parse_since(s.who.job->storage, from, &token));
    s.range.since = token.position;
    s.range.typing_since = token.serial;
    s.viewer = viewer_of(rq);
    TRY(find_only_room(rq, &only));
    TRY(filter_load(s.who.job, s.who.caller->user, NULL, &s.filter));
    TRY(await_only_room(&s, rq, only));
    TRY(sync_reader_open(&s.who, &rq->waiter, &s.range));
    if (!from)
        return old_sync_reply_events(rq, rp, &s, NULL, &chunk);
    TRY(old_sync_choose(&s, only));
    if (sync_must_move(&s, rq))
        return reply_elsewhere(rp, POOL_INITIAL);
    TRY(write_chunk(&s, only, &chunk));
    int64_t now = mono_ms(), until = rq->started_mono_us / 1000 +
                                     (timeout < TIMEOUT_MAX_MS ? timeout : TIMEOUT_MAX_MS);
    if (s.any || now >= until || rq->pool == POOL_INITIAL || rq->waiter.is_displaced ||
        request_is_stopping(rq))
        return old_sync_reply_events(rq, rp, &s, from, &chunk);
    return reply_wait(rp, until);
}

static const struct err *old_sync_get_events(struct request *rq, struct reply *rp)
{
    return sync_keep_parked(rq, rp, answer_events(rq, rp));
}

const struct route old_sync_routes[] = {
    {.method = GET,
     .path = "/_matrix/client/v3/rooms/{room}/initialSync",
     .handler = get_room_initial_sync,
     .who = WHO_GUEST_TOO,
     .pool = POOL_INITIAL,
     .spec = "Syncing"},
    {.method = GET,
     .path = "/_matrix/client/v3/initialSync",
     .handler = get_initial_sync,
     .who = WHO_USER,
     .pool = POOL_INITIAL,
     .spec = "Syncing"},
    {.method = GET,
     .path = "/_matrix/client/v3/events",
     .handler = old_sync_get_events,
     .who = WHO_GUEST_TOO,
     .moves_to = POOL_INITIAL,
     .spec = "Syncing"},
    {.path = NULL},
};
