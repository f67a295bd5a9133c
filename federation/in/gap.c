/* Closes a gap of a room: events that one server sent and whose parents are not stored
 * ("Backfilling and retrieving missing events").
 *
 * - Accept what can be accepted.
 * - get_missing_events once, then backfill while a server returns full replies, until nothing is
 *   missing, the budget ends, or what is missing is before our own join.
 * - If events are still missing and no request failed: the state after a missing parent, from a
 *   server of the room.
 * - Accept everything, oldest first. */
#include "base/log.h"
#include "federation/in/ask.h"
#include "federation/in/event_pool.h"
#include "federation/in/inbound_internal.h"
#include "rooms/accept/accept.h"
#include "rooms/accept/remote_join.h"
#include "rooms/room_cache.h"
#include "storage/rooms/event_lookup.h"
#include "storage/servers/inbound.h"

enum {
    KEPT_AT_ONCE = 100,
    LARGE_AT_ONCE = 10, /* of a large conflict; then another room's */
    ASKED_AT_ONCE = 20,
    BACKFILL_LIMIT = 100,
    ENDS_MAX = 10, /* events for which the state before them is requested */
    TAKEN_AT_ONCE = 250,
    AUTH_ROUNDS = 3,
    PATIENT_ATTEMPTS = 8, /* about six minutes: a failure may be temporary */
    ATTEMPTS_MAX = 16     /* about six hours */
};

struct gap {
    struct job *job;
    struct inbound *in;
    struct room *room;
    const char *server; /* that sent the waiting events */
    struct event_pool pool;
    struct ask ask;
    int attempts;         /* that have failed */
    bool is_listed_whole; /* no other events wait */
    bool takes_large;     /* may resolve large conflicts now */
    bool left_large;      /* has large conflicts, but may not resolve them yet */
};

/* ---- accepting ---- */

/* Events that are decided no longer wait. */
static const struct err *gap_settle(struct gap *g, struct pool_event *const *events,
                                    const struct accept_outcome *outcomes, size_t n)
{
    int64_t *ids = arena_alloc_array(g->job->arena, n + 1, sizeof *ids);
    size_t ids_n = 0;
    for (size_t i = 0; i < n; i++) {
        if (outcomes[i].verdict == VERDICT_MISSING)
            continue;
        events[i]->is_taken = true;
        inbound_event_concluded(g->in, events[i]->event, &outcomes[i]);
        if (events[i]->kept)
            ids[ids_n++] = events[i]->kept;
        inbound_count(g->in, COUNT_ACCEPTED, outcomes[i].verdict == VERDICT_ACCEPTED);
        inbound_count(g->in, COUNT_SOFT_FAILED, outcomes[i].verdict == VERDICT_SOFT_FAILED);
        inbound_count(g->in, COUNT_REJECTED, outcomes[i].verdict == VERDICT_REJECTED);
    }
    return inbound_pdus_delete(job_tx(g->job), ids, ids_n);
}

/* Events that lack their auth events, and nothing else. */
static size_t lack_auth(struct pool_event *const *events, const struct accept_outcome *outcomes,
                        size_t n, const struct event **ret)
{
    size_t lacking = 0;
    for (size_t i = 0; i < n; i++)
        if (outcomes[i].verdict == VERDICT_MISSING && outcomes[i].missing_auth_n)
            ret[lacking++] = events[i]->event;
    return lacking;
}

static const struct err *take_some(struct gap *g, struct pool_event *const *events, size_t n,
                                   const struct event **ret_lacking, size_t *ret_lacking_n)
{
    struct arena *a = g->job->arena;
    struct incoming *incoming = arena_alloc_array(a, n + 1, sizeof *incoming);
    struct accept_outcome *outcomes = arena_alloc_array(a, n + 1, sizeof *outcomes);
    for (size_t i = 0; i < n; i++)
        incoming[i] = (struct incoming){.event = events[i]->event,
                                        .state_ids = events[i]->state_ids,
                                        .state_n = events[i]->state_n};
    TRY((g->takes_large ? room_accept : room_accept_unless_large)(g->job, g->room, incoming, n,
                                                                  outcomes));
    for (size_t i = 0; i < n; i++)
        g->left_large |= outcomes[i].is_large;
    *ret_lacking_n = lack_auth(events, outcomes, n, ret_lacking);
    return gap_settle(g, events, outcomes, n);
}

/* Accepts everything that it can; ret_lacking: events that need auth events first. */
static const struct err *gap_take_all(struct gap *g, const struct event **ret_lacking,
                                      size_t *ret_lacking_n)
{
    struct pool_event **order =
        arena_alloc_array(g->job->arena, g->pool.n + 1, sizeof(struct pool_event *));
    size_t n = event_pool_order(&g->pool, order), lacking_n = 0;
    for (size_t at = 0; at < n; at += TAKEN_AT_ONCE) {
        size_t some = n - at < TAKEN_AT_ONCE ? n - at : TAKEN_AT_ONCE, lacking;
        TRY(take_some(g, order + at, some, ret_lacking + lacking_n, &lacking));
        lacking_n += lacking;
    }
    *ret_lacking_n = lacking_n;
    return NULL;
}

