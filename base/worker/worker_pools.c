#include "base/clock.h"
#include "base/mem.h"
#include "base/worker/worker_internal.h"

struct worker_pools {
    struct lock lock;
    struct worker_pool *first;
};

struct worker_pools *worker_pools_create(void)
{
    struct worker_pools *all = mem_zalloc(sizeof *all);
    lock_init(&all->lock, RANK_WORKER_POOLS);
    return all;
}

void worker_pools_destroy(struct worker_pools *all)
{
    if (!all)
        return;
    lock_finish(&all->lock);
    free(all);
}

void worker_pools_add(struct worker_pools *all, struct worker_pool *p)
{
    if (!all)
        return;
    LOCKED(&all->lock);
    p->next = all->first;
    all->first = p;
}

void worker_pools_remove(struct worker_pools *all, struct worker_pool *p)
{
    if (!all)
        return;
    LOCKED(&all->lock);
    struct worker_pool **at = &all->first;
    while (*at != p)
        at = &(*at)->next;
    *at = p->next;
}

/* ---- metrics ---- */

static double worker_waiting(const struct worker_kind *k)
{
    return (double)k->entries.n - k->running_n;
}

static double worker_running(const struct worker_kind *k)
{
    return k->running_n;
}

static double worker_done(const struct worker_kind *k)
{
    return (double)k->done;
}

static double worker_failed(const struct worker_kind *k)
{
    return (double)k->failed;
}

/* Of a lane the first item has waited longest. */
static double worker_late_seconds(const struct worker_kind *k)
{
    int64_t now = mono_ms(), oldest = now;
    for (const struct worker_link *l = k->ready.next; l != &k->ready; l = l->next) {
        const struct worker_lane *lane = (const struct worker_lane *)l;
        const struct worker_entry *e = (const struct worker_entry *)lane->ready.next;
        oldest = e->due < oldest ? e->due : oldest;
    }
    return (double)(now - oldest) / 1000;
}

static const struct worker_metric {
    const char *name, *type, *help;
    double (*of)(const struct worker_kind *k);
} worker_metrics[] = {
    {"concorde_work_waiting", "gauge", "Items of background work that wait, by kind.",
     worker_waiting},
    {"concorde_work_running", "gauge", "Those that run.", worker_running},
    {"concorde_work_done_total", "counter", "Runs that did not fail.", worker_done},
    {"concorde_work_failed_total", "counter", "Runs that failed and are retried.", worker_failed},
    {"concorde_work_late_seconds", "gauge", "How long an item has been due without running.",
     worker_late_seconds},
};

static void worker_add_metric_of(struct worker_pool *p, const struct worker_metric *m,
                                 struct buf *out)
{
    LOCKED(&p->lock);
    for (const struct worker_link *l = p->kinds.next; l != &p->kinds; l = l->next) {
        const struct worker_kind *k = (const struct worker_kind *)l;
        buf_printf(out, "%s{kind=\"%s\"} %.17g\n", m->name, k->s.name, m->of(k));
    }
}

void worker_pools_add_metrics(struct worker_pools *all, struct buf *out)
{
    LOCKED(&all->lock);
    for (size_t i = 0; i < sizeof worker_metrics / sizeof *worker_metrics; i++) {
        const struct worker_metric *m = &worker_metrics[i];
        buf_printf(out, "# HELP %s %s\n# TYPE %s %s\n", m->name, m->help, m->name, m->type);
        for (struct worker_pool *p = all->first; p; p = p->next)
            worker_add_metric_of(p, m, out);
    }
}
