#include "server/push/push_internal.h"

#include "base/clock.h"
#include "base/mem.h"
#include "users/receipts.h"

/* ---- notices ---- */

struct push_notice *push_notice_create(const struct push_seen *s)
{
    struct push_notice *n = mem_zalloc(sizeof *n);
    *n = (struct push_notice){.refs = 1,
                              .position = s->position,
                              .room = s->room,
                              .thread = s->thread,
                              .since_mono = mono_ms(),
                              .event = event_ref(s->event),
                              .is_state = s->event->state_key != NULL,
                              .is_member = s->event->state_key &&
                                           strcmp(s->event->type, "m.room.member") == 0,
                              .is_encrypted = strcmp(s->event->type, "m.room.encrypted") == 0,
                              .is_looked_up = s->is_looked_up};
    return n;
}

void push_notice_unref_locked(struct pushes *p, struct push_notice *n)
{
    if (--n->refs)
        return;
    if (map_get_int(&p->notices, n->position) == n)
        map_remove_int(&p->notices, n->position);
    p->notices_bytes -= n->bytes;
    event_unref(n->event);
    buf_finish(&n->ids);
    buf_finish(&n->whole);
    free(n->tweaks);
    free(n);
}

/* Its bytes count from its first queue on. */
static void push_notice_ref_locked(struct pushes *p, struct push_notice *n)
{
    n->refs++;
    if (n->bytes)
        return;
    n->bytes = sizeof *n + event_bytes(n->event) + n->ids.size + n->whole.size;
    p->notices_bytes += n->bytes;
    if (!map_get_int(&p->notices, n->position))
        map_put_int(&p->notices, n->position, n);
}

/* ---- queues ---- */

static struct push_item *push_queue_at(struct live_pusher *x, size_t i)
{
    return &x->queue[(x->first + i) % PUSH_QUEUE_MAX];
}

void push_queue_cut_locked(struct pushes *p, struct live_pusher *x, int64_t position)
{
    while (x->n && push_queue_at(x, x->n - 1)->notice->position > position) {
        struct push_item *last = push_queue_at(x, --x->n);
        free(last->tweaks);
        push_notice_unref_locked(p, last->notice);
        *last = (struct push_item){0};
    }
    x->behind = position;
    push_note_dirty_locked(p, x);
}

static bool push_queue_is_full_locked(const struct pushes *p, const struct live_pusher *x)
{
    return x->n == PUSH_QUEUE_MAX || (x->n && p->notices_bytes > PUSH_BYTES_MAX);
}

void push_queue_add_locked(struct pushes *p, struct live_pusher *x, struct push_notice *n,
                           const char *tweaks, bool is_loud)
{
    size_t at = x->n;
    while (at && push_queue_at(x, at - 1)->notice->position > n->position)
        at--;
    push_note_dirty_locked(p, x);
    if (at && push_queue_at(x, at - 1)->notice->position == n->position)
        return;
    if (push_queue_is_full_locked(p, x)) {
        push_queue_cut_locked(p, x,
                              at ? push_queue_at(x, at - 1)->notice->position : n->position - 1);
        return;
    }
    for (size_t i = x->n++; i > at; i--)
        *push_queue_at(x, i) = *push_queue_at(x, i - 1);
    push_notice_ref_locked(p, n);
    *push_queue_at(x, at) = (struct push_item){
        .notice = n, .tweaks = tweaks ? mem_strdup(tweaks) : NULL, .is_loud = is_loud};
}

void push_queue_pop_locked(struct pushes *p, struct live_pusher *x)
{
    struct push_item *i = push_queue_at(x, 0);
    if (i->notice->position > x->sent)
        x->sent = i->notice->position;
    free(i->tweaks);
    push_notice_unref_locked(p, i->notice);
    *i = (struct push_item){0};
    x->first = (x->first + 1) % PUSH_QUEUE_MAX;
    x->n--;
    x->refusals = 0;
    push_note_dirty_locked(p, x);
}

void push_queue_clear_locked(struct pushes *p, struct live_pusher *x)
{
    while (x->n)
        push_queue_pop_locked(p, x);
}

struct push_item *push_queue_front_locked(struct pushes *p, struct live_pusher *x)
{
    while (x->n) {
        struct push_item *i = push_queue_at(x, 0);
        bool is_old = mono_ms() - i->notice->since_mono > PUSH_AGE_MS;
        if (!i->is_dead && !i->notice->is_redacted && !is_old)
            return i;
        p->dropped++;
        push_queue_pop_locked(p, x);
    }
    return NULL;
}

void push_queue_read_locked(struct live_pusher *x, int64_t room, int64_t thread, int64_t position)
{
    for (size_t i = 0; i < x->n; i++) {
        struct push_item *one = push_queue_at(x, i);
        const struct push_notice *n = one->notice;
        bool is_in_scope = thread == 0 || n->thread == (thread == RECEIPT_OF_MAIN ? 0 : thread);
        one->is_dead |= n->room == room && n->position <= position && is_in_scope;
    }
}

int64_t push_queue_cursor_locked(const struct live_pusher *x, bool *ret_behind)
{
    *ret_behind = x->n || x->behind || x->catching_up;
    if (x->catching_up)
        return x->catching_up;
    if (x->n)
        return x->queue[x->first].notice->position - 1;
    return x->behind ? x->behind : x->sent;
}
