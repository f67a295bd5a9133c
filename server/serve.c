/* `concorde serve`: start in order, wait for a signal, stop in the opposite order. */
#include "rooms/rooms.h"
#include "server/account/auth.h"
#include "server/account/caller.h"
#include "server/cli/cli.h"
#include "server/media/repo.h"
#include "server/media/thumbnail_make.h"
#include "server/metrics.h"
#include "server/node.h"
#include "server/push/push.h"
#include "server/routes.h"
#include "server/sd_notify.h"
#include "server/server.h"
#include "users/users.h"

#include "base/cache.h"
#include "base/clock.h"
#include "base/mem.h"
#include "base/memory.h"
#include "base/worker/worker.h"
#include "federation/federation.h"
#include "http/server.h"
#include "rooms/room.h"
#include "rooms/room_cache.h"
#include "rooms/state/auth_index.h"
#include "storage/db/committer.h"
#include "storage/db/feed.h"
#include "storage/db/intern.h"
#include "storage/db/write.h"
#include "storage/nodes/follower.h"
#include "storage/nodes/lease.h"
#include "storage/nodes/node_list.h"
#include "users/device_state.h"
#include "users/message_quota.h"
#include "users/session.h"
#include "users/unread.h"

#include <errno.h>
#include <limits.h>
#include <signal.h>
#include <stdio.h>
#include <sys/resource.h>
#include <unistd.h>

enum {
    LOOPS_MAX = 4,
    /* Most of them wait for a commit: their number bounds the size of a batch. */
    WORKERS = 64,
    /* Longer than reverse proxies keep connections, so that they close first. */
    IDLE_TIMEOUT_S = 75,
    TRIM_S = 5,
    SPARE_FILES = 768 /* descriptors that are not connections of clients */
};

/* ---- settings for http/ ---- */

static int processors(void)
{
    long n = sysconf(_SC_NPROCESSORS_ONLN);
    return n > 0 ? (int)n : 1;
}

static int at_least(int a, int b)
{
    return a > b ? a : b;
}

static void set_rates(const struct config *c, struct http_config *ret)
{
    const struct config_rate *const rates[RATE_COUNT] = {
        [RATE_MESSAGE] = &c->rc_message,
        [RATE_LOGIN] = &c->rc_login,
        [RATE_REGISTRATION] = &c->rc_registration,
        [RATE_JOIN] = &c->rc_joins,
        [RATE_INVITE] = &c->rc_invites,
        [RATE_ROOM] = &c->rc_rooms,
        [RATE_KEY] = &c->rc_keys,
        [RATE_MEDIA] = &c->rc_media,
        [RATE_ACCOUNT] = &c->rc_account,
        [RATE_SEARCH] = &c->rc_search,
        [RATE_REMOTE] = &c->rc_remote,
        [RATE_SERVER] = &c->rc_server,
    };
    for (int i = 0; c->rate_limits && i < RATE_COUNT; i++)
        if (rates[i])
            ret->rates[i] = (struct rate_limit){rates[i]->per_second, (int)rates[i]->burst};
}

/* A few requests of each source run at once and a few more wait: so workers stay free for others,
 * even beside twenty sources that never stop. */
static void set_pools(const struct config *c, struct http_pool ret[POOL_COUNT])
{
    int workers = c->workers ? (int)c->workers : WORKERS;
    ret[POOL_CLIENT] = (struct http_pool){workers, at_least(1, workers / 4), 1000};
    ret[POOL_FEDERATION] =
        (struct http_pool){at_least(1, workers / 2), at_least(1, workers / 8), 200};
    ret[POOL_SLOW] = (struct http_pool){8, 2, 200};
    /* As many usual requests hash at once as there are processors; the other workers are for
     * requests that go first, which so begin at once. */
    int ahead = at_least(1, processors() / 4);
    ret[POOL_PASSWORD] = (struct http_pool){processors() + ahead, 2, 200, processors()};
    ret[POOL_SEARCH] = (struct http_pool){4, 1, 20};
    int initial = at_least(2, processors());
    ret[POOL_INITIAL] = (struct http_pool){initial, initial < 4 ? 1 : 2, 50};
    ret[POOL_REMOTE] = (struct http_pool){128, 6, 100}; /* nearly all of them wait for others */
    ret[POOL_WATCH] = (struct http_pool){4, 2, 20};
}

static void *worker_start(void *ctx)
{
    const struct running_node *n = ctx;
    db_limit_statements((int)n->node.config->database_statement_timeout_ms);
    return mem_zalloc(sizeof(struct job));
}

static void worker_stop(void *ctx, void *job)
{
    free(job);
}

/* A request sees what was committed before it came, whichever node did that. One that is woken has
 * what it was woken for. */
