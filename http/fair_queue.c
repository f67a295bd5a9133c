#include "http/fair_queue.h"

#include "base/mem.h"
#include "http/internal.h"

void fair_queue_finish(struct fair_queue *q)
{
    for (struct map_slot *slot = NULL; (slot = map_next(&q->sources, slot));)
        free(slot->value);
    map_finish(&q->sources);
}

enum { AHEAD_MAX = 3 }; /* turns of those that go first, while others wait */

struct source *fair_queue_enter(struct fair_queue *q, uint64_t key, bool goes_first)
{
    key ^= goes_first; /* keys are hashes */
    struct source *s = map_get_int(&q->sources, (int64_t)key);
    if (!s) {
        s = mem_zalloc(sizeof *s);
        s->key = key;
        s->goes_first = goes_first;
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
    struct turns *turns = s->goes_first ? &q->ahead : &q->usual;
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

/* Whose turn it is; NULL: there is none. Of those that go first, unless they alone would be served.
 */
static struct source *next_source(const struct fair_queue *q)
{
    struct source *usual = q->usual_running < q->usual_running_max ? q->usual.first : NULL;
    return q->ahead.first && (!usual || q->ahead_n < AHEAD_MAX) ? q->ahead.first : usual;
}

struct exchange *fair_queue_take(struct fair_queue *q)
{
    struct source *s = next_source(q);
    if (!s)
        return NULL;
    q->ahead_n = s->goes_first && q->usual.first ? q->ahead_n + 1 : 0;
    q->usual_running += !s->goes_first;
    *(s->goes_first ? &q->ahead.first : &q->usual.first) = s->next;
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
    q->usual_running -= !s->goes_first;
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
