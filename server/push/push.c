#include "server/push/push_internal.h"

#include "base/clock.h"
#include "base/log.h"
#include "base/mem.h"
#include "server/server.h"
#include "storage/job_pool.h"

#include <sodium.h>

enum {
    PUSH_THREADS = 64, /* most of which wait for gateways */
    GATEWAY_AT_ONCE = 32,
    GATEWAY_AT_ONCE_SLOW = 4,
    AVERAGE_OVER = 8, /* answers */
    SLOW_MS = 1000,   /* an answer that takes longer on average */
    FOLLOW_AGAIN_MS = 1000,
    LEASE_PAUSE_MS = 1000,
    SETTLE_MS = 1000,
    SETTLE_STEP_US = 1000
};

static const struct backoff push_backoff = {
    .first_ms = 1000, .max_ms = 3600 * 1000, .factor = 2, .from_percent = 50, .to_percent = 100};

/* ---- turns ---- */

/* mono_ms() at which it has something to send; -1: nothing. */
static int64_t push_due_locked(const struct live_pusher *x)
{
    int64_t due = x->n || x->behind ? 0 : x->badge_due_mono ? x->badge_due_mono : -1;
    if (due < 0 || !x->is_enabled)
        return -1;
    due = x->retry_at > due ? x->retry_at : due;
    return x->gateway->retry_at > due ? x->gateway->retry_at : due;
}

/* A few at a time: gateways that failed or are slow; users whose unread rooms must be read from the
 * database, which after a start are all. */
static bool push_is_slow_locked(const struct pushes *p, const struct live_pusher *x)
{
    const struct push_user *u = map_get_int(&p->users, x->user);
    return x->gateway->retry_interval || x->gateway->answer_ms >= SLOW_MS ||
           (x->has_counts && u && !u->has_counted);
}

void push_consider_locked(struct pushes *p, struct live_pusher *x)
{
    int64_t due = push_due_locked(x);
    if (due < 0 || x->is_busy || x->is_dropped || p->stopping)
        return;
    worker_add_due(push_is_slow_locked(p, x) ? p->retries : p->turns,
                   (struct worker_key){.number = x->id, .text = x->gateway->name}, due);
}

/* NULL: it has nothing to do now. */
static struct live_pusher *push_begin_turn(struct pushes *p, int64_t id)
{
    LOCKED(&p->lock);
    struct live_pusher *x = map_get_int(&p->pushers, id);
    if (!x || x->is_busy || p->stopping)
        return NULL;
    if (!push_slice_is_valid_locked(p, lease_slice_of_id(x->user)))
        x->retry_at = mono_ms() + LEASE_PAUSE_MS; /* unless it is lost by then */
    int64_t due = push_due_locked(x);
    if (due < 0)
        return NULL;
    if (due > mono_ms()) {
        push_consider_locked(p, x);
        return NULL;
    }
    x->is_busy = true;
    return x;
}

static enum worker_outcome push_turn(void *of, void *thread, struct worker_item *item)
{
    struct pushes *p = of;
    struct live_pusher *x = push_begin_turn(p, item->key.number);
    if (!x)
        return WORKER_DONE;
    push_send(p, thread, x);
    LOCKED(&p->lock);
    x->is_busy = false;
    if (x->is_dropped)
        push_pusher_destroy_locked(p, x);
    else
        push_consider_locked(p, x);
    return WORKER_DONE;
}

/* ---- success and failure ---- */

void push_gateway_well_locked(struct pushes *p, struct push_gateway *g, int64_t ms)
{
    g->answer_ms += (ms - g->answer_ms) / AVERAGE_OVER;
    if (!g->retry_interval)
        return;
    g->retry_at = g->retry_interval = 0;
    for (struct map_slot *s = NULL; (s = map_next(&p->pushers, s));) {
        struct live_pusher *x = s->value;
        if (x->gateway == g)
            push_consider_locked(p, x);
    }
}

