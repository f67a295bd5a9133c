/* When parked requests time out: a binary heap for each loop, guarded by the loop's lock. Each
 * exchange knows its place in it, so that a wake can take it out. */
#include "base/mem.h"
#include "http/internal.h"

static void deadlines_put(struct loop *l, size_t place, struct exchange *ex)
{
    l->deadlines[place - 1] = ex;
    ex->deadline_place = place;
}

static struct exchange *at(const struct loop *l, size_t place)
{
    return l->deadlines[place - 1];
}

static void move_up(struct loop *l, size_t place)
{
    struct exchange *ex = at(l, place);
    while (place > 1 && at(l, place / 2)->deadline_ms > ex->deadline_ms) {
        deadlines_put(l, place, at(l, place / 2));
        place /= 2;
    }
    deadlines_put(l, place, ex);
}

static void move_down(struct loop *l, size_t place)
{
    struct exchange *ex = at(l, place);
    for (size_t child; (child = place * 2) <= l->deadlines_n; place = child) {
        if (child < l->deadlines_n && at(l, child + 1)->deadline_ms < at(l, child)->deadline_ms)
            child++;
        if (at(l, child)->deadline_ms >= ex->deadline_ms)
            break;
        deadlines_put(l, place, at(l, child));
    }
    deadlines_put(l, place, ex);
}

static void take_out_locked(struct loop *l, struct exchange *ex)
{
    size_t place = ex->deadline_place;
    struct exchange *last = at(l, l->deadlines_n--);
    ex->deadline_place = 0;
    if (last == ex)
        return;
    deadlines_put(l, place, last);
    move_up(l, place);
    move_down(l, last->deadline_place);
}

void deadlines_add(struct exchange *ex, int64_t deadline_ms)
{
    struct loop *l = ex->loop;
    bool earliest;
    {
        LOCKED(&l->lock);
        if (l->deadlines_n == l->deadlines_size) {
            l->deadlines_size = l->deadlines_size ? l->deadlines_size * 2 : 64;
            l->deadlines = mem_realloc_array(l->deadlines, l->deadlines_size, sizeof *l->deadlines);
        }
        ex->deadline_ms = deadline_ms;
        ex->expired = false;
        deadlines_put(l, ++l->deadlines_n, ex);
        move_up(l, l->deadlines_n);
        earliest = ex->deadline_place == 1;
    }
    if (earliest)
        loop_notify(l);
}

bool deadlines_remove(struct exchange *ex)
{
    LOCKED(&ex->loop->lock);
    if (ex->deadline_place)
        take_out_locked(ex->loop, ex);
    bool expired = ex->expired;
    ex->expired = false;
    return expired;
}

int64_t deadlines_earliest(struct loop *l)
{
    LOCKED(&l->lock);
    return l->deadlines_n ? at(l, 1)->deadline_ms : INT64_MAX;
}

struct exchange *deadlines_take_expired(struct loop *l, int64_t now_ms)
{
    LOCKED(&l->lock);
    if (!l->deadlines_n || at(l, 1)->deadline_ms > now_ms)
        return NULL;
    struct exchange *ex = at(l, 1);
    ex->expired = true;
    take_out_locked(l, ex);
    return ex;
}
