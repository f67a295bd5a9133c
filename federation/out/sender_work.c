#include "federation/out/sender_internal.h"

#include "base/clock.h"
#include "base/log.h"
#include "federation/peer/path.h"
#include "federation/peer/reply.h"
#include "storage/servers/destinations.h"

#include <stdio.h>

/* ---- the reply ---- */

/* Counts the errors that the other server reports for single events; those are not sent again. */
static void count_refused(struct sender *s, const struct destination *d, const json_t *reply)
{
    const char *event_id;
    json_t *outcome;
    json_object_foreach (json_object_get(reply, "pdus"), event_id, outcome) {
        const char *error = json_text(outcome, "error");
        if (!error)
            continue;
        s->refused_pdus++;
        log_debug("%s refuses %s: %.200s", d->server, event_id, error);
    }
}

static void forget_receipt_rooms_locked(struct destination *d)
{
    size_t kept = 0;
    for (size_t i = 0; i < d->receipt_rooms_n; i++)
        if (d->receipt_rooms[i].newest > d->sent)
            d->receipt_rooms[kept++] = d->receipt_rooms[i];
    d->receipt_rooms_n = kept;
}

void sender_advance(struct sender *s, struct destination *d, const struct transaction *t)
{
    LOCKED(&s->lock);
    queue_drop_until_locked(d, t->until);
    d->sent = t->until;
    d->attempted = 0;
    if (t->until >= d->divide_until)
        d->divide_until = 0;
    forget_receipt_rooms_locked(d);
    if (t->has_to_device)
        d->to_device_sent = t->until;
    for (size_t i = 0; i < t->typing_n; i++)
        typing_sent_locked(d, &t->typing[i]);
    if (t->presence_to >= d->presence_to)
        d->presence_from = d->presence_to = 0;
    else if (t->presence_to)
        d->presence_from = t->presence_to;
    if (t->body.n) {
        d->last_success = now_ms();
        sender_succeeded_locked(s, d);
    }
}

void sender_back_off(struct sender *s, struct destination *d, const struct transaction *t,
                     const char *why, bool is_refusing, int64_t at_least_ms)
{
    LOCKED(&s->lock);
    if (s->stopping) /* we closed the connection */
        return;
    s->failures++;
    log_debug("sending to %s failed: %s", d->server, why);
    d->attempted = d->is_live || d->n ? t->until : 0;
    d->is_refusing = is_refusing;
    sender_failed_locked(s, d, why, at_least_ms);
}

/* ---- sending ---- */

const struct err *sender_put(struct job *job, const char *server, const char *id, struct str body,
                             struct fed_reply *ret)
{
    struct fed_request r = {
        .server = server,
        .method = PUT,
        .path = federation_path(job->arena, "/_matrix/federation/v1/send/%s", id),
        .raw_body = body,
        .now = true,
        .own_pauses = true,
    };
    return federation_exchange(job, &r, ret);
}

static void sender_work_send_one(struct sender *s, struct job *job, struct destination *d,
                                 const struct transaction *t)
{
    struct fed_reply reply = {0};
    int64_t began = mono_us();
    if (!sender_may_send(s, d))
        return;
    const struct err *e = sender_put(job, d->server, t->id, buf_str(&t->body), &reply);
    s->microseconds += mono_us() - began;
    if (e) {
        sender_back_off(s, d, t, e->text, false, 0);
        return;
    }
    if (reply.status != 200) {
        char why[LAST_ERROR_MAX];
        const char *errcode = json_text(reply.json, "errcode");
        snprintf(why, sizeof why, "answered %d %.60s", reply.status, errcode ? errcode : "");
        if (sender_is_refusal(reply.status))
            sender_refused(s, job, d, t, why);
        else
            sender_back_off(s, d, t, why, reply.status < 500, fed_reply_retry_after_ms(&reply));
        return;
    }
    count_refused(s, d, reply.json);
    s->transactions++;
    s->pdus += (int64_t)t->pdus_n;
    s->edus += (int64_t)t->edus_n;
    sender_taken(s, d);
    sender_advance(s, d, t);
}

/* ---- a turn ---- */

/* Under load a transaction for each event would cost more than the events: the second one of a
 * burst waits briefly for more events. A full one does not wait. */
static void sender_work_gather(struct sender *s, struct destination *d)
{
    int64_t now = mono_us(), wait;
    {
        LOCKED(&s->lock);
        wait = d->n < TRANSACTION_PDUS ? d->began_us + GATHER_US - now : 0;
    }
    if (wait > 0)
        nanosleep(&(struct timespec){.tv_nsec = wait * 1000}, NULL);
    d->began_us = mono_us();
}

/* A destination gets its row before its first transaction, so that nothing is lost. */
static const struct err *sender_work_make_row(struct sender *s, struct job *job,
                                              struct destination *d)
{
    if (d->is_stored)
        return NULL;
    TRY(destinations_add(job_tx(job), d->server, d->sent));
    LOCKED(&s->lock);
    d->is_stored = true;
    if (d->is_dirty)
        sender_note_dirty_locked(s, d);
    return NULL;
}

static const struct err *sender_work_prepare(struct sender *s, struct job *job,
                                             struct destination *d, struct transaction *t)
{
    bool is_behind;
    {
        LOCKED(&s->lock);
        is_behind = !d->is_live && !d->n;
        d->last_attempt = now_ms();
    }
    TRY(sender_work_make_row(s, job, d));
    if (is_behind)
        TRY(sender_catch_up(s, job, d));
    return sender_build(s, job, d, t);
}

enum { DATABASE_PAUSE_MS = 1000 };

/* The failure is our own: the other server is not backed off. */
static void pause_after(struct sender *s, struct destination *d, const struct err *e)
{
    if (log_limited("a transaction could not be built", LOG_FEW))
        log_err(LOG_WARN, "a transaction could not be built; it will be retried", e);
    LOCKED(&s->lock);
    d->retry_at = now_ms() + DATABASE_PAUSE_MS;
}

void sender_work(struct sender *s, struct job *job, struct destination *d)
{
    struct transaction t = {0};
    sender_work_gather(s, d);
    const struct err *e = sender_work_prepare(s, job, d, &t);
    if (e)
        pause_after(s, d, e);
    else if (t.body.n)
        sender_work_send_one(s, job, d, &t);
    else
        sender_advance(s, d, &t);
    if (!e)
        sender_resend(s, job, d);
    buf_finish(&t.body);
}