/* Requests that were under way together fail once. */
void push_gateway_failed_locked(struct pushes *p, struct push_gateway *g, int64_t at_least_ms)
{
    int64_t now = mono_ms();
    if (g->retry_at <= now) {
        g->retry_interval = backoff_interval(&push_backoff, g->retry_interval);
        g->retry_at = now + backoff_wait(&push_backoff, g->retry_interval, randombytes_random());
    }
    if (g->retry_at < now + at_least_ms)
        g->retry_at = now + at_least_ms;
}

void push_pusher_failed_locked(struct live_pusher *x)
{
    x->retry_interval = backoff_interval(&push_backoff, x->retry_interval);
    x->retry_at = mono_ms() + backoff_wait(&push_backoff, x->retry_interval, randombytes_random());
}

/* ---- following and saving ---- */

void push_schedule(struct pushes *p, enum push_work work, int64_t due_mono)
{
    worker_add_due(p->follows, (struct worker_key){.number = work}, due_mono);
}

static enum worker_outcome push_work(void *of, void *thread, struct worker_item *item)
{
    struct pushes *p = of;
    bool is_saving = item->key.number == PUSH_SAVE;
    const struct err *e = is_saving ? push_save(p, PUSH_ALL_SLICES) : push_follow(p);
    if (!e || (is_saving && e->code == ERR_LEASE_LOST))
        return WORKER_DONE;
    if (log_limited("pushes cannot follow the log", LOG_FEW))
        log_err(LOG_WARN, "pushes cannot follow the log; they will try again", e);
    item->wait_ms = FOLLOW_AGAIN_MS;
    return WORKER_WAIT;
}

/* ---- life ---- */

static const struct err *push_create_http(const struct node *node, struct http_client **ret)
{
    const struct config *c = node->config;
    arena_auto struct arena *a = arena_create();
    size_t n = c->ip_range_allowlist.n, more = c->push_allowlist.n;
    const char **allowed = arena_alloc_array(a, n + more + 1, sizeof *allowed);
    for (size_t i = 0; i < n + more; i++)
        allowed[i] = i < n ? c->ip_range_allowlist.items[i] : c->push_allowlist.items[i - n];
    const struct http_client_config settings = {.ca_files = c->push_ca_list.items,
                                                .ca_files_n = c->push_ca_list.n,
                                                .verify = true,
                                                .proxy = c->outbound_proxy,
                                                .denied = c->ip_range_denylist.items,
                                                .denied_n = c->ip_range_denylist.n,
                                                .allowed = allowed,
                                                .allowed_n = n + more,
                                                .dns_servers = c->dns_servers.items,
                                                .dns_servers_n = c->dns_servers.n,
                                                .caches = node->caches};
    return http_client_create(&settings, ret);
}

/* The second kind (push_is_slow_locked) gets at most half of the threads, and of each gateway a
 * few.
 */
static void push_create_kinds(struct pushes *p)
{
    p->pool = job_pool_create(p->node, "push", PUSH_THREADS);
    p->turns = worker_kind_create(
        p->pool, &(struct worker_settings){
                     .name = "pushes", .of = p, .run = push_turn, .of_text_max = GATEWAY_AT_ONCE});
    p->retries =
        worker_kind_create(p->pool, &(struct worker_settings){.name = "pushes again",
                                                              .of = p,
                                                              .run = push_turn,
                                                              .at_once_max = PUSH_THREADS / 2,
                                                              .of_text_max = GATEWAY_AT_ONCE_SLOW});
    p->follows = worker_kind_create(
        p->node->storage->background,
        &(struct worker_settings){
            .name = "push cursors", .of = p, .run = push_work, .at_once_max = 1});
}

const struct err *pushes_create(struct node *node)
{
    struct http_client *http;
    if (!node->config->push_enabled)
        return NULL;
    TRY(push_create_http(node, &http));
    struct pushes *p = mem_zalloc(sizeof *p);
    lock_init(&p->lock, RANK_SENDER);
    p->node = node;
    p->http = http;
    p->seen_last = &p->seen;
    p->heard = feed_position(node->storage->feed);
    push_create_kinds(p);
    push_slices_init(p);
    node->server->pushes = p;
    return NULL;
}

