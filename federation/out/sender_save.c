/* Stores cursors, and loads them at start-up. What is stored late is at worst sent twice: receivers
 * know events and messages by their ids. */
#include "federation/out/sender_internal.h"

#include "base/clock.h"
#include "base/mem.h"
#include "storage/devices/to_device.h"
#include "storage/servers/destinations.h"

enum {
    SAVE_MS = 50,   /* between writes of cursors */
    LAG_MAX = 10000 /* how far the stored cursor of an idle destination may lag; it is checked as
                       often */
};

/* ---- saving ---- */

struct saved {
    struct destination_row row;
    int64_t to_device_sent;
};

/* Nothing follows the cursor, so it may be moved to the end. */
static bool sender_save_is_done_locked(const struct sender *s, const struct destination *d)
{
    int64_t clear = sender_clear_position_locked(s);
    bool done = d->is_live && !d->n && !d->is_busy && d->sent < clear && s->has_scanned;
    for (int i = 0; i < PENDING_KINDS; i++)
        done = done && d->pending[i] <= d->sent;
    return done;
}

static void sender_save_list_locked(struct sender *s, struct destination *d)
{
    d->is_dirty = true;
    if (d->is_listed || !d->is_stored)
        return;
    if (s->dirty_n == s->dirty_cap) {
        s->dirty_cap = s->dirty_cap ? s->dirty_cap * 2 : 64;
        s->dirty = mem_realloc_array(s->dirty, s->dirty_cap, sizeof *s->dirty);
    }
    s->dirty[s->dirty_n++] = d;
    d->is_listed = true;
}

void sender_note_dirty_locked(struct sender *s, struct destination *d)
{
    sender_save_list_locked(s, d);
    if (!d->is_listed || s->must_save)
        return;
    s->must_save = true;
    sender_keep(s, KEEPER_SAVE, s->last_save + SAVE_MS);
}

static void sender_save_advance_idle_locked(struct sender *s)
{
    int64_t clear = sender_clear_position_locked(s);
    if (!s->stopping && clear - s->advanced <= LAG_MAX)
        return;
    s->advanced = clear;
    for (struct map_slot *slot = NULL; (slot = map_next(&s->destinations, slot));) {
        struct destination *d = slot->value;
        if ((s->stopping || clear - d->saved > LAG_MAX) && d->is_stored &&
            sender_save_is_done_locked(s, d)) {
            d->sent = clear;
            sender_save_list_locked(s, d);
        }
    }
}

static void sender_save_take_locked(struct arena *a, struct destination *d, struct saved *ret)
{
    *ret = (struct saved){
        .row = {.server = d->server,
                .sent_position = d->sent,
                .failing_since_ts = d->failing_since,
                .retry_at_ts = d->retry_at,
                .retry_interval_ms = d->retry_interval,
                .last_success_ts = d->last_success,
                .last_error = d->last_error[0] ? arena_strdup(a, d->last_error) : NULL,
                .refusals = d->refusals},
        .to_device_sent = d->to_device_sent};
    d->is_dirty = d->is_listed = false;
    d->saved = d->sent;
    d->to_device_sent = 0;
}

static size_t take_dirty(struct sender *s, struct arena *a, struct saved **ret)
{
    LOCKED(&s->lock);
    sender_save_advance_idle_locked(s);
    size_t n = s->dirty_n;
    struct saved *list = arena_alloc_array(a, n + 1, sizeof *list);
    for (size_t i = 0; i < n; i++)
        sender_save_take_locked(a, s->dirty[i], &list[i]);
    s->dirty_n = 0;
    s->must_save = false;
    s->last_save = mono_ms();
    *ret = list;
    return n;
}

/* The keeper tries again. */
static void sender_save_put_back(struct sender *s, const struct saved *list, size_t n)
{
    LOCKED(&s->lock);
    for (size_t i = 0; i < n; i++) {
        struct destination *d = map_get(&s->destinations, str_of(list[i].row.server));
        sender_save_list_locked(s, d);
        if (list[i].to_device_sent > d->to_device_sent)
            d->to_device_sent = list[i].to_device_sent;
    }
    s->must_save = true;
}

