#include "server/media/fetches.h"

#include "base/clock.h"
#include "base/lock.h"
#include "base/map.h"
#include "base/mem.h"

#include <assert.h>
#include <stdio.h>

enum {
    BUCKETS = 64,
    FROM_ONE_SERVER = 6,
    FAILURES_MAX = 256,
    ABSENT_MS = 60 * 1000, /* how long an unknown media id is not tried again, ... */
    FAILED_MS = 10 * 1000  /* ... and after other failures */
};

struct fetch {
    struct fetch *newer; /* of the failed ones */
    bool is_running;
    int64_t until_mono_ms; /* failed: is not tried again before */
    struct err failed;
    size_t server_n;
    char key[]; /* server/media_id */
};

struct fetches {
    struct lock lock;
    struct map by_key;             /* running and failed ones */
    struct fetch *oldest, *newest; /* failed ones */
    int failed_n;
    struct waiter waiting[BUCKETS]; /* heads of circular lists, by key or server */
};

/* ---- waiters ---- */

static struct waiter *fetches_bucket(struct fetches *f, const char *name)
{
    return &f->waiting[hash_bytes(name, strlen(name)) % BUCKETS];
}

static void fetches_leave(struct waiter *w)
{
    struct fetches *f = w->source;
    LOCKED(&f->lock);
    w->prev->next = w->next;
    w->next->prev = w->prev;
    w->source = NULL;
}

static void subscribe_locked(struct fetches *f, struct waiter *w, const char *name)
{
    struct waiter *head = fetches_bucket(f, name);
    w->source = f;
    w->leave = fetches_leave;
    w->next = head;
    w->prev = head->prev;
    w->prev->next = w;
    head->prev = w;
}

static void wake_locked(struct fetches *f, const char *name)
{
    struct waiter *head = fetches_bucket(f, name);
    for (struct waiter *w = head->next; w != head; w = w->next)
        w->wake(w);
}

/* ---- fetches ---- */

static struct fetch *fetches_find_locked(const struct fetches *f, const char *key)
{
    return map_get(&f->by_key, str_of(key));
}

static void fetches_drop_oldest_locked(struct fetches *f)
{
    struct fetch *e = f->oldest;
    f->oldest = e->newer;
    if (!f->oldest)
        f->newest = NULL;
    f->failed_n--;
    map_remove(&f->by_key, str_of(e->key));
    free(e);
}

/* Failures expire after different times: one at the front may keep others longer than necessary,
 * which costs only memory. */
static void drop_old_locked(struct fetches *f, int64_t now)
{
    while (f->oldest && (f->failed_n > FAILURES_MAX || f->oldest->until_mono_ms <= now))
        fetches_drop_oldest_locked(f);
}

static int count_running_locked(const struct fetches *f, const char *server)
{
    size_t server_n = strlen(server);
    int n = 0;
    for (struct map_slot *s = NULL; (s = map_next(&f->by_key, s));) {
        const struct fetch *e = s->value;
        if (e->is_running && e->server_n == server_n && memcmp(e->key, server, server_n) == 0)
            n++;
    }
    return n;
}

static void fetches_start_locked(struct fetches *f, const char *server, const char *media_id)
{
    size_t size = strlen(server) + strlen(media_id) + 2;
    struct fetch *e = mem_zalloc(sizeof *e + size);
    e->is_running = true;
    e->server_n = strlen(server);
    snprintf(e->key, size, "%s/%s", server, media_id);
    map_put(&f->by_key, str_of(e->key), e);
}

/* Removes a failure that may be tried again from the list. */
static void forget_locked(struct fetches *f, struct fetch *old)
{
    struct fetch **place = &f->oldest, *before = NULL;
    while (*place != old) {
        before = *place;
        place = &before->newer;
    }
    *place = old->newer;
    if (f->newest == old)
        f->newest = before;
    f->failed_n--;
    map_remove(&f->by_key, str_of(old->key));
    free(old);
}

enum fetch_role fetches_begin(struct fetches *f, const char *server, const char *media_id,
                              struct waiter *w, struct err *ret_failed)
{
    arena_auto struct arena *a = arena_create();
    const char *key = arena_printf(a, "%s/%s", server, media_id);
    int64_t now = mono_ms();
    if (w->source)
        w->leave(w);
    LOCKED(&f->lock);
    drop_old_locked(f, now);
    struct fetch *e = fetches_find_locked(f, key);
    if (e && !e->is_running && e->until_mono_ms > now) {
        *ret_failed = e->failed;
        return FETCH_FAILED;
    }
    if (e && !e->is_running) {
        forget_locked(f, e);
        e = NULL;
    }
    if (e || count_running_locked(f, server) >= FROM_ONE_SERVER) {
        subscribe_locked(f, w, e ? key : server);
        return FETCH_WAIT;
    }
    fetches_start_locked(f, server, media_id);
    return FETCH_MINE;
}

static void keep_failure_locked(struct fetches *f, struct fetch *e, const struct err *failed)
{
    e->is_running = false;
    e->failed = *failed;
    e->until_mono_ms = mono_ms() + (failed->code == ERR_NOT_FOUND ? ABSENT_MS : FAILED_MS);
    if (f->newest)
        f->newest->newer = e;
    else
        f->oldest = e;
    f->newest = e;
    f->failed_n++;
}

void fetches_end(struct fetches *f, const char *server, const char *media_id,
                 const struct err *failed)
{
    arena_auto struct arena *a = arena_create();
    const char *key = arena_printf(a, "%s/%s", server, media_id);
    LOCKED(&f->lock);
    struct fetch *e = fetches_find_locked(f, key);
    assert(e && e->is_running);
    if (failed) {
        keep_failure_locked(f, e, failed);
    } else {
        map_remove(&f->by_key, str_of(e->key));
        free(e);
    }
    wake_locked(f, key);
    if (fetches_bucket(f, server) != fetches_bucket(f, key))
        wake_locked(f, server);
}

/* ---- life ---- */

struct fetches *fetches_create(void)
{
    struct fetches *f = mem_zalloc(sizeof *f);
    lock_init(&f->lock, RANK_MEDIA);
    for (int i = 0; i < BUCKETS; i++)
        f->waiting[i].next = f->waiting[i].prev = &f->waiting[i];
    return f;
}

void fetches_destroy(struct fetches *f)
{
    if (!f)
        return;
    while (f->oldest)
        fetches_drop_oldest_locked(f);
    assert(f->by_key.n == 0);
    map_finish(&f->by_key);
    lock_finish(&f->lock);
    free(f);
}
