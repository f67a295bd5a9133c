#include "base/json_trees.h"

#include "base/clock.h"
#include "base/lock.h"

/* In order of arrival; on the stack of the waiting thread. */
struct waiting {
    struct tree_memory *m;
    struct waiting *next;
};

static struct {
    struct lock lock;
    pthread_cond_t given;
    struct waiting *first;
    atomic_int waiting_n;
    struct budget small, large;
} trees = {.lock = {PTHREAD_MUTEX_INITIALIZER, RANK_LEAF},
           .small = {.size = JSON_TREES_SMALL_MAX, .share = JSON_TREES_SMALL},
           .large = {.size = JSON_TREES_LARGE_MAX}};

__attribute__((constructor)) static void init_trees(void)
{
    cond_init(&trees.given);
}

static bool take_from(struct tree_memory *m, struct budget *b)
{
    if (budget_take(b, m->source, m->bytes))
        m->from = b;
    return m->from != NULL;
}

static bool take_small(struct tree_memory *m)
{
    return m->bytes <= JSON_TREES_SMALL && take_from(m, &trees.small);
}

bool tree_memory_take(struct tree_memory *m)
{
    return take_small(m) || (!atomic_load(&trees.waiting_n) && take_from(m, &trees.large));
}

void tree_memory_overdraw(struct tree_memory *m)
{
    m->from = &trees.large;
    budget_overdraw(m->from, m->source, m->bytes);
}

/* ---- turns ---- */

/* The first waiting one of the source that holds least. */
static struct tree_memory *json_trees_next_locked(void)
{
    struct tree_memory *next = NULL;
    size_t least = SIZE_MAX;
    for (const struct waiting *w = trees.first; w; w = w->next) {
        size_t held = budget_held(&trees.large, w->m->source);
        if (w->m->from || held >= least)
            continue;
        next = w->m;
        least = held;
    }
    return next;
}

static void serve_locked(void)
{
    for (const struct waiting *w = trees.first; w; w = w->next)
        if (!w->m->from)
            take_small(w->m);
    for (struct tree_memory *m; (m = json_trees_next_locked()) && take_from(m, &trees.large);)
        ;
    pthread_cond_broadcast(&trees.given);
}

static void json_trees_add_locked(struct waiting *w)
{
    struct waiting **p = &trees.first;
    while (*p)
        p = &(*p)->next;
    *p = w;
    atomic_fetch_add(&trees.waiting_n, 1);
}

static void json_trees_remove_locked(struct waiting *w)
{
    struct waiting **p = &trees.first;
    while (*p != w)
        p = &(*p)->next;
    *p = w->next;
    atomic_fetch_sub(&trees.waiting_n, 1);
}

bool tree_memory_await(struct tree_memory *m)
{
    int64_t until = mono_ms() + JSON_TREES_WAIT_MS;
    struct waiting w = {.m = m};
    bool late = false;
    LOCKED(&trees.lock);
    json_trees_add_locked(&w);
    serve_locked();
    while (!m->from && !late)
        late = lock_wait_until(&trees.lock, &trees.given, until);
    json_trees_remove_locked(&w);
    serve_locked(); /* it may have been the next one */
    return m->from != NULL;
}

void tree_memory_give_back(struct tree_memory *m)
{
    if (!m->from)
        return;
    budget_give_back(m->from, m->source, m->bytes);
    m->from = NULL;
    if (atomic_load(&trees.waiting_n)) {
        LOCKED(&trees.lock);
        serve_locked();
    }
}

size_t json_trees_bytes(void)
{
    return atomic_load(&trees.small.taken) + atomic_load(&trees.large.taken);
}

int json_trees_waiting(void)
{
    return atomic_load(&trees.waiting_n);
}