static const struct err *request_begin(void *ctx, struct request *rq)
{
    struct running_node *n = ctx;
    job_init(rq->job, &n->node, rq->arena);
    bool is_woken = rq->runs > 1;
    if (is_woken || rq->pool == POOL_WATCH || rq->route->waits_for_log)
        return NULL;
    return follower_barrier(n->storage.follower);
}

static void request_end(void *ctx, struct request *rq)
{
    job_finish(rq->job);
}

static struct http_config http_settings(struct running_node *n)
{
    const struct config *c = n->node.config;
    struct http_listener *listeners = arena_alloc_array(n->arena, c->listen_n, sizeof *listeners);
    for (size_t i = 0; i < c->listen_n; i++)
        listeners[i] = (struct http_listener){c->listen[i].address, c->listen[i].tls_certificate,
                                              c->listen[i].tls_key};
    struct http_config http = {
        .listeners = listeners,
        .listeners_n = c->listen_n,
        .loops = c->loops                   ? (int)c->loops
                 : processors() < LOOPS_MAX ? processors()
                                            : LOOPS_MAX,
        .connections_max = (int)c->max_connections,
        .connections_of_address_max =
            (int)(c->max_connections_per_address ? c->max_connections_per_address
                                                 : c->max_connections / 2),
        .body_max = (size_t)c->max_request_body,
        .upload_max = (size_t)c->max_upload_size,
        .upload_dir = c->media_store_path, /* an upload becomes media without a copy */
        .idle_timeout_s = IDLE_TIMEOUT_S,
        .trusted_proxies = c->trusted_proxies.items,
        .trusted_proxies_n = c->trusted_proxies.n,
        .hooks = {.worker_start = worker_start,
                  .worker_stop = worker_stop,
                  .request_begin = request_begin,
                  .request_end = request_end,
                  .ctx = n},
    };
    set_pools(c, http.pools);
    http.rate_table = n->node.server->rates;
    auth_set_hooks(&http.hooks);
    http.hooks.authenticate[WHO_SERVER] = federation_authenticate;
    http.hooks.source[WHO_SERVER] = federation_source;
    set_rates(c, &http);
    return http;
}

/* Every route that needs a caller must have a hook. */
static const struct err *check_hooks(const struct http_hooks *hooks)
{
    for (size_t i = 0; i < route_tables_n; i++)
        for (const struct route *r = route_tables[i]; r->path; r++)
            if (r->who != WHO_ANYONE && !hooks->authenticate[r->who])
                return err_internal("%s: no hook checks the caller", r->path);
    return NULL;
}

/* ---- running ---- */

static void allow_many_files(const struct config *c)
{
    struct rlimit limit;
    if (getrlimit(RLIMIT_NOFILE, &limit))
        return;
    limit.rlim_cur = limit.rlim_max;
    setrlimit(RLIMIT_NOFILE, &limit);
    if (limit.rlim_cur < (rlim_t)c->max_connections + SPARE_FILES)
        log_warn("only %llu files may be open: fewer connections than max_connections fit",
                 (unsigned long long)limit.rlim_cur);
}

static void add_http_metrics(void *what, struct buf *out)
{
    http_server_add_metrics(what, out);
}

static void add_store_metrics(void *what, struct buf *out)
{
    const struct node *s = what;
    db_add_metrics(s->storage->db, out);
    worker_pools_add_metrics(s->storage->pools, out);
    intern_add_metrics(s->storage->intern, out);
    committer_add_metrics(s->storage->committer, out);
    feed_add_metrics(s->storage->feed, out);
    leases_add_metrics(s->storage->leases, out);
    follower_add_metrics(s->storage->follower, out);
    cache_budget_add_metrics(s->caches, out);
    message_quota_add_metrics(s->users->message_quota, out);
    session_table_add_metrics(s->users->sessions, out);
    media_repo_add_metrics(s->server->media, out);
    federation_add_metrics(s->federation, out);
    pushes_add_metrics(s->server->pushes, out);
}

/* The address with the actual port. */
static void print_listener(const struct config_listener *l, int port)
{
    if (strncmp(l->address, "unix:", 5) == 0)
        printf("  listening on  %s\n", l->address);
    else
        printf("  listening on  %s://%.*s:%d\n", l->tls_certificate ? "https" : "http",
               (int)(strrchr(l->address, ':') - l->address), l->address, port);
}

static void print_welcome(const struct cli *cli, const struct running_node *n,
                          struct http_server *http)
{
    const struct config *c = n->node.config;
    char path[PATH_MAX];
    printf("Concorde " CONCORDE_VERSION " serves %s\n", c->server_name);
    for (size_t i = 0; i < c->listen_n; i++)
        print_listener(&c->listen[i], http_server_port(http, i));
    printf("  data in       %s\n", realpath(c->data_dir, path) ? path : c->data_dir);
    printf("  database      %s\n", c->database ? "as configured" : "its own PostgreSQL");
    buf_auto struct buf line = {0};
    cli_add_command(cli, "user add NAME --admin", &line);
    printf("  make an account with: %s\n", buf_str(&line).p);
    fflush(stdout);
}

