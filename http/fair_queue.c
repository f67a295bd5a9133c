#include "http/fair_queue.h"

#include "base/mem.h"
#include "http/internal.h"

void fair_queue_finish(struct fair_queue *q)
{
    for (struct map_slot *slot = NULL; (slot = map_next(&q->sources, slot));)
        free(slot->value);
    map_finish(&q->sources);
}

enum { AHEAD_MAX = 3 }; /* turns of an order, while a lower one waits */

struct queue_source *fair_queue_hold(struct fair_queue *q, uint64_t key, enum queue_order order)
{
    key ^= order; /* keys are hashes */
    struct queue_source *s = map_get_int(&q->sources, (int64_t)key);
    if (!s) {
        s = mem_zalloc(sizeof *s);
        s->key = key;
        s->order = order;
        map_put_int(&q->sources, (int64_t)key, s);
    }
    if (s->held >= q->held_max)
        return NULL;
    s->held++;
    return s;
}

static void free_unused(struct fair_queue *q, struct queue_source *s)
{
    if (s->held || s->running)
        return;
    map_remove_int(&q->sources, (int64_t)s->key);
    free(s);
}

void fair_queue_leave(struct fair_queue *q, struct queue_source *s)
{
    s->held--;
    free_unused(q, s);
}

/* Appends the source to the ready ones, if it has something to run and is not among them yet. */
static void make_ready(struct fair_queue *q, struct queue_source *s)
{
    if (s->is_ready || !s->head || s->running >= q->running_max)
        return;
    struct ready_list *ready = &q->ready[s->order];
    s->is_ready = true;
    s->next = NULL;
    if (ready->first)
        ready->last->next = s;
    else
        ready->first = s;
    ready->last = s;
}

void fair_queue_add(struct fair_queue *q, struct exchange *ex)
{
    struct queue_source *s = ex->source;
    ex->next = NULL;
    if (s->head)
        s->tail->next = ex;
    else
        s->head = ex;
    s->tail = ex;
    q->depth++;
    make_ready(q, s);
}

static bool may_run(const struct fair_queue *q, int order)
{
    return q->ready[order].first &&
           (order != ORDER_USUAL || q->usual_running < q->usual_running_max);
}

static bool lower_may_run(const struct fair_queue *q, int order)
{
    while (--order >= 0)
        if (may_run(q, order))
            return true;
    return false;
}

/* The source whose turn it is; NULL: none. From the highest order, unless a lower one has waited
 * long enough. */
static struct queue_source *next_source(const struct fair_queue *q)
{
    for (int order = ORDER_COUNT - 1; order >= 0; order--)
        if (may_run(q, order) && (q->taken[order] < AHEAD_MAX || !lower_may_run(q, order)))
            return q->ready[order].first;
    return NULL;
}

static void count_served(struct fair_queue *q, int order)
{
    for (int higher = order + 1; higher < ORDER_COUNT; higher++)
        q->taken[higher] = 0;
    q->taken[order] = lower_may_run(q, order) ? q->taken[order] + 1 : 0;
}

struct exchange *fair_queue_take(struct fair_queue *q)
{
    struct queue_source *s = next_source(q);
    if (!s)
        return NULL;
    count_served(q, s->order);
    q->usual_running += s->order == ORDER_USUAL;
    q->ready[s->order].first = s->next;
    s->is_ready = false;
    struct exchange *ex = s->head;
    s->head = ex->next;
    s->running++;
    q->depth--;
    make_ready(q, s);
    return ex;
}

void fair_queue_ran(struct fair_queue *q, struct queue_source *s)
{
    s->running--;
    q->usual_running -= s->order == ORDER_USUAL;
    make_ready(q, s);
    free_unused(q, s);
}

bool fair_queue_is_empty(const struct fair_queue *q)
{
    return !next_source(q);
}

int64_t fair_queue_oldest_us(const struct fair_queue *q)
{
    const struct queue_source *s = next_source(q);
    return s ? s->head->queued_us : INT64_MAX;
}