static const struct err *take_with_auth(struct gap *g)
{
    const struct event **lacking = arena_alloc_array(g->job->arena, g->pool.n + 1, sizeof *lacking);
    for (int round = 0; round < AUTH_ROUNDS; round++) {
        size_t n;
        TRY(gap_take_all(g, lacking, &n));
        if (!n || !ask_may_go_on(&g->ask))
            break;
        TRY(ask_auth(&g->ask, lacking, n));
    }
    return NULL;
}

static size_t waiting(const struct gap *g)
{
    size_t n = 0;
    for (size_t i = 0; i < g->pool.n; i++)
        n += g->pool.all[i]->kept && !g->pool.all[i]->is_taken;
    return n;
}

/* ---- what is missing ---- */

static void copy_extremities(struct gap *g, const char *const **ret, size_t *ret_n)
{
    LOCKED(&g->room->lock);
    size_t n = g->room->extremities_n < ASKED_AT_ONCE ? g->room->extremities_n : ASKED_AT_ONCE;
    const char **ids = arena_alloc_array(g->job->arena, n + 1, sizeof *ids);
    for (size_t i = 0; i < n; i++)
        ids[i] = arena_strdup(g->job->arena, g->room->extremities[i]);
    *ret = ids;
    *ret_n = n;
}

/* The events between those with missing parents and our head. */
static const struct err *ask_between(struct gap *g, struct events *ret)
{
    const char *latest[ASKED_AT_ONCE];
    const char *const *earliest;
    size_t latest_n = 0, earliest_n;
    for (size_t i = 0; i < g->pool.n && latest_n < ASKED_AT_ONCE; i++)
        if (event_pool_misses_before(&g->pool, g->pool.all[i]->event))
            latest[latest_n++] = g->pool.all[i]->event->event_id;
    copy_extremities(g, &earliest, &earliest_n);
    return ask_missing(&g->ask, earliest, earliest_n, latest, latest_n, g->pool.min_depth, ret);
}

static const struct err *ask_before(struct gap *g, struct events *ret)
{
    const char *ids[ASKED_AT_ONCE];
    size_t n = event_pool_list_missing(&g->pool, ids, ASKED_AT_ONCE);
    return ask_backfill(&g->ask, ids, n, BACKFILL_LIMIT, ret);
}

/* Events before our own join are history, which is fetched when users read it. Without that bound
 * an event concurrent with our join would lead back to the beginning of the room. */
static const struct err *find_min_depth(struct gap *g)
{
    const struct stored_event *join = NULL;
    int64_t joined_at = room_join_position(g->room);
    if (joined_at)
        TRY(events_get(job_tx(g->job), joined_at, &join));
    g->pool.min_depth = join ? join->event->depth : 0;
    return NULL;
}

/* A server that returned less than the limit has no more, unless it failed: ret_failed, in the
 * first minutes. */
static const struct err *fetch_missing(struct gap *g, bool *ret_failed)
{
    TRY(find_min_depth(g));
    TRY(event_pool_look(&g->pool));
    bool gave_all = false;
    for (int round = 0; g->pool.missing.n && !gave_all && ask_may_go_on(&g->ask); round++) {
        struct events events;
        size_t added;
        bool between = round == 0;
        TRY(between ? ask_between(g, &events) : ask_before(g, &events));
        TRY(event_pool_add_missing(&g->pool, events.list, events.n, &added));
        gave_all = !added || events.n < (between ? MISSING_LIMIT : BACKFILL_LIMIT);
    }
    *ret_failed = g->attempts < PATIENT_ATTEMPTS && ask_failed(&g->ask);
    return NULL;
}

/* The state before an event is the state after its only parent. */
static const struct err *ask_state_for(struct gap *g, const struct event *e,
                                       const char *const **ret, size_t *ret_n, bool *ret_known)
{
    *ret_known = false;
    if (e->prev_n == 1)
        TRY(ask_state_after(&g->ask, e->prev_events[0], ret, ret_n, ret_known));
    return *ret_known ? NULL : ask_state_before(&g->ask, e->event_id, ret, ret_n, ret_known);
}

