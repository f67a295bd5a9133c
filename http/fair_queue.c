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

struct source *fair_queue_enter(struct fair_queue *q, uint64_t key, enum queue_order order)
{
    key ^= order; /* keys are hashes */
    struct source *s = map_get_int(&q->sources, (int64_t)key);
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

static void free_unused(struct fair_queue *q, struct source *s)
{
    if (s->held || s->running)
        return;
    map_remove_int(&q->sources, (int64_t)s->key);
    free(s);
}

void fair_queue_leave(struct fair_queue *q, struct source *s)
{
    s->held--;
    free_unused(q, s);
}

/* Behind the others, when it has something that may run and is not among them yet. */
static void give_turn(struct fair_queue *q, struct source *s)
{
    if (s->has_turn || !s->head || s->running >= q->running_max)
        return;
    struct turns *turns = &q->turns[s->order];
    s->has_turn = true;
    s->next = NULL;
    if (turns->first)
        turns->last->next = s;
    else
        turns->first = s;
    turns->last = s;
}

void fair_queue_add(struct fair_queue *q, struct exchange *ex)
{
    struct source *s = ex->source;
    ex->next = NULL;
    if (s->head)
        s->tail->next = ex;
    else
        s->head = ex;
    s->tail = ex;
    q->depth++;
    give_turn(q, s);
}

static bool may_run(const struct fair_queue *q, int order)
{
    return q->turns[order].first &&
           (order != ORDER_USUAL || q->usual_running < q->usual_running_max);
}

static bool lower_may_run(const struct fair_queue *q, int order)
{
    while (--order >= 0)
        if (may_run(q, order))
            return true;
    return false;
}

/* Whose turn it is; NULL: there is none. Of the highest order, unless it alone would be served. */
static struct source *next_source(const struct fair_queue *q)
{
    for (int order = ORDER_COUNT - 1; order >= 0; order--)
        if (may_run(q, order) && (q->taken[order] < AHEAD_MAX || !lower_may_run(q, order)))
            return q->turns[order].first;
    return NULL;
}

static void count_turn(struct fair_queue *q, int order)
{
    for (int higher = order + 1; higher < ORDER_COUNT; higher++)
        q->taken[higher] = 0;
    q->taken[order] = lower_may_run(q, order) ? q->taken[order] + 1 : 0;
}

struct exchange *fair_queue_take(struct fair_queue *q)
{
    struct source *s = next_source(q);
    if (!s)
        return NULL;
    count_turn(q, s->order);
    q->usual_running += s->order == ORDER_USUAL;
    q->turns[s->order].first = s->next;
    s->has_turn = false;
    struct exchange *ex = s->head;
    s->head = ex->next;
    s->running++;
    q->depth--;
    give_turn(q, s);
    return ex;
}

void fair_queue_ran(struct fair_queue *q, struct source *s)
{
    s->running--;
    q->usual_running -= s->order == ORDER_USUAL;
    give_turn(q, s);
    free_unused(q, s);
}

bool fair_queue_is_empty(const struct fair_queue *q)
{
    return !next_source(q);
}

int64_t fair_queue_oldest_us(const struct fair_queue *q)
{
    const struct source *s = next_source(q);
    return s ? s->head->queued_us : INT64_MAX;
}
