#include "federation/in/room_work.h"

#include "base/lock.h"
#include "base/map.h"
#include "base/mem.h"
#include "storage/job_pool.h"

#include <stdatomic.h>

enum {
    ITEMS_MAX = 20000,
    OF_ROOM_MAX = 2,    /* at once */
    OF_SERVER_MAX = 3,  /* at once */
    LARGE_MAX = 1,      /* at once: they keep a processor busy */
    SOON_MS = 30 * 1000 /* the longest pause once there is more to do */
};

/* An event that an item waits for; those for the same event are chained. */
struct awaited {
    char *event_id;
    struct room_wait *of;
    struct awaited *other; /* for the same event */
};

/* What an item waits for. */
struct room_wait {
    int64_t room;
    char *server;
    char *key;
    struct awaited awaited[AWAITED_MAX];
    size_t n;
};

struct room_work {
    work_function *fn;
    void *ctx;
    struct worker_pool *pool;
    struct worker_kind *work;
    struct lock lock;   /* of what follows */
    struct map waits;   /* room and server -> struct room_wait */
    struct map awaited; /* event id -> struct awaited */
    atomic_size_t awaited_n;
};

static struct worker_key room_work_key(int64_t room, const char *server)
{
    return (struct worker_key){.number = room, .text = server};
}

/* ---- events that items wait for, the lock held ---- */

static void room_work_print_key(int64_t room, const char *server, struct buf *out)
{
    buf_printf(out, "%lld %s", (long long)room, server);
}

static void await_locked(struct room_work *w, struct room_wait *of, const char *event_id)
{
    struct awaited *a = &of->awaited[of->n++];
    *a = (struct awaited){.event_id = mem_strdup(event_id), .of = of};
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

static void room_work_drop_wait_locked(struct room_work *w, struct room_wait *of)
{
    for (size_t k = 0; k < of->n; k++) {
        unchain_locked(w, &of->awaited[k]);
        free(of->awaited[k].event_id);
    }
    map_remove(&w->waits, str_of(of->key));
    atomic_store(&w->awaited_n, w->awaited.n);
    free(of->server);
    free(of->key);
    free(of);
}

static void room_work_await_nothing(struct room_work *w, const struct work_item *what)
{
    buf_auto struct buf key = {0};
    room_work_print_key(what->room, what->server, &key);
    LOCKED(&w->lock);
    struct room_wait *of = map_get(&w->waits, buf_str(&key));
    if (of)
        room_work_drop_wait_locked(w, of);
}

static struct room_wait *room_work_wait_locked(struct room_work *w, const struct work_item *what)
{
    buf_auto struct buf key = {0};
    size_t n;
    room_work_print_key(what->room, what->server, &key);
    struct room_wait *of = map_get(&w->waits, buf_str(&key));
    if (of)
        return of;
    of = mem_zalloc(sizeof *of);
    of->room = what->room;
    of->server = mem_strdup(what->server);
    of->key = buf_steal(&key, &n);
    map_put(&w->waits, str_of(of->key), of);
    return of;
}

void room_work_await(struct room_work *w, const struct work_item *what,
                     const char *const *event_ids, size_t n)
{
    LOCKED(&w->lock);
    struct room_wait *of = room_work_wait_locked(w, what);
    for (size_t k = 0; k < n && of->n < AWAITED_MAX; k++)
        await_locked(w, of, event_ids[k]);
    atomic_store(&w->awaited_n, w->awaited.n);
}

bool room_work_awaits(struct room_work *w)
{
    return atomic_load(&w->awaited_n) > 0;
}

void room_work_event_came(struct room_work *w, const char *event_id)
{
    LOCKED(&w->lock);
    for (struct awaited *a = map_get(&w->awaited, str_of(event_id)); a; a = a->other)
        worker_hurry(w->work, room_work_key(a->of->room, a->of->server));
}

/* ---- the work ---- */

void room_work_rest(struct room_work *w, const struct work_item *what, int64_t ms)
{
    *what->rest_ms = ms;
}

bool room_work_add(struct room_work *w, int64_t room, const char *server)
{
    return worker_add(w->work, room_work_key(room, server));
}

static enum worker_outcome room_work_run(void *of, void *thread, struct worker_item *item)
{
    static const enum worker_outcome outcomes[] = {[WORK_DONE] = WORKER_DONE,
                                                   [WORK_AGAIN] = WORKER_AGAIN,
                                                   [WORK_LARGE] = WORKER_AGAIN,
                                                   [WORK_LATER] = WORKER_FAILED};
    struct room_work *w = of;
    const struct work_item what = {.room = item->key.number,
                                   .server = item->key.text,
                                   .attempts = item->failures,
                                   .is_large = item->is_long,
                                   .rest_ms = &item->wait_ms};
    room_work_await_nothing(w, &what);
    enum work_result result = w->fn(w->ctx, thread, &what);
    if (result != WORK_LATER)
        room_work_await_nothing(w, &what);
    item->is_long = item->is_long || result == WORK_LARGE;
    return outcomes[result];
}

/* ---- start and end ---- */

struct room_work *room_work_create(struct node *node, int threads, work_function *fn, void *ctx)
{
    struct room_work *w = mem_zalloc(sizeof *w);
    const struct worker_settings settings = {.name = "gaps",
                                             .of = w,
                                             .run = room_work_run,
                                             .backoff = {.first_ms = 2000,
                                                         .max_ms = 30 * 60 * 1000,
                                                         .factor = 2,
                                                         .from_percent = 50,
                                                         .to_percent = 100},
                                             .of_number_max = OF_ROOM_MAX,
                                             .of_text_max = OF_SERVER_MAX,
                                             .long_max = LARGE_MAX,
                                             .items_max = ITEMS_MAX,
                                             .sooner_ms = SOON_MS};
    w->fn = fn;
    w->ctx = ctx;
    lock_init(&w->lock, RANK_CACHE);
    w->pool = job_pool_create(node, "fed-room", threads);
    w->work = worker_kind_create(w->pool, &settings);
    return w;
}

void room_work_start(struct room_work *w)
{
    worker_kind_start(w->work);
}

void room_work_stop(struct room_work *w)
{
    worker_kind_stop(w->work);
}

void room_work_destroy(struct room_work *w)
{
    if (!w)
        return;
    worker_kind_destroy(w->work);
    worker_pool_destroy(w->pool);
    for (struct map_slot *s; (s = map_next(&w->waits, NULL));)
        room_work_drop_wait_locked(w, s->value);
    map_finish(&w->waits);
    map_finish(&w->awaited);
    lock_finish(&w->lock);
    free(w);
}

size_t room_work_waiting(struct room_work *w)
{
    return worker_items(w->work);
}
