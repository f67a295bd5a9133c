#include "http/fair_queue.h"

#include "base/mem.h"
#include "http/internal.h"

void fair_queue_finish(struct fair_queue *q)
{
    for (struct map_slot *slot = NULL; (slot = map_next(&q->sources, slot));)
        free(slot->value);
    map_finish(&q->sources);
}

struct source *fair_queue_enter(struct fair_queue *q, uint64_t key)
{
    struct source *s = map_get_int(&q->sources, (int64_t)key);
    if (!s) {
        s = mem_zalloc(sizeof *s);
        s->key = key;
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
    s->has_turn = true;
    s->next = NULL;
    if (q->first)
        q->last->next = s;
    else
        q->first = s;
    q->last = s;
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

struct exchange *fair_queue_take(struct fair_queue *q)
{
    struct source *s = q->first;
    if (!s)
        return NULL;
    q->first = s->next;
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
    give_turn(q, s);
    free_unused(q, s);
}

int64_t fair_queue_oldest_us(const struct fair_queue *q)
{
    return q->first ? q->first->head->queued_us : INT64_MAX;
}
