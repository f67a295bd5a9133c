#include "server/node_rates.h"

#include "base/clock.h"
#include "base/log.h"
#include "http/rate.h"
#include "server/server.h"
#include "storage/db/committer.h"
#include "storage/job_pool.h"

enum { EXCHANGE_MS = 250, ALONE_MS = 1000, TEXTS_MAX = 8 };

void node_rates_on_notify(void *rates, const char *payload)
{
    rate_exchange_apply(rates, str_of(payload), mono_us());
}

static const struct err *node_rates_publish(const struct node *node)
{
    for (int i = 0; i < TEXTS_MAX; i++) {
        buf_auto struct buf text = {0};
        if (!rate_exchange_take(node->server->rates, mono_us(), &text))
            return NULL;
        buf_add_char(&text, '\0');
        TRY(follower_notify(node->storage->follower, NODE_RATES_CHANNEL, text.p));
    }
    return NULL;
}

/* What could not be sent is not sent again: for that time each node allows a burst of its own. */
static enum worker_outcome node_rates_run(void *of, void *thread, struct worker_item *item)
{
    const struct node *node = of;
    bool has_others = committer_view(node->storage->committer)->has_others;
    const struct err *e = has_others ? node_rates_publish(node) : NULL;
    if (e && log_limited("publishing rate limits", LOG_FEW))
        log_err(LOG_INFO, "publishing rate limits", e);
    item->wait_ms = has_others ? EXCHANGE_MS : ALONE_MS;
    return WORKER_WAIT;
}

struct worker_kind *node_rates_start(const struct node *node)
{
    struct worker_kind *kind = worker_kind_create(
        node->storage->background,
        &(struct worker_settings){.name = "rates", .of = (void *)node, .run = node_rates_run});
    worker_add(kind, (struct worker_key){0});
    worker_kind_start(kind);
    return kind;
}
