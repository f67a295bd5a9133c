/* A transaction that is refused repeatedly by a server that accepts an empty one contains something
 * that this server refuses. It is divided until that is found; the refused item is stored
 * (storage/servers/refused_items.h), and the rest is sent in order. A part that is accepted moves
 * the cursor as always, so after a restart only the rest is divided again.
 *
 * A server that refuses one item after another may refuse everything for a while, whatever it says
 * of an empty transaction. After REFUSED_RUN_MAX in a row only one more item is stored for each
 * back-off, and all of that run are sent again automatically once something is accepted. */
#include "federation/out/sender_internal.h"

#include "base/clock.h"
#include "base/log.h"
#include "federation/peer/reply.h"
#include "storage/servers/refused_items.h"

#include <stdio.h>

enum { REFUSALS_MIN = 5, REFUSED_RUN_MAX = 3, DATABASE_PAUSE_MS = 1000 };

/* Other 5xx are what a reverse proxy returns for a server that is down. */
bool sender_is_refusal(int status)
{
    return status == 500 || (status / 100 == 4 && status != 408 && status != 429);
}

/* ---- when to divide ---- */

static bool is_time(struct sender *s, struct destination *d)
{
    LOCKED(&s->lock);
    return !s->stopping && (d->divide_until || ++d->refusals >= REFUSALS_MIN);
}

static bool takes_empty_one(struct sender *s, struct job *job, struct destination *d)
{
    buf_auto struct buf body = {0};
    struct fed_reply reply = {0};
    const char *id = arena_printf(job->arena, "e%lld", (long long)now_ms());
    sender_write_body(s, NULL, 0, NULL, 0, &body);
    const struct err *e = sender_put(job, d->server, id, buf_str(&body), &reply);
    return !e && reply.status == 200;
}

/* ---- where to divide ---- */

static int sender_divide_by_position(const void *x, const void *y)
{
    const int64_t *a = x, *b = y;
    return (*a > *b) - (*a < *b);
}

/* The middle of the positions that have items. Receipts cover a whole range: several items at one
 * position are divided by the range. 0: a single item. */
static int64_t middle_of(struct arena *a, const struct transaction *t)
{
    int64_t *list = arena_alloc_array(a, t->items_n, sizeof *list);
    size_t n = 0;
    for (size_t i = 0; i < t->items_n; i++)
        list[i] = t->items[i].position;
    qsort(list, t->items_n, sizeof *list, sender_divide_by_position);
    for (size_t i = 0; i < t->items_n; i++)
        if (!n || list[n - 1] != list[i])
            list[n++] = list[i];
    if (n > 1)
        return list[n / 2 - 1];
    return t->items_n > 1 && list[0] - t->from > 1 ? t->from + (list[0] - t->from) / 2 : 0;
}

static void try_until(struct sender *s, struct destination *d, const struct transaction *t,
                      int64_t until)
{
    LOCKED(&s->lock);
    s->divisions++;
    if (d->divide_until < t->until)
        d->divide_until = t->until;
    d->attempted = until;
    d->retry_at = 0;
}

/* ---- storing what is refused ---- */

static const struct err *store_items(struct sender *s, struct job *job, struct destination *d,
                                     const struct transaction *t, const char *why, bool *ret_stored)
{
    *ret_stored = true;
    for (size_t i = 0; i < t->items_n && *ret_stored; i++) {
        const struct transaction_item *it = &t->items[i];
        const struct refused_item row = {.position = it->position,
                                         .type = it->type,
                                         .event_id = it->event_id,
                                         .json = it->json,
                                         .answer = why};
        TRY(refused_items_add(job_tx(job), d->server, &row, d->refused_run >= REFUSED_RUN_MAX,
                              ret_stored));
        if (!*ret_stored)
            return NULL;
        s->refused_items++;
        if (log_limited("another server refuses an event or EDU", LOG_FEW))
            log_warn("%s refuses %s %s of ours (%s): it is kept as refused", d->server, it->type,
                     *it->event_id ? it->event_id : "(an EDU)", why);
    }
    return NULL;
}

/* The server counts as working if this was the only item that it refused. */
static void sender_divide_skip(struct sender *s, struct destination *d, const struct transaction *t)
{
    struct transaction gone = *t;
    gone.body = (struct buf){0};
    sender_advance(s, d, &gone);
    LOCKED(&s->lock);
    d->refusals = 0;
    if (d->refused_run < REFUSED_RUN_MAX)
        sender_succeeded_locked(s, d);
    else
        d->must_resend = true;
    sender_note_dirty_locked(s, d);
}

