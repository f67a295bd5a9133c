#include "federation/out/sender_internal.h"

#include "base/clock.h"
#include "base/mem.h"

void queue_add_locked(struct destination *d, const struct outgoing *o)
{
    if (d->first > d->cap / 2 && d->first + d->n == d->cap) {
        memmove(d->queue, d->queue + d->first, d->n * sizeof *d->queue);
        d->first = 0;
    }
    if (d->first + d->n == d->cap) {
        d->cap = d->cap ? d->cap * 2 : 16;
        d->queue = mem_realloc_array(d->queue, d->cap, sizeof *d->queue);
    }
    struct outgoing *queue = d->queue + d->first;
    size_t at = d->n;
    while (at && queue[at - 1].position > o->position)
        at--;
    if (at && queue[at - 1].position == o->position)
        return; /* added already, for another reason */
    memmove(queue + at + 1, queue + at, (d->n - at) * sizeof *queue);
    queue[at] = *o;
    if (o->event)
        event_ref(o->event);
    d->n++;
}

void queue_drop_until_locked(struct destination *d, int64_t position)
{
    while (d->n && d->queue[d->first].position <= position) {
        event_unref(d->queue[d->first].event);
        d->first++;
        d->n--;
    }
    if (!d->n)
        d->first = 0;
}

void queue_clear_locked(struct destination *d)
{
    queue_drop_until_locked(d, INT64_MAX);
    free(d->queue);
    d->queue = NULL;
    d->cap = 0;
}

static struct typing_notice *typing_find_locked(struct destination *d,
                                                const struct typing_notice *t)
{
    for (size_t i = 0; i < d->typing_n; i++)
        if (d->typing[i].room == t->room && strcmp(d->typing[i].user_id, t->user_id) == 0)
            return &d->typing[i];
    return NULL;
}

static void typing_remove_locked(struct destination *d, struct typing_notice *t)
{
    free(t->user_id);
    *t = d->typing[--d->typing_n];
}

void typing_put_locked(struct destination *d, const struct typing_notice *t)
{
    struct typing_notice *there = typing_find_locked(d, t);
    if (there) {
        there->typing = t->typing;
        there->since = t->since;
        return;
    }
    if (d->typing_n == TYPING_MAX)
        return;
    if (!d->typing)
        d->typing = mem_alloc(TYPING_MAX * sizeof *d->typing);
    d->typing[d->typing_n] = *t;
    d->typing[d->typing_n++].user_id = mem_strdup(t->user_id);
}

void typing_expire_locked(struct destination *d)
{
    for (size_t i = d->typing_n; i-- > 0;)
        if (mono_ms() - d->typing[i].since > TYPING_MS)
            typing_remove_locked(d, &d->typing[i]);
}

void typing_sent_locked(struct destination *d, const struct typing_notice *t)
{
    struct typing_notice *there = typing_find_locked(d, t);
    if (there && there->since == t->since && there->typing == t->typing)
        typing_remove_locked(d, there);
}
