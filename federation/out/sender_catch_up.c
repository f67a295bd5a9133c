/* Catches up after a destination, or this server, was away for longer than the queue reaches. */
#include "federation/out/sender_internal.h"

#include "base/log.h"
#include "storage/servers/outbound.h"

/* From here on the listener adds new events; older ones are read from the database. Some of the
 * changes that the listener is handling may be skipped already. */
static struct outbound_range sender_catch_up_begin(struct sender *s, struct destination *d,
                                                   bool *ret_may_skip)
{
    LOCKED(&s->lock);
    queue_clear_locked(d);
    d->is_live = true;
    *ret_may_skip = d->may_skip;
    return (struct outbound_range){.server = d->server,
                                   .own = s->node->config->server_name,
                                   .from = d->sent,
                                   .to = s->heard > d->skipped ? s->heard : d->skipped,
                                   .limit = BACKLOG_MAX + 1};
}

/* Puts the found events before those added since. If there are too many, the later ones must
 * wait. */
static void sender_catch_up_take(struct sender *s, struct destination *d, const int64_t *positions,
                                 size_t n)
{
    LOCKED(&s->lock);
    bool more = n > BACKLOG_MAX;
    if (more) {
        queue_clear_locked(d);
        d->is_live = false;
        n = BACKLOG_MAX;
    }
    for (size_t i = n; i-- > 0;)
        queue_add_locked(d, &(struct outgoing){.position = positions[i]});
    d->may_skip = d->may_skip && more;
}

static void sender_catch_up_failed(struct sender *s, struct destination *d)
{
    LOCKED(&s->lock);
    queue_clear_locked(d);
    d->is_live = false;
}

static const struct err *sender_catch_up_find(struct job *job, const struct outbound_range *r,
                                              bool may_skip, const int64_t **ret, size_t *ret_n)
{
    TRY(outbound_events(job_tx(job), r, ret, ret_n));
    if (!may_skip || *ret_n <= BACKLOG_MAX)
        return NULL;
    if (log_limited("a server was away for long", LOG_FEW))
        log_info("%s was unreachable for long: it is sent the newest event of each room",
                 r->server);
    return outbound_newest(job_tx(job), r, ret, ret_n);
}

const struct err *sender_catch_up(struct sender *s, struct job *job, struct destination *d)
{
    bool may_skip;
    const int64_t *positions;
    size_t n;
    struct outbound_range r = sender_catch_up_begin(s, d, &may_skip);
    const struct err *e = sender_catch_up_find(job, &r, may_skip, &positions, &n);
    if (e) {
        sender_catch_up_failed(s, d);
        return e;
    }
    sender_catch_up_take(s, d, positions, n);
    s->catch_ups++;
    return NULL;
}
