#include "federation/in/room_work.h"

#include "base/clock.h"
#include "base/lock.h"
#include "base/log.h"
#include "base/map.h"
#include "base/mem.h"
#include "base/thread.h"

#include <stdatomic.h>

enum {
    ITEMS_MAX = 20000,
    OF_ROOM_MAX = 2,   /* at once */
    OF_SERVER_MAX = 3, /* at once */
    LARGE_MAX = 1,     /* at once: they keep a processor busy */
    LOOK_MS = 500,     /* how often due items are looked for */
    DELAY_MS = 2000,   /* after the first failure; doubles */
    DELAY_MAX_MS = 30 * 60 * 1000,
    WAKE_PAUSE_MS = 30 * 1000 /* the longest pause once there is more to do */
};

enum item_state { QUEUED, DELAYED, RUNNING };

/* An event that an item waits for; those for the same event are chained. */
struct awaited {
    char *event_id;
    struct item *item;
    struct awaited *other; /* for the same event */
};

struct item {
    struct work_item what;
    char *key; /* what.server is its tail */
    struct awaited awaited[AWAITED_MAX];
    size_t awaited_n;
    enum item_state state;
    bool again;    /* added again while it is being done */
    bool has_come; /* an event that it waits for arrived meanwhile */
    int64_t due_mono_ms, rest_until_mono_ms;
    struct item *prev, *next;
};

struct list {
    struct item *first, *last;
};

struct room_work {
    struct node *node;
    work_function *fn;
    void *ctx;
    struct lock lock;
    pthread_cond_t called;
    struct map items;   /* key -> struct item */
    struct map awaited; /* event id -> struct awaited */
    atomic_size_t awaited_n;
    struct list lists[RUNNING + 1];
    bool stopping;
    pthread_t *threads;
    int threads_n;
};

/* ---- lists, the lock held ---- */

static void room_work_unlink_locked(struct room_work *w, struct item *i)
{
    struct list *l = &w->lists[i->state];
    *(i->prev ? &i->prev->next : &l->first) = i->next;
    *(i->next ? &i->next->prev : &l->last) = i->prev;
}

static void room_work_append_locked(struct room_work *w, struct item *i, enum item_state state)
{
    struct list *l = &w->lists[state];
    i->state = state;
    i->next = NULL;
    i->prev = l->last;
    *(l->last ? &l->last->next : &l->first) = i;
    l->last = i;
}

static void move_locked(struct room_work *w, struct item *i, enum item_state state)
{
    room_work_unlink_locked(w, i);
    room_work_append_locked(w, i, state);
}

static void queue_due_locked(struct room_work *w, int64_t now)
{
    for (struct item *i = w->lists[DELAYED].first, *next; i; i = next) {
        next = i->next;
        if (i->due_mono_ms <= now)
            move_locked(w, i, QUEUED);
    }
}

static bool room_work_has_its_share_locked(const struct room_work *w, const struct item *i)
{
    int of_cap = 0, of_server = 0, large = 0;
    for (const struct item *r = w->lists[RUNNING].first; r; r = r->next) {
        large += r->what.is_large;
        of_cap += r->what.room == i->what.room;
        of_server += *i->what.server && strcmp(r->what.server, i->what.server) == 0;
    }
    if (i->what.is_large && large >= LARGE_MAX)
        return true;
    return of_cap >= OF_ROOM_MAX || of_server >= OF_SERVER_MAX;
}

static struct item *room_work_next_locked(struct room_work *w)
{
    for (struct item *i = w->lists[QUEUED].first; i; i = i->next)
        if (!room_work_has_its_share_locked(w, i))
            return i;
    return NULL;
}

/* ---- events that items wait for, the lock held ---- */

static void await_locked(struct room_work *w, struct item *i, const char *event_id)
{
    struct awaited *a = &i->awaited[i->awaited_n++];
    *a = (struct awaited){.event_id = mem_strdup(event_id), .item = i};
    a->other = map_remove(&w->awaited, str_of(event_id));
    map_put(&w->awaited, str_of(a->event_id), a);
}