static const struct err *sender_save_forget_messages(struct job *job, const struct saved *list,
                                                     size_t n)
{
    for (size_t i = 0; i < n; i++)
        if (list[i].to_device_sent)
            TRY(to_device_outbound_delete(job_tx(job), list[i].row.server, list[i].to_device_sent));
    return NULL;
}

/* Through the committer, together with other writes. */
const struct err *sender_save(struct sender *s, struct job *job)
{
    struct saved *list;
    size_t n = take_dirty(s, job->arena, &list);
    if (!n)
        return NULL;
    struct write *w = write_begin(job);
    for (size_t i = 0; i < n; i++)
        destinations_write(w, &list[i].row);
    const struct err *e = write_commit(job, w, NULL);
    if (!e)
        e = sender_save_forget_messages(job, list, n);
    if (e)
        sender_save_put_back(s, list, n);
    return e;
}

/* ---- finding pending changes ---- */

/* Assumes pending changes of every kind: the queue is not complete. */
static void look_again_locked(struct sender *s, struct destination *d)
{
    queue_clear_locked(d);
    d->is_live = false;
    d->attempted = 0;
    d->receipt_rooms_from = s->heard;
    for (int i = 0; i < PENDING_KINDS; i++)
        d->pending[i] = s->heard;
}

static void take_row_locked(struct destination *d, const struct destination_row *row)
{
    d->is_stored = true;
    d->sent = d->saved = row->sent_position;
    d->failing_since = row->failing_since_ts;
    d->retry_at = row->retry_at_ts;
    d->retry_interval = row->retry_interval_ms;
    d->last_success = row->last_success_ts;
    d->may_skip = row->failing_since_ts > 0;
    d->refusals = row->refusals;
    d->is_refusing = row->refusals > 0;
    if (row->last_error)
        memcpy(d->last_error, row->last_error, strnlen(row->last_error, LAST_ERROR_MAX - 1));
}

static void find_busy_locked(struct sender *s, const struct destination_row *row)
{
    struct destination *d = sender_destination_locked(s, row->server);
    if (!d)
        return;
    if (!d->is_stored && !d->is_busy) {
        take_row_locked(d, row);
        if (d->is_dirty)
            sender_note_dirty_locked(s, d);
    }
    d->must_resend = d->must_resend || row->must_resend;
    if (row->has_pending)
        look_again_locked(s, d);
}

/* Destinations that have no row yet. */
static void find_unstored_locked(struct sender *s)
{
    for (struct map_slot *slot = NULL; (slot = map_next(&s->destinations, slot));) {
        struct destination *d = slot->value;
        if (!d->is_stored && d->n)
            look_again_locked(s, d);
    }
}

static void apply_wish_locked(struct sender *s, const struct destination_wish *w)
{
    struct destination *d = sender_destination_locked(s, w->server);
    if (!d)
        return;
    d->retry_at = 0;
    d->must_resend = d->must_resend || w->what == ASKED_RESEND;
    if (w->what == ASKED_RESET) {
        d->failing_since = d->retry_interval = 0;
        d->last_error[0] = '\0';
        d->is_refusing = false;
        d->refusals = 0;
    }
    sender_note_dirty_locked(s, d);
}

/* Saves first: the database compares its rows with the log. */
const struct err *sender_scan(struct sender *s, struct job *job)
{
    const struct destination_row *rows;
    const struct destination_wish *wishes;
    size_t n, wishes_n;
    TRY(sender_save(s, job));
    {
        LOCKED(&s->lock);
        s->must_scan = false;
    }
    const struct err *e = destinations_busy(job_tx(job), s->node->config->server_name, &rows, &n);
    if (!e)
        e = destinations_take_asked(job_tx(job), &wishes, &wishes_n);
    LOCKED(&s->lock);
    if (e) {
        s->must_scan = true;
        return e;
    }
    s->has_scanned = !s->must_scan; /* changes may have been missed again meanwhile */
    for (size_t i = 0; i < n; i++)
        find_busy_locked(s, &rows[i]);
    find_unstored_locked(s);
    for (size_t i = 0; i < wishes_n; i++)
        apply_wish_locked(s, &wishes[i]);
    return NULL;
}
