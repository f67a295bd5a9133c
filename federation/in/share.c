#include "federation/in/share.h"

#include "base/clock.h"
#include "federation/federation.h"
#include "federation/in/inbound_internal.h"

enum { WAIT_MS = 30 * 1000, BUSY_RETRY_MS = 2000 };

const struct err *share_run(struct request *rq, struct reply *rp)
{
    struct transaction_table *table = inbound_of(rq->job)->questions;
    const char *origin = remote_of(rq)->name;
    const char *name = arena_printf(rq->arena, "%p", (void *)rq); /* unique for each request */
    struct str earlier;
    switch (
        transaction_admit(table, rq->arena, origin, name, (struct str){0}, &rq->waiter, &earlier)) {
    case ADMIT_WAIT:
        return rq->timed_out ? err_limit_exceeded(BUSY_RETRY_MS)
                             : reply_wait(rp, mono_ms() + WAIT_MS);
    case ADMIT_BUSY:
    case ADMIT_DONE: /* answers are not kept */
        return err_limit_exceeded(BUSY_RETRY_MS);
    case ADMIT_RUN:
        break;
    }
    const struct err *e = rq->route->inner(rq, rp);
    transaction_finish(table, origin, name, (struct str){0}, (struct str){0});
    return e;
}
