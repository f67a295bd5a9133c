/* The keeper: the sender's work for all destinations, on the node's background pool. One at a time:
 * a scan compares what is stored with the log. */
#include "federation/out/sender_internal.h"

#include "base/clock.h"
#include "base/log.h"
#include "storage/job_pool.h"

enum { TICK_MS = 1000 }; /* for presence, and after a failure */

static const struct {
    const char *doing;
    const struct err *(*work)(struct sender *s, struct job *job);
    bool frees_destinations; /* some may have waited for this */
} keeper_works[] = {
    [KEEPER_SCAN] = {"finding servers with pending changes", sender_scan, true},
    [KEEPER_RESOLVE] = {"finding the servers for changes", sender_resolve, true},
    [KEEPER_SAVE] = {"saving the cursors of other servers", sender_save, false},
    [KEEPER_PRESENCE] = {"marking presence for other servers", sender_spread_presence, false},
};

static enum worker_outcome sender_keeper_run(void *of, void *thread, struct worker_item *item)
{
    struct sender *s = of;
    enum keeper_work n = (enum keeper_work)item->key.number;
    const struct err *e = keeper_works[n].work(s, thread);
    if (e)
        log_err(LOG_WARN, keeper_works[n].doing, e);
    if (keeper_works[n].frees_destinations) {
        LOCKED(&s->lock);
        sender_consider_all_locked(s);
    }
    item->wait_ms = TICK_MS;
    return e || n == KEEPER_PRESENCE ? WORKER_WAIT : WORKER_DONE;
}

struct worker_kind *sender_keeper_create(struct sender *s)
{
    return worker_kind_create(
        s->node->storage->background,
        &(struct worker_settings){
            .name = "destinations", .of = s, .run = sender_keeper_run, .at_once_max = 1});
}

void sender_keep(struct sender *s, enum keeper_work work, int64_t due)
{
    worker_add_due(s->keeper, (struct worker_key){.number = work}, due);
}
