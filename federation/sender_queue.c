#include "federation/sender_internal.h"

#include "base/mem.h"

void queue_add_locked(struct destination *d, const struct outgoing *o)
{
    if (d->first > d->room / 2 && d->first + d->n == d->room) {
        memmove(d->queue, d->queue + d->first, d->n * sizeof *d->queue);
        d->first = 0;
    }
    if (d->first + d->n == d->room) {
        d->room = d->room ? d->room * 2 : 16;
        d->queue = mem_realloc_array(d->queue, d->room, sizeof *d->queue);
    }
    struct outgoing *queue = d->queue + d->first;
    size_t at = d->n;
    while (at && queue[at - 1].position > o->position)
        at--;
    if (at && queue[at - 1].position == o->position)
        return; /* it concerns this server for two reasons */
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
    d->room = 0;
}