/* For what is still missing: uses the state before the events whose parents are unavailable. */
static const struct err *end_with_state(struct gap *g)
{
    int ends = 0;
    for (size_t i = 0; g->pool.missing.n && i < g->pool.n; i++) {
        struct pool_event *e = g->pool.all[i];
        const char *const *ids;
        size_t n;
        bool known;
        if (e->is_taken || !event_pool_misses_before(&g->pool, e->event))
            continue;
        if (ends++ == ENDS_MAX)
            break;
        TRY(ask_state_for(g, e->event, &ids, &n, &known));
        if (known) {
            e->state_ids = ids;
            e->state_n = n;
        }
    }
    return NULL;
}

/* ---- the work ---- */

/* If the oldest cannot be completed, every other attempt takes the newest, whose state may be
 * available. */
static const struct err *list_kept(struct gap *g)
{
    const struct inbound_pdu *kept;
    size_t n;
    size_t at_once = g->takes_large ? LARGE_AT_ONCE : KEPT_AT_ONCE;
    TRY(inbound_pdus_list(job_tx(g->job), g->room->id, g->room->version, g->server,
                          g->attempts % 2 == 1, (int64_t)at_once, &kept, &n));
    for (size_t i = 0; i < n; i++)
        event_pool_add_kept(&g->pool, kept[i].event, kept[i].id);
    g->is_listed_whole = n < at_once;
    return NULL;
}

static const struct err *close_gap(struct gap *g)
{
    const struct event **lacking;
    size_t lacking_n;
    TRY(list_kept(g));
    lacking = arena_alloc_array(g->job->arena, g->pool.n + 1, sizeof *lacking);
    TRY(gap_take_all(g, lacking, &lacking_n));
    if (!waiting(g) || g->left_large)
        return NULL;
    ask_init(&g->ask, g->job, g->room, g->server);
    g->ask.takes_losses = g->attempts >= PATIENT_ATTEMPTS;
    bool failed;
    TRY(fetch_missing(g, &failed));
    if (g->pool.missing.n && !failed) {
        g->ask.requests += ENDS_MAX; /* otherwise the work so far is wasted */
        g->ask.events += ENDS_MAX;
        TRY(end_with_state(g));
    }
    return take_with_auth(g);
}

/* An event that arrives from another server, or in another's gap, wakes this item. Checks again
 * afterwards, so that one that arrived meanwhile is not missed. */
static const struct err *await_missing(struct gap *g, const struct work_item *item,
                                       enum work_result *ret)
{
    const char *ids[AWAITED_MAX];
    const char *const *unplaced;
    size_t unplaced_n, n = event_pool_list_missing(&g->pool, ids, AWAITED_MAX);
    if (!n)
        return NULL;
    room_work_await(g->in->gaps, item, ids, n);
    TRY(events_find_unplaced(job_tx(g->job), g->room->id, g->room->version, ids, n, &unplaced,
                             &unplaced_n));
    if (unplaced_n < n)
        *ret = WORK_AGAIN;
    return NULL;
}

static const struct err *gap_drop(struct gap *g, int64_t room)
{
    int64_t dropped;
    TRY(inbound_pdus_drop(job_tx(g->job), room, g->server, &dropped));
    inbound_count(g->in, COUNT_DROPPED, (size_t)dropped);
    return NULL;
}

/* ret: WORK_LATER unless set otherwise. */
static const struct err *gap_work(struct gap *g, const struct work_item *item,
                                  enum work_result *ret)
{
    TRY(room_get_by_id(g->job, item->room, &g->room));
    if (!g->room || !room_is_resident(g->room)) {
        *ret = WORK_DONE;
        return gap_drop(g, item->room);
    }
    event_pool_init(&g->pool, g->job, g->room);
    TRY(close_gap(g));
    if (g->ask.wait_ms)
        room_work_rest(g->in->gaps, item, g->ask.wait_ms);
    size_t left = waiting(g);
    bool any_taken = left < g->pool.n;
    if (g->left_large)
        *ret = WORK_LARGE;
    else if (!left)
        *ret = g->is_listed_whole ? WORK_DONE : WORK_AGAIN;
    else if (any_taken && !g->is_listed_whole)
        *ret = WORK_AGAIN;
    else
        TRY(await_missing(g, item, ret));
    if (*ret == WORK_LATER && item->attempts >= ATTEMPTS_MAX) {
        *ret = WORK_DONE;
        return gap_drop(g, item->room);
    }
    return NULL;
}

enum work_result gap_close(void *ctx, struct job *job, const struct work_item *item)
{
    struct gap g = {.job = job,
                    .in = ctx,
                    .server = item->server,
                    .attempts = item->attempts,
                    .takes_large = item->is_large};
    enum work_result result = WORK_LATER;
    const struct err *e = gap_work(&g, item, &result);
    event_pool_finish(&g.pool); /* also if it was never initialised */
    if (e && log_limited("closing a gap of a room", LOG_FEW))
        log_err(LOG_WARN, "closing a gap of a room", e);
    return e ? WORK_LATER : result;
}