static void unchain_locked(struct room_work *w, struct awaited *a)
{
    struct awaited *head = map_remove(&w->awaited, str_of(a->event_id));
    if (head == a)
        head = a->other;
    for (struct awaited *b = head; b; b = b->other)
        if (b->other == a)
            b->other = a->other;
    if (head)
        map_put(&w->awaited, str_of(head->event_id), head);
}

static void await_nothing_locked(struct room_work *w, struct item *i)
{
    for (size_t k = 0; k < i->awaited_n; k++) {
        unchain_locked(w, &i->awaited[k]);
        free(i->awaited[k].event_id);
    }
    i->awaited_n = 0;
    atomic_store(&w->awaited_n, w->awaited.n);
}

/* ---- items, the lock held ---- */

static struct item *item_locked(struct room_work *w, int64_t room, const char *server)
{
    buf_auto struct buf key = {0};
    size_t n;
    buf_printf(&key, "%lld ", (long long)room);
    size_t room_n = key.n;
    buf_add_text(&key, server);
    struct item *i = map_get(&w->items, buf_str(&key));
    if (i || w->items.n >= ITEMS_MAX || w->stopping)
        return i;
    i = mem_zalloc(sizeof *i);
    i->key = buf_steal(&key, &n);
    i->what = (struct work_item){.room = room, .server = i->key + room_n};
    map_put(&w->items, str_of(i->key), i);
    room_work_append_locked(w, i, QUEUED);
    pthread_cond_signal(&w->called);
    return i;
}

static void room_work_drop_locked(struct room_work *w, struct item *i)
{
    await_nothing_locked(w, i);
    room_work_unlink_locked(w, i);
    map_remove(&w->items, str_of(i->key));
    free(i->key);
    free(i);
}

/* has_more: there is more to do than when it failed. */
static void set_due_locked(struct item *i, int64_t due, bool has_more)
{
    int64_t soon = mono_ms() + WAKE_PAUSE_MS;
    if (has_more && due > soon)
        due = soon;
    i->due_mono_ms = due > i->rest_until_mono_ms ? due : i->rest_until_mono_ms;
}

/* ---- adding work ---- */

bool room_work_add(struct room_work *w, int64_t room, const char *server)
{
    LOCKED(&w->lock);
    struct item *i = item_locked(w, room, server);
    if (i && i->state == RUNNING)
        i->again = true;
    if (i && i->state == DELAYED)
        set_due_locked(i, i->due_mono_ms, true);
    return i;
}

void room_work_rest(struct room_work *w, const struct work_item *what, int64_t ms)
{
    LOCKED(&w->lock);
    struct item *i = item_locked(w, what->room, what->server);
    if (i)
        i->rest_until_mono_ms = mono_ms() + ms;
}

void room_work_await(struct room_work *w, const struct work_item *what,
                     const char *const *event_ids, size_t n)
{
    LOCKED(&w->lock);
    struct item *i = item_locked(w, what->room, what->server);
    for (size_t k = 0; i && k < n && i->awaited_n < AWAITED_MAX; k++)
        await_locked(w, i, event_ids[k]);
    atomic_store(&w->awaited_n, w->awaited.n);
}

bool room_work_awaits(struct room_work *w)
{
    return atomic_load(&w->awaited_n) > 0;
}

void room_work_event_came(struct room_work *w, const char *event_id)
{
    LOCKED(&w->lock);
    for (struct awaited *a = map_get(&w->awaited, str_of(event_id)); a; a = a->other) {
        a->item->has_come = true;
        if (a->item->state != DELAYED)
            continue;
        move_locked(w, a->item, QUEUED);
        pthread_cond_signal(&w->called);
    }
}

/* ---- doing it ---- */

