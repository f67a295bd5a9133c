#include "server/sliding/order.h"

#include "base/mem.h"

#include <stdlib.h>

struct sliding_orders *sliding_orders_create(size_t n)
{
    struct sliding_orders *o = mem_zalloc(sizeof *o);
    o->lists = mem_zalloc((n + 1) * sizeof *o->lists);
    o->n = n;
    return o;
}

void sliding_orders_destroy(struct sliding_orders *o)
{
    if (!o)
        return;
    for (size_t i = 0; i < o->n; i++) {
        free(o->lists[i].filters);
        free(o->lists[i].rooms);
    }
    free(o->lists);
    free(o);
}

size_t sliding_orders_bytes(const struct sliding_orders *o)
{
    size_t bytes = sizeof *o + o->n * sizeof *o->lists;
    for (size_t i = 0; i < o->n; i++)
        bytes += o->lists[i].cap * sizeof *o->lists[i].rooms + strlen(o->lists[i].filters);
    return bytes;
}

bool sliding_orders_take(struct sliding_orders *o, struct str filters, struct sliding_order *ret)
{
    for (size_t i = 0; o && i < o->n; i++) {
        if (!o->lists[i].filters || !str_is(filters, o->lists[i].filters))
            continue;
        *ret = o->lists[i];
        o->lists[i] = (struct sliding_order){0};
        return true;
    }
    return false;
}

void sliding_order_add(struct sliding_order *o, int64_t room, int64_t activity)
{
    if (o->n == o->cap) {
        o->cap = o->cap ? o->cap * 2 : 32;
        o->rooms = mem_realloc_array(o->rooms, o->cap, sizeof *o->rooms);
    }
    o->rooms[o->n++] = (struct ordered_room){room, activity};
}

/* Rooms with the same activity: two that were joined by one change of the log. */
static int order_compare(const void *x, const void *y)
{
    const struct ordered_room *a = x, *b = y;
    if (a->activity != b->activity)
        return a->activity > b->activity ? -1 : 1;
    return a->room > b->room ? -1 : a->room < b->room;
}

void sliding_order_sort(struct sliding_order *o)
{
    if (o->n)
        qsort(o->rooms, o->n, sizeof *o->rooms, order_compare);
}

size_t sliding_order_find(const struct sliding_order *o, int64_t room)
{
    size_t i = 0;
    while (i < o->n && o->rooms[i].room != room)
        i++;
    return i;
}

void sliding_order_remove(struct sliding_order *o, size_t at)
{
    o->n--;
    memmove(o->rooms + at, o->rooms + at + 1, (o->n - at) * sizeof *o->rooms);
}

void sliding_order_insert(struct sliding_order *o, int64_t room, int64_t activity)
{
    const struct ordered_room new = {room, activity};
    size_t at = 0;
    while (at < o->n && order_compare(&o->rooms[at], &new) < 0)
        at++;
    sliding_order_add(o, room, activity);
    memmove(o->rooms + at + 1, o->rooms + at, (o->n - 1 - at) * sizeof *o->rooms);
    o->rooms[at] = new;
}
