#include "federation/in/history.h"
/* History from before our server was in a room, fetched when a user pages back to a backward
 * extremity ("Backfilling and retrieving missing events"). */
#include "base/clock.h"
#include "base/lock.h"
#include "base/mem.h"
#include "federation/in/ask.h"
#include "federation/in/inbound_internal.h"
#include "rooms/accept/history.h"
#include "rooms/writer.h"

enum {
    BACKFILL_LIMIT = 100, /* of one request, as other servers use */
    ROUNDS_MAX = 5,
    ENDS_MAX = 5,
    ASKED_AT_ONCE = 20,
    TIME_MS = 20 * 1000,
    WAIT_MS = 20 * 1000,      /* for another request's fetch */
    RETRY_MS = 30 * 1000,     /* after no server had any */
    RETRY_SOON_MS = 2 * 1000, /* after no server was reachable, or one asked us to wait */
    REMEMBERED_MAX = 10000
};

/* ---- one at a time for each room ---- */

struct flight {
    bool running;
    size_t added;               /* by the last fetch */
    int64_t not_before_mono_ms; /* after a fetch that added nothing */
};

struct flights {
    struct lock lock;
    pthread_cond_t ended;
    struct map rooms; /* rooms.id -> struct flight */
    int waiting;      /* threads that wait for another's fetch */
};

struct flights *flights_create(void)
{
    struct flights *f = mem_zalloc(sizeof *f);
    lock_init(&f->lock, RANK_CACHE);
    cond_init(&f->ended);
    return f;
}

static void forget_all_locked(struct flights *f)
{
    for (struct map_slot *s = NULL; (s = map_next(&f->rooms, s));)
        free(s->value);
    map_finish(&f->rooms);
    f->rooms = (struct map){0};
}

void flights_destroy(struct flights *f)
{
    if (!f)
        return;
    forget_all_locked(f);
    pthread_cond_destroy(&f->ended);
    lock_finish(&f->lock);
    free(f);
}

static bool is_used_locked(struct flights *f)
{
    if (f->waiting)
        return true;
    for (struct map_slot *s = NULL; (s = map_next(&f->rooms, s));)
        if (((struct flight *)s->value)->running)
            return true;
    return false;
}

/* True: the caller must fetch. Otherwise another thread did (ret_added: how many events), or it is
 * too soon to retry. */
static bool history_begin(struct flights *f, int64_t room, size_t *ret_added)
{
    int64_t deadline = mono_ms() + WAIT_MS;
    LOCKED(&f->lock);
    if (f->rooms.n > REMEMBERED_MAX && !is_used_locked(f))
        forget_all_locked(f);
    struct flight *flight = map_get_int(&f->rooms, room);
    if (!flight) {
        flight = mem_zalloc(sizeof *flight);
        map_put_int(&f->rooms, room, flight);
    }
    if (!flight->running) {
        flight->running = mono_ms() >= flight->not_before_mono_ms;
        return flight->running;
    }
    f->waiting++;
    while (flight->running && !lock_wait_until(&f->lock, &f->ended, deadline))
        ;
    f->waiting--;
    *ret_added = flight->running ? 0 : flight->added;
    return false;
}

static void in_history_end(struct flights *f, int64_t room, size_t added, int64_t retry_ms)
{
    LOCKED(&f->lock);
    struct flight *flight = map_get_int(&f->rooms, room);
    flight->running = false;
    flight->added = added;
    flight->not_before_mono_ms = added ? 0 : mono_ms() + retry_ms;
    pthread_cond_broadcast(&f->ended);
}

/* ---- fetching ---- */

static size_t list_missing(const struct history_end *ends, size_t n, const char **ret)
{
    size_t ids_n = 0;
    for (size_t i = 0; i < n; i++)
        for (size_t k = 0; k < ends[i].missing_n && ids_n < ASKED_AT_ONCE; k++)
            ret[ids_n++] = ends[i].missing[k];
    return ids_n;
}

/* The event whose own parents are not in the list; the lowest one if there are several. */
static const struct event *find_oldest(const struct events *events)
{
    struct map have = {0};
    const struct event *oldest = NULL;
    for (size_t i = 0; i < events->n; i++)
        map_put(&have, str_of(events->list[i]->event_id), (void *)events->list[i]);
    for (size_t i = 0; i < events->n; i++) {
        const struct event *e = events->list[i];
        bool leads_on = false;
        for (size_t k = 0; k < e->prev_n; k++)
            leads_on |= map_get(&have, str_of(e->prev_events[k])) != NULL;
        if (!leads_on && (!oldest || e->depth < oldest->depth))
            oldest = e;
    }
    map_finish(&have);
    return oldest;
}

/* The room may have been reloaded meanwhile, for instance when its state became complete. */
static const struct err *in_history_add(struct ask *a, const struct events *events,
                                        const char *const *state, size_t state_n, size_t *ret_added)
{
    struct retry retry = {0};
    const struct err *e;
    do
        e = history_add(a->job, a->room, events->list, events->n, state, state_n, ret_added);
    while (writer_retry(&retry, a->job, &a->room, &e));
    return e;
}

/* Fetches one stretch of history. */
static const struct err *fetch_some(struct ask *a, const struct history_end *ends, size_t n,
                                    size_t *ret_added)
{
    size_t state_n = 0;
    const char *ids[ASKED_AT_ONCE];
    const char *const *state = NULL;
    struct events events;
    TRY(ask_backfill(a, ids, list_missing(ends, n, ids), BACKFILL_LIMIT, &events));
    const struct event *oldest = events.n ? find_oldest(&events) : NULL;
    if (!oldest)
        return NULL;
    bool known = oldest->prev_n == 0; /* the state before the create event is empty */
    if (!known)
        TRY(ask_state_before(a, oldest->event_id, &state, &state_n, &known));
    if (!known)
        return NULL;
    TRY(ask_auth(a, events.list, events.n));
    if (a->may_come_yet)
        return NULL; /* auth events are missing and may be available later */
    TRY(in_history_add(a, &events, state, state_n, ret_added));
    for (size_t i = 0; i < events.n; i++)
        inbound_event_came(inbound_of(a->job), events.list[i]->event_id);
    return NULL;
}

/* Fetches until there is enough, or all of it. */
static const struct err *history_fetch(struct ask *a, size_t limit, size_t *added)
{
    for (int round = 0; *added < limit && round < ROUNDS_MAX && ask_may_go_on(a); round++) {
        const struct history_end *ends;
        size_t n, some = 0;
        TRY(history_ends(a->job, a->room, ENDS_MAX, &ends, &n));
        if (!n)
            break;
        TRY(fetch_some(a, ends, n, &some));
        *added += some;
        if (!some)
            ask_skip(a);
    }
    return NULL;
}

static int64_t history_retry_ms(const struct ask *a)
{
    return a->wait_ms ? a->wait_ms : a->answers ? RETRY_MS : RETRY_SOON_MS;
}

const struct err *federation_backfill(struct job *job, struct room *room, size_t limit,
                                      size_t *ret_added)
{
    struct flights *flights = inbound_of(job)->flights;
    struct ask ask;
    size_t added = 0;
    *ret_added = 0;
    if (!history_begin(flights, room->id, ret_added))
        return NULL;
    ask_init(&ask, job, room, NULL);
    ask.deadline_mono_ms = mono_ms() + TIME_MS;
    const struct err *e = history_fetch(&ask, limit, &added);
    in_history_end(flights, room->id, added, history_retry_ms(&ask));
    *ret_added = added;
    return e;
}
