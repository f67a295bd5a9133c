#include "federation/keyed_lock.h"

#include "base/lock.h"
#include "base/map.h"
#include "base/mem.h"

/* A source that waits several times gets the lock once in each round. A new waiter is in the round
 * after the holder's, or after the last one in which its own source waits. */
struct lock_waiter {
    const char *name, *source;
    uint64_t round;
    bool is_ready;
    struct lock_waiter *next;
};

struct holder {
    uint64_t round;
    char name[];
};

struct keyed_lock {
    struct lock lock;
    pthread_cond_t given_back;
    struct map taken;          /* name -> struct holder */
    struct lock_waiter *first; /* by round, then in order of arrival */
};

struct keyed_lock *keyed_lock_create(void)
{
    struct keyed_lock *t = mem_zalloc(sizeof *t);
    lock_init(&t->lock, RANK_LEAF);
    cond_init(&t->given_back);
    return t;
}

void keyed_lock_destroy(struct keyed_lock *t)
{
    if (!t)
        return;
    map_finish(&t->taken);
    pthread_cond_destroy(&t->given_back);
    lock_finish(&t->lock);
    free(t);
}

static void keyed_lock_hold_locked(struct keyed_lock *t, const char *name)
{
    size_t n = strlen(name) + 1;
    struct holder *h = mem_zalloc(sizeof *h + n);
    memcpy(h->name, name, n);
    map_put(&t->taken, str_of(h->name), h);
}

static void queue_locked(struct keyed_lock *t, struct lock_waiter *w, const struct holder *h)
{
    struct lock_waiter **at = &t->first;
    w->round = h->round + 1;
    for (const struct lock_waiter *other = t->first; other; other = other->next)
        if (strcmp(other->name, w->name) == 0 && strcmp(other->source, w->source) == 0 &&
            other->round >= w->round)
            w->round = other->round + 1;
    while (*at && (*at)->round <= w->round)
        at = &(*at)->next;
    w->next = *at;
    *at = w;
}

static void unqueue_locked(struct keyed_lock *t, struct lock_waiter *w)
{
    struct lock_waiter **at = &t->first;
    while (*at != w)
        at = &(*at)->next;
    *at = w->next;
}

bool keyed_lock_take(struct keyed_lock *t, const char *name, const char *source,
                     int64_t deadline_mono_ms)
{
    LOCKED(&t->lock);
    const struct holder *h = map_get(&t->taken, str_of(name));
    struct lock_waiter w = {.name = name, .source = source};
    if (!h) {
        keyed_lock_hold_locked(t, name);
        return true;
    }
    queue_locked(t, &w, h);
    while (!w.is_ready)
        if (lock_wait_until(&t->lock, &t->given_back, deadline_mono_ms) && !w.is_ready) {
            unqueue_locked(t, &w);
            return false;
        }
    return true;
}

bool keyed_lock_is_taken(struct keyed_lock *t, const char *name)
{
    LOCKED(&t->lock);
    return map_get(&t->taken, str_of(name)) != NULL;
}

size_t keyed_lock_waiting(struct keyed_lock *t, const char *name)
{
    LOCKED(&t->lock);
    size_t n = 0;
    for (const struct lock_waiter *w = t->first; w; w = w->next)
        n += strcmp(w->name, name) == 0;
    return n;
}

void keyed_lock_release(struct keyed_lock *t, const char *name)
{
    LOCKED(&t->lock);
    struct holder *h = map_get(&t->taken, str_of(name));
    struct lock_waiter *w = t->first;
    while (w && strcmp(w->name, name) != 0)
        w = w->next;
    if (!w) {
        free(map_remove(&t->taken, str_of(name)));
        return;
    }
    unqueue_locked(t, w);
    h->round = w->round;
    w->is_ready = true;
    pthread_cond_broadcast(&t->given_back);
}