static int64_t delay_ms(int attempts)
{
    int64_t ms = attempts < 20 ? (int64_t)DELAY_MS << attempts : DELAY_MAX_MS;
    ms = ms < DELAY_MAX_MS ? ms : DELAY_MAX_MS;
    return ms / 2 + mono_us() % (ms / 2); /* spreads the retries of items that failed together */
}

static void concluded_locked(struct room_work *w, struct item *i, enum work_result result)
{
    i->what.is_large = i->what.is_large || result == WORK_LARGE;
    if (result == WORK_LATER && i->has_come) {
        move_locked(w, i, QUEUED);
    } else if (result == WORK_LATER) {
        set_due_locked(i, mono_ms() + delay_ms(i->what.attempts++), i->again);
        move_locked(w, i, DELAYED);
    } else if (result == WORK_AGAIN || result == WORK_LARGE || i->again) {
        i->what.attempts = 0;
        move_locked(w, i, QUEUED);
    } else {
        room_work_drop_locked(w, i);
    }
}

static void do_one_locked(struct room_work *w, struct item *i, struct arena *arena)
{
    move_locked(w, i, RUNNING);
    await_nothing_locked(w, i);
    i->again = i->has_come = false;
    i->rest_until_mono_ms = 0;
    struct work_item what = i->what;
    lock_release(&w->lock);
    struct job job;
    job_init(&job, w->node, arena);
    enum work_result result = w->fn(w->ctx, &job, &what);
    job_finish(&job);
    arena_reset(arena);
    lock_take(&w->lock);
    concluded_locked(w, i, result);
    pthread_cond_broadcast(&w->called); /* its threads are free */
}

static void *room_work_run(void *ctx)
{
    struct room_work *w = ctx;
    struct arena *arena = arena_create();
    lock_take(&w->lock);
    while (!w->stopping) {
        queue_due_locked(w, mono_ms());
        struct item *i = room_work_next_locked(w);
        if (i)
            do_one_locked(w, i, arena);
        else if (w->lists[DELAYED].first)
            lock_wait_until(&w->lock, &w->called, mono_ms() + LOOK_MS);
        else
            lock_wait(&w->lock, &w->called);
    }
    lock_release(&w->lock);
    arena_destroy(arena);
    return NULL;
}

/* ---- start and end ---- */

struct room_work *room_work_create(struct node *node, work_function *fn, void *ctx)
{
    struct room_work *w = mem_zalloc(sizeof *w);
    w->node = node;
    w->fn = fn;
    w->ctx = ctx;
    lock_init(&w->lock, RANK_CACHE);
    cond_init(&w->called);
    return w;
}

void room_work_start(struct room_work *w, int threads)
{
    w->threads = mem_zalloc((size_t)threads * sizeof *w->threads);
    for (int i = 0; i < threads; i++)
        if (thread_start(&w->threads[w->threads_n], "fed-room", room_work_run, w))
            w->threads_n++;
    if (w->threads_n < threads)
        log_warn("only %d of %d threads could be started", w->threads_n, threads);
}

void room_work_stop(struct room_work *w)
{
    lock_take(&w->lock);
    w->stopping = true;
    pthread_cond_broadcast(&w->called);
    lock_release(&w->lock);
    for (int i = 0; i < w->threads_n; i++)
        pthread_join(w->threads[i], NULL);
    w->threads_n = 0;
}

void room_work_destroy(struct room_work *w)
{
    if (!w)
        return;
    for (int state = QUEUED; state <= RUNNING; state++)
        while (w->lists[state].first)
            room_work_drop_locked(w, w->lists[state].first);
    map_finish(&w->items);
    map_finish(&w->awaited);
    pthread_cond_destroy(&w->called);
    lock_finish(&w->lock);
    free(w->threads);
    free(w);
}

size_t room_work_waiting(struct room_work *w)
{
    LOCKED(&w->lock);
    return w->items.n;
}
