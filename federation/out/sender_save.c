/* Stores cursors, and loads those of slices that were taken. What is stored late is at worst sent
 * twice: receivers know events and messages by their ids. */
#include "federation/out/sender_internal.h"

#include "base/clock.h"
#include "base/mem.h"
#include "storage/devices/to_device.h"
#include "storage/servers/destinations.h"

enum {
    ALL_SLICES = -1,
    SAVE_MS = 50,         /* between writes of cursors */
    SAVE_AGAIN_MS = 1000, /* if a lease was not renewed in time */
    LAG_MAX = 10000 /* how far the stored cursor of an idle destination may lag; it is checked as
                       often */
};

/* ---- saving ---- */

struct saved {
    struct destination_row row;
    int64_t to_device_sent;
    int slice;
};

struct saving {
    struct saved *list;
    size_t n;
    int64_t fences[LEASE_SLICES]; /* of those in the list; 0: none */
};

/* Nothing follows the cursor, so it may be moved to the end. */
static bool sender_save_is_done_locked(const struct sender *s, const struct destination *d)
{
    int64_t clear = sender_clear_position_locked(s);
    bool done =
        d->is_live && !d->n && !d->is_busy && d->sent < clear && s->slices[d->slice].has_scanned;
    for (int i = 0; i < PENDING_KINDS; i++)
        done = done && d->pending[i] <= d->sent;
    return done;
}

