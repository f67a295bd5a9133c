#include "http/server.h"

#include "base/clock.h"
#include "base/log.h"
#include "base/mem.h"
#include "http/internal.h"

#include <errno.h>
#include <fcntl.h>
#include <sodium.h>
#include <stdio.h>
#include <unistd.h>

enum { PEM_MAX = 1024 * 1024, BODIES_MAX = 64 << 20 };

static const struct err *read_pem(const char *path, const char **ret)
{
    buf_auto struct buf b = {0};
    char piece[4096];
    size_t n;
    FILE *f = fopen(path, "re");
    if (!f)
        return err_internal("cannot read %s: %s", path, strerror(errno));
    while (b.n < PEM_MAX && (n = fread(piece, 1, sizeof piece, f)))
        buf_add(&b, piece, n);
    fclose(f);
    *ret = buf_steal(&b, &n);
    return NULL;
}

static const struct err *open_listeners(struct http_server *s, const struct http_config *config)
{
    s->tls = mem_zalloc((config->listeners_n + 1) * sizeof *s->tls);
    s->listening = mem_zalloc((config->listeners_n + 1) * sizeof *s->listening);
    s->kinds_n = 1;
    for (size_t i = 0; i < config->listeners_n; i++) {
        const struct http_listener *l = &config->listeners[i];
        struct listening *to = &s->listening[i];
        to->fd = -1;
        s->listening_n++;
        if (!l->tls_certificate != !l->tls_key)
            return err_internal("listener %s: TLS needs a certificate and a key", l->address);
        TRY(listen_open(l, to));
        if (!l->tls_certificate)
            continue;
        to->kind = s->kinds_n++;
        struct http_listener *tls = &s->tls[to->kind];
        tls->address = mem_strdup(l->address);
        TRY(read_pem(l->tls_certificate, &tls->tls_certificate));
        TRY(read_pem(l->tls_key, &tls->tls_key));
    }
    return NULL;
}

static void copy_config(struct http_server *s, const struct http_config *config)
{
    s->hooks = config->hooks;
    memcpy(s->rates, config->rates, sizeof s->rates);
    s->rate_table = config->rate_table;
    s->body_max = config->body_max;
    s->bodies.size = config->bodies_max ? config->bodies_max : BODIES_MAX;
    s->upload_max = config->upload_max;
    s->upload_dir = mem_strdup(config->upload_dir);
    s->idle_timeout_s = config->idle_timeout_s > 0 ? config->idle_timeout_s : 60;
    s->connections_max = config->connections_max > 0 ? config->connections_max : 20000;
    s->cpus = (int)sysconf(_SC_NPROCESSORS_ONLN);
    s->loops_n = config->loops > 0 ? config->loops : s->cpus < 4 ? s->cpus : 4;
    s->id_prefix = randombytes_random();
}

static const struct err *server_start_threads(struct http_server *s,
                                              const struct http_config *config)
{
    s->loops = mem_zalloc((size_t)s->loops_n * sizeof *s->loops);
    for (int i = 0; i < s->loops_n; i++)
        s->loops[i].epoll_fd = s->loops[i].event_fd = -1;
    for (int i = 0; i < s->loops_n; i++)
        TRY(loop_create(s, &s->loops[i]));
    for (int i = 0; i < POOL_COUNT; i++)
        TRY(pool_start(s, (enum route_pool)i, &config->pools[i]));
    for (int i = 0; i < s->loops_n; i++)
        TRY(loop_start(&s->loops[i]));
    return NULL;
}

static const struct err *server_start(struct http_server *s, const struct http_config *config,
                                      const struct route *const *tables, size_t tables_n)
{
    copy_config(s, config);
    TRY(address_ranges_create(config->trusted_proxies, config->trusted_proxies_n, &s->proxies));
    TRY(router_create(tables, tables_n, &s->router));
    metrics_create(s);
    connections_init(&s->connections, config->connections_of_address_max > 0
                                          ? config->connections_of_address_max
                                          : s->connections_max);
    TRY(open_listeners(s, config));
    return server_start_threads(s, config);
}

const struct err *http_server_start(const struct http_config *config,
                                    const struct route *const *tables, size_t tables_n,
                                    struct http_server **ret)
{
    struct http_server *s = mem_zalloc(sizeof *s);
    const struct err *e = server_start(s, config, tables, tables_n);
    if (e) {
        http_server_stop(s, 0);
        return e;
    }
    *ret = s;
    return NULL;
}

static void wake_loops(struct http_server *s)
{
    for (int i = 0; i < s->loops_n && s->loops; i++) {
        atomic_store(&s->loops[i].wake_all, true);
        loop_notify(&s->loops[i]);
    }
}

static void wait_until_zero(atomic_int *n)
{
    while (atomic_load(n) > 0)
        usleep(2000);
}

/* Until none was active for quiet_ms: a proxy may just have sent another on a connection of its
 * own.
 */
static void wait_until_quiet(atomic_int *active, int64_t quiet_ms, int64_t until_ms)
{
    for (int64_t since = mono_ms(); mono_ms() < until_ms; usleep(2000)) {
        if (atomic_load(active) > 0)
            since = mono_ms();
        else if (mono_ms() - since >= quiet_ms)
            return;
    }
}

static void free_server(struct http_server *s)
{
    for (size_t i = 0; i < s->listening_n; i++)
        listen_close(&s->listening[i]);
    for (size_t i = 0; i < s->kinds_n; i++) {
        free((void *)s->tls[i].address);
        free((void *)s->tls[i].tls_certificate);
        free((void *)s->tls[i].tls_key);
    }
    free(s->tls);
    free(s->listening);
    free(s->loops);
    free(s->upload_dir);
    metrics_destroy(s);
    connections_finish(&s->connections);
    router_destroy(s->router);
    address_ranges_destroy(s->proxies);
    free(s);
}

void http_server_leave(struct http_server *s)
{
    atomic_store(&s->leaving, true);
}

/* First, running requests may end; then no further handler is run, and it waits for those that
 * still run, since their threads' stacks are in use. */
void http_server_stop(struct http_server *s, int drain_ms)
{
    enum { QUIET_MS = 100 };
    bool has_left = atomic_exchange(&s->leaving, true);
    atomic_store(&s->stopping, true);
    wake_loops(s);
    wait_until_quiet(&s->metrics.active, has_left ? QUIET_MS : 0, mono_ms() + drain_ms);
    atomic_store(&s->aborting, true);
    wake_loops(s);
    wait_until_zero(&s->metrics.working);
    for (int i = 0; i < POOL_COUNT; i++)
        pool_stop(&s->pools[i]);
    atomic_store(&s->quit, true);
    for (int i = 0; i < s->loops_n && s->loops; i++)
        loop_destroy(&s->loops[i]);
    free_server(s);
}

int http_server_port(const struct http_server *s, size_t listener)
{
    return listener < s->listening_n ? listen_port(&s->listening[listener]) : 0;
}
