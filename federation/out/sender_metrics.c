#include "federation/out/sender_internal.h"

static void sender_metrics_count_states(struct sender *s, long long *idle, long long *sending,
                                        long long *failing, long long *catching_up)
{
    LOCKED(&s->lock);
    for (struct map_slot *slot = NULL; (slot = map_next(&s->destinations, slot));) {
        const struct destination *d = slot->value;
        if (d->is_denied || !s->slices[d->slice].fence)
            continue;
        ++*(d->failing_since ? failing : !d->is_live ? catching_up : d->is_busy ? sending : idle);
    }
}

void sender_add_metrics(struct sender *s, struct buf *out)
{
    long long idle = 0, sending = 0, failing = 0, catching_up = 0;
    if (!s)
        return;
    sender_metrics_count_states(s, &idle, &sending, &failing, &catching_up);
    buf_printf(out,
               "# HELP concorde_federation_destinations Other servers, by what is done for them.\n"
               "# TYPE concorde_federation_destinations gauge\n"
               "concorde_federation_destinations{state=\"idle\"} %lld\n"
               "concorde_federation_destinations{state=\"sending\"} %lld\n"
               "concorde_federation_destinations{state=\"backing_off\"} %lld\n"
               "concorde_federation_destinations{state=\"catching_up\"} %lld\n",
               idle, sending, failing, catching_up);
    buf_printf(out,
               "# HELP concorde_federation_transactions_sent_total Transactions that other servers "
               "have taken.\n"
               "# TYPE concorde_federation_transactions_sent_total counter\n"
               "concorde_federation_transactions_sent_total %lld\n"
               "# HELP concorde_federation_transactions_failed_total Transactions that other "
               "servers have not taken.\n"
               "# TYPE concorde_federation_transactions_failed_total counter\n"
               "concorde_federation_transactions_failed_total %lld\n"
               "# HELP concorde_federation_transactions_seconds_total Time that other servers took "
               "to answer transactions.\n"
               "# TYPE concorde_federation_transactions_seconds_total counter\n"
               "concorde_federation_transactions_seconds_total %.6f\n"
               "# HELP concorde_federation_pdus_sent_total Events sent, counted for each server.\n"
               "# TYPE concorde_federation_pdus_sent_total counter\n"
               "concorde_federation_pdus_sent_total %lld\n"
               "# HELP concorde_federation_pdus_refused_total Events that another server answered "
               "with an error.\n"
               "# TYPE concorde_federation_pdus_refused_total counter\n"
               "concorde_federation_pdus_refused_total %lld\n",
               (long long)s->transactions, (long long)s->failures, (double)s->microseconds / 1e6,
               (long long)s->pdus, (long long)s->refused_pdus);
    buf_printf(
        out,
        "# HELP concorde_federation_edus_sent_total EDUs sent, counted for each server.\n"
        "# TYPE concorde_federation_edus_sent_total counter\n"
        "concorde_federation_edus_sent_total %lld\n"
        "# HELP concorde_federation_catch_ups_total Servers that were sent only the newest event "
        "of each room.\n"
        "# TYPE concorde_federation_catch_ups_total counter\n"
        "concorde_federation_catch_ups_total %lld\n"
        "# HELP concorde_federation_refused_items_total Events and EDUs that other servers "
        "refuse.\n"
        "# TYPE concorde_federation_refused_items_total counter\n"
        "concorde_federation_refused_items_total %lld\n",
        (long long)s->edus, (long long)s->catch_ups, (long long)s->refused_items);
    buf_printf(out, /* the same, for Synapse's dashboards */
               "# HELP synapse_federation_client_sent_transactions_total Transactions taken.\n"
               "# TYPE synapse_federation_client_sent_transactions_total counter\n"
               "synapse_federation_client_sent_transactions_total %lld\n"
               "# HELP synapse_federation_client_sent_edus_total EDUs sent to each server.\n"
               "# TYPE synapse_federation_client_sent_edus_total counter\n"
               "synapse_federation_client_sent_edus_total %lld\n",
               (long long)s->transactions, (long long)s->edus);
}