static void sender_save_list_locked(struct sender *s, struct destination *d)
{
    d->is_dirty = true;
    if (d->is_listed || d->is_dropped || !d->is_stored)
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

/* of_slice: all of that slice. */
static void sender_save_advance_idle_locked(struct sender *s, int of_slice)
{
    int64_t clear = sender_clear_position_locked(s);
    bool all = s->stopping || of_slice != ALL_SLICES;
    if (!all && clear - s->advanced <= LAG_MAX)
        return;
    if (of_slice == ALL_SLICES)
        s->advanced = clear;
    for (struct map_slot *slot = NULL; (slot = map_next(&s->destinations, slot));) {
        struct destination *d = slot->value;
        if ((of_slice == ALL_SLICES || d->slice == of_slice) &&
            (all || clear - d->saved > LAG_MAX) && d->is_stored &&
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
        .to_device_sent = d->to_device_sent,
        .slice = d->slice};
    d->is_dirty = d->is_listed = false;
    d->saved = d->sent;
    d->to_device_sent = 0;
}

/* Rows of other slices stay in the list, also those of a lease that was not renewed in time. */
static void sender_save_take_list_locked(struct sender *s, struct arena *a, int of_slice,
                                         struct saving *ret)
{
    size_t kept = 0;
    *ret = (struct saving){.list = arena_alloc_array(a, s->dirty_n + 1, sizeof *ret->list)};
    for (size_t i = 0; i < s->dirty_n; i++) {
        struct destination *d = s->dirty[i];
        bool is_due = of_slice == ALL_SLICES ? sender_slice_is_valid_locked(s, d->slice)
                                             : d->slice == of_slice;
        if (!is_due) {
            s->dirty[kept++] = d;
            continue;
        }
        ret->fences[d->slice] = s->slices[d->slice].fence;
        sender_save_take_locked(a, d, &ret->list[ret->n++]);
    }
    s->dirty_n = kept;
}

static void sender_save_take_due(struct sender *s, struct arena *a, struct saving *ret)
{
    LOCKED(&s->lock);
    sender_save_advance_idle_locked(s, ALL_SLICES);
    sender_save_take_list_locked(s, a, ALL_SLICES, ret);
    s->last_save = mono_ms();
    s->must_save = s->dirty_n > 0;
    if (s->must_save)
        sender_keep(s, KEEPER_SAVE, s->last_save + SAVE_AGAIN_MS);
}

/* The keeper tries again. */
static void sender_save_put_back(struct sender *s, const struct saving *v)
{
    LOCKED(&s->lock);
    for (size_t i = 0; i < v->n; i++) {
        struct destination *d = map_get(&s->destinations, str_of(v->list[i].row.server));
        if (!d || s->slices[d->slice].fence != v->fences[d->slice])
            continue;
        sender_save_list_locked(s, d);
        if (v->list[i].to_device_sent > d->to_device_sent)
            d->to_device_sent = v->list[i].to_device_sent;
    }
    s->must_save = true;
}

static const struct err *sender_save_forget_messages(struct job *job, const struct saving *v)
{
    for (size_t i = 0; i < v->n; i++)
        if (v->list[i].to_device_sent)
            TRY(to_device_outbound_delete(job_tx(job), v->list[i].row.server,
                                          v->list[i].to_device_sent));
    return NULL;
}

/* Through the committer, together with other writes. */
static const struct err *sender_save_write(struct sender *s, struct job *job,
                                           const struct saving *v)
{
    if (!v->n)
        return NULL;
    struct write *w = write_begin(job);
    for (size_t i = 0; i < v->n; i++)
        destinations_write(w, &v->list[i].row);
    lease_check_write_slices(w, s->lease, v->fences);
    TRY(write_commit(job, w, NULL));
    return sender_save_forget_messages(job, v);
}

const struct err *sender_save(struct sender *s, struct job *job)
{
    struct saving v;
    sender_save_take_due(s, job->arena, &v);
    const struct err *e = sender_save_write(s, job, &v);
    if (e)
        sender_save_put_back(s, &v);
    return e;
}

/* From here on it has no turns. While changes are missed it is not known what is idle. */
static void sender_save_close(struct sender *s, struct arena *a, int slice, struct saving *ret)
{
    LOCKED(&s->lock);
    if (s->slices[slice].has_scanned)
        sender_save_advance_idle_locked(s, slice);
    sender_save_take_list_locked(s, a, slice, ret);
    s->slices[slice].has_scanned = false;
}

const struct err *sender_save_slice(struct sender *s, struct job *job, int slice)
{
    struct saving v;
    sender_save_close(s, job->arena, slice, &v);
    return sender_save_write(s, job, &v);
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

/* What a scan finds, and for which slices. */
struct scan {
    int64_t fences[LEASE_SLICES], slices[LEASE_SLICES];
    size_t slices_n;
    const struct destination_row *rows;
    const struct destination_wish *wishes;
    size_t n, wishes_n;
};

/* All slices if the operator may have run a command, otherwise those not known yet. */
static void sender_scan_begin(struct sender *s, struct scan *ret)
{
    LOCKED(&s->lock);
    for (int i = 0; i < LEASE_SLICES; i++) {
        const struct sender_slice *slice = &s->slices[i];
        if (!slice->fence || (slice->has_scanned && !s->must_scan))
            continue;
        ret->fences[i] = slice->fence;
        ret->slices[ret->slices_n++] = i;
    }
    s->must_scan = false;
}

static bool sender_scan_is_held_locked(const struct sender *s, const struct scan *c,
                                       const char *server)
{
    int slice = lease_slice_of_name(server);
    return c->fences[slice] && s->slices[slice].fence == c->fences[slice];
}

static void sender_scan_end_locked(struct sender *s, const struct scan *c)
{
    for (size_t i = 0; i < c->n; i++)
        if (sender_scan_is_held_locked(s, c, c->rows[i].server))
            find_busy_locked(s, &c->rows[i]);
    find_unstored_locked(s);
    for (size_t i = 0; i < c->wishes_n; i++)
        if (sender_scan_is_held_locked(s, c, c->wishes[i].server))
            apply_wish_locked(s, &c->wishes[i]);
    for (int i = 0; i < LEASE_SLICES; i++) /* changes may have been missed again meanwhile */
        if (c->fences[i] && s->slices[i].fence == c->fences[i])
            s->slices[i].has_scanned = !s->must_scan;
}

/* Saves first: the database compares its rows with the log. */
const struct err *sender_scan(struct sender *s, struct job *job)
{
    struct scan c = {.slices_n = 0};
    TRY(sender_save(s, job));
    sender_scan_begin(s, &c);
    if (!c.slices_n)
        return NULL;
    const struct err *e = destinations_busy(job_tx(job), s->node->config->server_name, c.slices,
                                            c.slices_n, &c.rows, &c.n);
    if (!e)
        e = destinations_take_asked(job_tx(job), c.slices, c.slices_n, &c.wishes, &c.wishes_n);
    LOCKED(&s->lock);
    if (e)
        s->must_scan = true;
    else
        sender_scan_end_locked(s, &c);
    return e;
}
