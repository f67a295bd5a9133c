#include "federation/in/inbound_internal.h"

#include "base/log.h"
#include "base/mem.h"
#include "federation/keyed_lock.h"
#include "federation/room_tasks.h"
#include "storage/db/feed.h"
#include "storage/servers/inbound.h"

enum {
    RECEIVERS = 16,
    FETCHERS = 16,
    GAP_THREADS = 8,
    TRANSACTIONS_WAITING = 32, /* of one server */
    QUESTIONS_WAITING = 64,
    BACKLOGS_MAX = 20000
};

void inbound_on_changes(void *ctx, const struct change *changes, size_t n)
{
    struct inbound *in = ctx;
    for (size_t i = 0; i < n && room_work_awaits(in->gaps); i++)
        if (changes[i].kind == CHANGE_EVENT)
            room_work_event_came(in->gaps, changes[i].event.event->event_id);
}

struct inbound *inbound_create(struct node *node)
{
    struct inbound *in = mem_zalloc(sizeof *in);
    in->node = node;
    in->transactions = transaction_table_create(TRANSACTIONS_WAITING);
    in->questions = transaction_table_create(QUESTIONS_WAITING);
    in->gaps = room_work_create(node, GAP_THREADS, gap_close, in);
    in->flights = flights_create();
    in->large = keyed_lock_create();
    return in;
}

const struct err *inbound_find_task(struct job *job, int64_t unused_a, int64_t unused_b,
                                    bool *ret_done)
{
    const struct inbound_backlog *backlogs;
    size_t n;
    TRY(inbound_backlogs(job_tx(job), BACKLOGS_MAX, &backlogs, &n));
    for (size_t i = 0; i < n; i++)
        if (room_tasks_are_ours(job->federation, backlogs[i].room))
            room_work_add(job->federation->inbound->gaps, backlogs[i].room, backlogs[i].origin);
    *ret_done = true;
    return NULL;
}

void inbound_start(struct inbound *in)
{
    in->receivers = helpers_create(in->node, "rooms of a transaction", RECEIVERS);
    in->fetchers = helpers_create(in->node, "fetching events", FETCHERS);
    room_work_start(in->gaps);
}

void inbound_stop(struct inbound *in)
{
    if (!in)
        return;
    atomic_store(&in->stopping, true);
    room_work_stop(in->gaps);
}

void inbound_destroy(struct inbound *in)
{
    if (!in)
        return;
    room_work_destroy(in->gaps);
    helpers_destroy(in->receivers);
    helpers_destroy(in->fetchers);
    transaction_table_destroy(in->transactions);
    transaction_table_destroy(in->questions);
    flights_destroy(in->flights);
    keyed_lock_destroy(in->large);
    free(in);
}

/* ---- metrics ---- */

static const struct {
    const char *name, *help;
} counts[COUNTS] = {
    [COUNT_TRANSACTIONS] = {"transactions", "Transactions of other servers."},
    [COUNT_PDUS] = {"pdus", "Events in them."},
    [COUNT_ACCEPTED] = {"pdus_accepted", "Events of other servers that were accepted."},
    [COUNT_SOFT_FAILED] = {"pdus_soft_failed",
                           "Events that are not allowed by the state as it is."},
    [COUNT_REJECTED] = {"pdus_rejected", "Events that are not allowed by the state before them."},
    [COUNT_REFUSED] = {"pdus_refused", "Events that are malformed, not signed or not wanted."},
    [COUNT_WAITING] = {"pdus_kept", "Events kept until their predecessors have come."},
    [COUNT_DROPPED] = {"pdus_dropped", "Kept events that were given up."},
    [COUNT_FETCHED] = {"pdus_fetched", "Events that other servers were asked for."},
    [COUNT_EDUS] = {"edus", "EDUs of other servers."},
};

static long long count_of(struct inbound *in, size_t i)
{
    return (long long)atomic_load_explicit(&in->counts[i], memory_order_relaxed);
}

void inbound_add_metrics(struct inbound *in, struct buf *out)
{
    for (size_t i = 0; i < COUNTS; i++)
        buf_printf(out,
                   "# HELP concorde_federation_received_%s_total %s\n"
                   "# TYPE concorde_federation_received_%s_total counter\n"
                   "concorde_federation_received_%s_total %lld\n",
                   counts[i].name, counts[i].help, counts[i].name, counts[i].name, count_of(in, i));
    static const size_t as_synapse[] = {COUNT_PDUS, COUNT_EDUS};
    for (size_t i = 0; i < 2; i++) {
        const char *name = counts[as_synapse[i]].name;
        buf_printf(out,
                   "# HELP synapse_federation_server_received_%s_total %s\n"
                   "# TYPE synapse_federation_server_received_%s_total counter\n"
                   "synapse_federation_server_received_%s_total %lld\n",
                   name, counts[as_synapse[i]].help, name, name, count_of(in, as_synapse[i]));
    }
    buf_printf(out,
               "# HELP concorde_federation_gaps Rooms and servers with events whose predecessors "
               "are missing.\n"
               "# TYPE concorde_federation_gaps gauge\n"
               "concorde_federation_gaps %zu\n",
               room_work_waiting(in->gaps));
}
