#include "federation/tasks.h"

#include "base/log.h"
#include "federation/peer/reply.h"

static bool tasks_may_run(void *of, const struct worker_key *key, int64_t *ret_wait_ms)
{
    const struct task_kind *t = of;
    return !t->lease || !key->number ||
           lease_may_run(t->lease, lease_slice_of_id(key->number), ret_wait_ms);
}

static enum worker_outcome tasks_run(void *of, void *thread, struct worker_item *item)
{
    const struct task_kind *t = of;
    bool done = false;
    const struct err *failed = t->run(thread, item->key.number, item->key.other, &done);
    item->wait_ms = federation_wait_ms(failed);
    if (failed && log_limited(t->what, LOG_FEW))
        log_err(LOG_INFO, t->what, failed);
    return done && !failed ? WORKER_DONE : WORKER_FAILED;
}

/* Up to a quarter more, so that tasks do not all run at once. */
static const struct backoff tasks_backoff = {.first_ms = 2000,
                                             .max_ms = 10 * 60 * 1000,
                                             .factor = 2,
                                             .from_percent = 100,
                                             .to_percent = 125};

struct worker_kind *task_kind_create(struct worker_pool *p, const struct task_kind *t)
{
    return worker_kind_create(p, &(struct worker_settings){.name = t->what,
                                                           .of = (void *)t,
                                                           .run = tasks_run,
                                                           .may_run = tasks_may_run,
                                                           .backoff = tasks_backoff,
                                                           .at_once_max = t->at_once_max});
}

void task_add(struct worker_kind *k, int64_t a, int64_t b)
{
    worker_add(k, (struct worker_key){.number = a, .other = b});
}