static const struct err *store_refused(struct sender *s, struct job *job, struct destination *d,
                                       const struct transaction *t, const char *why,
                                       bool *ret_stored)
{
    if (!d->refused_run)
        d->refused_run_ts = now_ms();
    TRY(store_items(s, job, d, t, why, ret_stored));
    if (!*ret_stored)
        return NULL;
    if (++d->refused_run == REFUSED_RUN_MAX)
        TRY(refused_items_ask(job_tx(job), d->server, d->refused_run_ts, NULL));
    sender_divide_skip(s, d, t);
    return NULL;
}

static void store_refused_or_wait(struct sender *s, struct job *job, struct destination *d,
                                  const struct transaction *t, const char *why)
{
    bool is_stored = false;
    const struct err *e = store_refused(s, job, d, t, why, &is_stored);
    if (e)
        log_err(LOG_WARN, "storing a refused item failed; it will be retried", e);
    else if (!is_stored && log_limited("no more refused items are stored", LOG_FEW))
        log_warn("%s has refused so much that no more refused items are stored", d->server);
    if (e || !is_stored || d->refused_run >= REFUSED_RUN_MAX) {
        sender_back_off(s, d, t, why, true, 0);
        d->attempted = is_stored ? 0 : d->attempted;
    }
}

/* ---- the interface ---- */

void sender_refused(struct sender *s, struct job *job, struct destination *d,
                    const struct transaction *t, const char *why)
{
    if (!is_time(s, d) || (!d->divide_until && !takes_empty_one(s, job, d))) {
        sender_back_off(s, d, t, why, true, 0);
        return;
    }
    int64_t middle = t->items_n ? middle_of(job->arena, t) : 0;
    if (!t->items_n) {
        if (log_limited("presence and typing notices were refused", LOG_FEW))
            log_info("%s refuses presence and typing notices (%s): they are dropped", d->server,
                     why);
        sender_advance(s, d, t);
    } else if (t->pdus_n + t->edus_n > t->items_n) {
        try_until(s, d, t, t->until); /* without presence and typing */
    } else if (middle) {
        try_until(s, d, t, middle);
    } else {
        store_refused_or_wait(s, job, d, t, why);
    }
}

void sender_taken(struct sender *s, struct destination *d)
{
    LOCKED(&s->lock);
    d->refusals = d->refused_run = 0;
}

/* ---- sending again ---- */

static const struct err *sender_divide_resend(struct sender *s, struct job *job,
                                              struct destination *d, const struct refused_item *it)
{
    buf_auto struct buf body = {0};
    struct fed_reply reply = {0};
    char why[LAST_ERROR_MAX];
    bool is_edu = !*it->event_id;
    const char *id = arena_printf(job->arena, "a%lld.%lld", (long long)it->id, (long long)now_ms());
    sender_write_body(s, &it->json, is_edu, &it->json, !is_edu, &body);
    const struct err *e = sender_put(job, d->server, id, buf_str(&body), &reply);
    if (!e && reply.status == 200)
        return refused_items_remove(job_tx(job), it->id);
    const char *errcode = json_text(reply.json, "errcode");
    snprintf(why, sizeof why, "answered %d %.60s", reply.status, errcode ? errcode : "");
    if (!e && sender_is_refusal(reply.status))
        return refused_items_refused_again(job_tx(job), it->id, why);
    LOCKED(&s->lock);
    if (!s->stopping)
        sender_failed_locked(s, d, e ? e->text : why, fed_reply_retry_after_ms(&reply));
    return NULL;
}

static bool may_resend(struct sender *s, struct destination *d)
{
    LOCKED(&s->lock);
    return d->must_resend && !d->failing_since && !s->stopping && !d->is_dropped &&
           sender_slice_is_valid_locked(s, d->slice);
}

void sender_resend(struct sender *s, struct job *job, struct destination *d)
{
    const struct refused_item *it = NULL;
    if (!may_resend(s, d))
        return;
    const struct err *e = refused_items_next_asked(job_tx(job), d->server, &it);
    if (!e && it)
        e = sender_divide_resend(s, job, d, it);
    if (e)
        log_err(LOG_WARN, "sending a refused item again failed; it will be retried", e);
    LOCKED(&s->lock);
    if (e)
        d->retry_at = now_ms() + DATABASE_PAUSE_MS;
    else if (!it)
        d->must_resend = false;
}