static void reload(struct cli *cli)
{
    if (cli_config(cli))
        log_info("log settings read again");
    else
        log_error("the settings are wrong; nothing changed");
}

/* Serves until SIGINT or SIGTERM. Now and then it returns memory. */
static void wait_for_stop(struct cli *cli, struct running_node *n, const sigset_t *signals)
{
    for (;;) {
        int signal = sigtimedwait(signals, NULL, &(struct timespec){.tv_sec = TRIM_S});
        if (signal == SIGINT || signal == SIGTERM)
            break;
        if (signal == SIGHUP)
            reload(cli);
        if (memory_trim())
            log_debug("returned memory to the system: %zu MiB are left", memory_resident() >> 20);
    }
    log_info("stopping");
}

/* Operators see it in `concorde nodes`. */
static void note_draining(struct running_node *n)
{
    enum { LIMIT_MS = 2000 };
    struct job job;
    int before = db_limit_statements(LIMIT_MS);
    job_init(&job, &n->node, n->arena);
    const struct err *e =
        node_drain(job_tx(&job), committer_view(n->node.storage->committer)->node);
    job_finish(&job);
    db_limit_statements(before);
    if (e)
        log_err(LOG_WARN, "this node stops, and could not say so", e);
}

/* Until the proxy has noticed that /ready says no, and sends its requests to the other nodes.
 * Another signal ends the wait. */
static void serve_on(struct running_node *n, struct http_server *http, const sigset_t *signals)
{
    int64_t until = mono_ms() + n->node.config->shutdown_delay_ms;
    http_server_leave(http);
    while (mono_ms() < until) {
        int signal = sigtimedwait(signals, NULL, &(struct timespec){.tv_nsec = 100 * 1000000L});
        if (signal == SIGINT || signal == SIGTERM)
            return;
    }
}

/* What the others can do is theirs at once; then this node's own requests end. */
static void server_drain(struct running_node *n, struct http_server *http, const sigset_t *signals)
{
    const struct config *c = n->node.config;
    bool has_others = !n->is_lost && log_view_count(committer_view(n->node.storage->committer)) > 1;
    int delay_ms = has_others ? (int)c->shutdown_delay_ms : 0;
    int timeout_ms = n->is_lost ? 0 : (int)c->shutdown_timeout_ms;
    n->server.is_stopping = true;
    sd_notify_state("STOPPING=1");
    if (has_others)
        note_draining(n);
    federation_drain(n->node.federation, delay_ms + timeout_ms);
    pushes_drain(n->server.pushes, timeout_ms);
    leases_give_back(n->node.storage->leases);
    if (delay_ms)
        serve_on(n, http, signals);
    metrics_forget_sources();
    follower_set_parked(n->storage.follower, NULL, NULL);
    http_server_stop(http, n->is_lost ? 0 : timeout_ms);
}

static const struct err *server_serve_serve(struct cli *cli, struct running_node *n,
                                            const sigset_t *signals)
{
    struct http_config settings = http_settings(n);
    struct http_server *http;
    const struct err *e = thumbnail_check_program();
    if (e)
        log_err(LOG_WARN, "thumbnails will not work", e);
    TRY(check_hooks(&settings.hooks));
    TRY(http_server_start(&settings, route_tables, route_tables_n, &http));
    metrics_add_source(add_http_metrics, http);
    metrics_add_source(add_store_metrics, &n->node);
    follower_set_parked(n->storage.follower, http_server_parked, http);
    sd_notify_state("READY=1");
    print_welcome(cli, n, http);
    wait_for_stop(cli, n, signals);
    server_drain(n, http, signals);
    return n->is_lost ? err(ERR_UNAVAILABLE, "The database was lost to another, see above") : NULL;
}

int serve_command(struct cli *cli)
{
    const struct config *config = cli_config(cli);
    if (!config)
        return EXIT_FAILURE;
    sigset_t signals;
    sigemptyset(&signals);
    sigaddset(&signals, SIGINT);
    sigaddset(&signals, SIGTERM);
    sigaddset(&signals, SIGHUP);
    pthread_sigmask(SIG_BLOCK, &signals, NULL); /* before any thread: only sigwait takes them */
    signal(SIGPIPE, SIG_IGN);
    signal(SIGXFSZ, SIG_IGN); /* a file-size limit is then an error, like a full disk */
    allow_many_files(config);
    memory_begin(processors());
    struct running_node running;
    const struct err *e = node_start(&running, config, NODE_SERVER);
    if (e)
        return cli_fail(e);
    e = server_serve_serve(cli, &running, &signals);
    int status = e ? cli_fail(e) : EXIT_SUCCESS;
    node_stop(&running);
    if (!e)
        log_info("stopped");
    return status;
}