void pushes_start(struct pushes *p)
{
    if (!p)
        return;
    p->is_running = true;
    worker_pool_start(p->pool);
    worker_kind_start(p->follows);
}

static void push_halt(struct pushes *p)
{
    LOCKED(&p->lock);
    p->stopping = true;
}

static bool push_is_busy(struct pushes *p)
{
    LOCKED(&p->lock);
    for (struct map_slot *s = NULL; (s = map_next(&p->pushers, s));)
        if (((const struct live_pusher *)s->value)->is_busy)
            return true;
    return false;
}

static void push_save_last(struct pushes *p)
{
    const struct err *e = push_save(p, PUSH_ALL_SLICES);
    if (e)
        log_err(LOG_WARN, "storing how far users were notified", e);
}

void pushes_drain(struct pushes *p, int within_ms)
{
    if (!p)
        return;
    push_halt(p);
    http_client_drain(p->http, within_ms);
    int64_t until = mono_ms() + (within_ms < SETTLE_MS ? within_ms : SETTLE_MS);
    while (mono_ms() < until && push_is_busy(p))
        nanosleep(&(struct timespec){.tv_nsec = SETTLE_STEP_US * 1000}, NULL);
    push_save_last(p);
}

void pushes_stop(struct pushes *p)
{
    if (!p || !p->is_running)
        return;
    push_halt(p);
    http_client_stop(p->http);
    worker_pool_stop(p->pool);
    worker_kind_stop(p->follows);
    p->is_running = false;
}

void pushes_destroy(struct pushes *p)
{
    if (!p)
        return;
    worker_kind_destroy(p->turns);
    worker_kind_destroy(p->retries);
    worker_kind_destroy(p->follows);
    worker_pool_destroy(p->pool);
    push_table_drop_slices_locked(p, UINT32_MAX);
    push_seen_clear_locked(p);
    map_finish(&p->users);
    map_finish(&p->pushers);
    map_finish(&p->gateways);
    map_finish(&p->notices);
    http_client_destroy(p->http);
    free(p->dirty);
    lock_finish(&p->lock);
    p->node->server->pushes = NULL;
    free(p);
}

/* ---- metrics ---- */

void pushes_add_metrics(struct pushes *p, struct buf *out)
{
    static const char text[] =
        "# HELP concorde_push_sent_total Notifications that push gateways have taken.\n"
        "# TYPE concorde_push_sent_total counter\nconcorde_push_sent_total %lld\n"
        "# HELP concorde_push_counts_total Requests with counts alone.\n"
        "# TYPE concorde_push_counts_total counter\nconcorde_push_counts_total %lld\n"
        "# HELP concorde_push_failed_total Requests that failed.\n"
        "# TYPE concorde_push_failed_total counter\nconcorde_push_failed_total %lld\n"
        "# HELP concorde_push_rejected_total Pushers removed because their gateway asked for it.\n"
        "# TYPE concorde_push_rejected_total counter\nconcorde_push_rejected_total %lld\n"
        "# HELP concorde_push_dropped_total Notifications not sent: read, redacted or too old.\n"
        "# TYPE concorde_push_dropped_total counter\nconcorde_push_dropped_total %lld\n"
        "# HELP concorde_push_delay_seconds_total From an event to its notification, summed.\n"
        "# TYPE concorde_push_delay_seconds_total counter\n"
        "concorde_push_delay_seconds_total %.3f\n"
        "# HELP concorde_push_pushers Pushers that this node sends to.\n"
        "# TYPE concorde_push_pushers gauge\nconcorde_push_pushers %zu\n";
    if (!p)
        return;
    size_t n;
    {
        LOCKED(&p->lock);
        n = p->pushers.n;
    }
    buf_printf(out, text, (long long)p->sent, (long long)p->badges, (long long)p->failed,
               (long long)p->rejected, (long long)p->dropped, (double)p->delay_us / 1e6, n);
}
