#include "base/clock.h"
#include "base/mem.h"
#include "base/worker/worker_internal.h"

#define EACH(type, one, head)                                                                      \
    for (type *one = (type *)(head)->next; &one->link != (head); one = (type *)one->link.next)

/* ---- delayed items: a binary heap by due time ---- */

static void worker_heap_set(struct worker_pool *p, size_t at, struct worker_entry *e)
{
    p->heap[at] = e;
    e->heap_at = at;
}

static void worker_heap_up(struct worker_pool *p, size_t at, struct worker_entry *e)
{
    for (; at && p->heap[(at - 1) / 2]->due > e->due; at = (at - 1) / 2)
        worker_heap_set(p, at, p->heap[(at - 1) / 2]);
    worker_heap_set(p, at, e);
}

static void worker_heap_down(struct worker_pool *p, size_t at, struct worker_entry *e)
{
    for (size_t child; (child = 2 * at + 1) < p->heap_n; at = child) {
        if (child + 1 < p->heap_n && p->heap[child + 1]->due < p->heap[child]->due)
            child++;
        if (p->heap[child]->due >= e->due)
            break;
        worker_heap_set(p, at, p->heap[child]);
    }
    worker_heap_set(p, at, e);
}

static void worker_heap_remove(struct worker_pool *p, size_t at)
{
    struct worker_entry *last = p->heap[--p->heap_n];
    if (at == p->heap_n)
        return;
    if (at && p->heap[(at - 1) / 2]->due > last->due)
        worker_heap_up(p, at, last);
    else
        worker_heap_down(p, at, last);
}

void worker_delay_locked(struct worker_entry *e)
{
    struct worker_pool *p = e->kind->pool;
    if (p->heap_n == p->heap_cap) {
        p->heap_cap = p->heap_cap ? p->heap_cap * 2 : 16;
        p->heap = mem_realloc_array(p->heap, p->heap_cap, sizeof *p->heap);
    }
    e->state = WORKER_DELAYED;
    worker_heap_up(p, p->heap_n++, e);
}

/* ---- ready items ---- */

void worker_ready_locked(struct worker_entry *e, int64_t now)
{
    struct worker_lane *l = e->lane;
    e->state = WORKER_READY;
    if (e->due > now || !e->due)
        e->due = now;
    worker_link_append(&l->ready, &e->link);
    if (!l->ready_n++)
        worker_link_append(&e->kind->ready, &l->link);
    e->kind->ready_n++;
    e->kind->pool->ready_n++;
}

static void worker_unready_locked(struct worker_entry *e)
{
    worker_link_remove(&e->link);
    if (!--e->lane->ready_n)
        worker_link_remove(&e->lane->link);
    e->kind->ready_n--;
    e->kind->pool->ready_n--;
}

void worker_unqueue_locked(struct worker_entry *e)
{
    if (e->state == WORKER_DELAYED)
        worker_heap_remove(e->kind->pool, e->heap_at);
    else
        worker_unready_locked(e);
}

static void worker_ready_due_locked(struct worker_pool *p, int64_t now)
{
    while (p->heap_n && p->heap[0]->due <= now) {
        struct worker_entry *e = p->heap[0];
        worker_heap_remove(p, 0);
        worker_ready_locked(e, now);
    }
}

/* ---- the next one ---- */

static bool worker_is_at_limit(int n, int max)
{
    return max && n >= max;
}

static bool worker_number_is_at_limit_locked(const struct worker_entry *e)
{
    int n = 0;
    if (!e->kind->s.of_number_max)
        return false;
    EACH(struct worker_entry, r, &e->kind->pool->running)
    n += r->kind == e->kind && r->item.key.number == e->item.key.number;
    return n >= e->kind->s.of_number_max;
}

static struct worker_entry *worker_next_of_lane_locked(const struct worker_kind *k,
                                                       struct worker_lane *l)
{
    if (*l->text && worker_is_at_limit(l->running_n, k->s.of_text_max))
        return NULL;
    EACH(struct worker_entry, e, &l->ready)
    if (!(e->item.is_long && worker_is_at_limit(k->long_n, k->s.long_max)) &&
        !worker_number_is_at_limit_locked(e))
        return e;
    return NULL;
}

static struct worker_entry *worker_next_of_kind_locked(struct worker_kind *k)
{
    if (!k->started || worker_is_at_limit(k->running_n, k->s.at_once_max))
        return NULL;
    EACH(struct worker_lane, l, &k->ready)
    {
        struct worker_entry *e = worker_next_of_lane_locked(k, l);
        if (e)
            return e;
    }
    return NULL;
}

static void worker_begin_locked(struct worker_entry *e)
{
    struct worker_kind *k = e->kind;
    worker_unready_locked(e);
    if (e->lane->ready_n) {
        worker_link_remove(&e->lane->link);
        worker_link_append(&k->ready, &e->lane->link);
    }
    worker_link_remove(&k->link);
    worker_link_append(&k->pool->kinds, &k->link);
    e->state = WORKER_RUNNING;
    e->again = e->hurried = false;
    e->rest_until = 0;
    worker_link_append(&k->pool->running, &e->link);
    e->lane->running_n++;
    k->running_n++;
    k->long_n += e->item.is_long;
}

void worker_ran_locked(struct worker_entry *e)
{
    worker_link_remove(&e->link);
    e->lane->running_n--;
    e->kind->running_n--;
    e->kind->long_n -= e->item.is_long;
}

struct worker_entry *worker_take_locked(struct worker_pool *p)
{
    worker_ready_due_locked(p, mono_ms());
    EACH(struct worker_kind, k, &p->kinds)
    {
        struct worker_entry *e = worker_next_of_kind_locked(k);
        if (e) {
            worker_begin_locked(e);
            return e;
        }
    }
    return NULL;
}
