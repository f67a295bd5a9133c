#include "federation/peer/discovery.h"

#include "base/cache.h"
#include "base/clock.h"
#include "base/mem.h"
#include "federation/peer/host_name.h"
#include "federation/peer/well_known.h"
#include "http/client/srv.h"

#include <sodium.h>
#include <stdatomic.h>

enum {
    DEFAULT_PORT = 8448,
    SRV_MAX = 16,
    DNS_MS = 10 * 1000,
    MINUTE_MS = 60 * 1000,
    HOUR_MS = 60 * MINUTE_MS,
    SERVICES_KEEP_MS = 10 * MINUTE_MS,
    /* A failed lookup is retried after this, then after twice that, and so on. */
    RETRY_LEAST_MS = MINUTE_MS,
    RETRY_MOST_MS = HOUR_MS,
    /* While the host does not answer, its last answer is used for this long. */
    DELEGATION_LASTS_MS = 48 * HOUR_MS,
    /* Results younger than this are kept if the server is unreachable. */
    SURE_MS = 5 * MINUTE_MS
};

struct services {
    struct srv_record records[SRV_MAX]; /* hosts from malloc */
    size_t n;
};

/* A cached server whose name is a host without port. */
struct known_server {
    struct cache_entry entry; /* pinned: a thread is looking it up, and owns the fields below */
    char *name;
    char *delegated; /* NULL: not delegated */
    struct services services;
    int64_t delegation_until, delegation_read, services_until; /* mono_ms */
    int failures;                                              /* of delegation lookups in a row */
};

enum found { FOUND_WELL_KNOWN, FOUND_SRV, FOUND_PLAIN, FOUND_COUNT };

struct discovery {
    struct http_client *http;
    struct cache servers; /* by name */
    pthread_cond_t found;
    atomic_ulong lookups[FOUND_COUNT];
};

/* ---- the cache ---- */

static void services_clear(struct services *s)
{
    for (size_t i = 0; i < s->n; i++)
        free((char *)s->records[i].host);
    s->n = 0;
}

static void known_server_destroy(struct cache_entry *e)
{
    struct known_server *k = (struct known_server *)e;
    services_clear(&k->services);
    free(k->delegated);
    free(k->name);
    free(k);
}

static const struct cache_kind discovery_kind = {
    .name = "server_addresses", .rank = RANK_CACHE, .share = 16, .destroy = known_server_destroy};

static bool discovery_is_fresh(const struct known_server *k, int64_t now)
{
    return now < k->delegation_until && now < k->services_until;
}

static struct known_server *discovery_find_locked(struct discovery *d, const char *name)
{
    struct known_server *k = cache_peek_locked(&d->servers, str_of(name));
    if (k)
        return k;
    k = mem_zalloc(sizeof *k);
    k->name = mem_strdup(name);
    k->entry.key = str_of(k->name);
    k->entry.bytes = sizeof *k + k->entry.key.n;
    cache_add_locked(&d->servers, &k->entry);
    return k;
}

/* After a look-up. */
static void discovery_count_bytes_locked(struct discovery *d, struct known_server *k)
{
    size_t bytes = sizeof *k + k->entry.key.n + (k->delegated ? strlen(k->delegated) : 0);
    for (size_t i = 0; i < k->services.n; i++)
        bytes += strlen(k->services.records[i].host);
    cache_resize_locked(&d->servers, &k->entry, bytes);
}

/* ---- lookups ---- */

static int64_t discovery_retry_ms(int failures)
{
    int64_t ms = RETRY_LEAST_MS;
    while (--failures > 0 && ms < RETRY_MOST_MS)
        ms *= 2;
    return ms < RETRY_MOST_MS ? ms : RETRY_MOST_MS;
}

static void find_delegation(struct discovery *d, struct arena *a, struct known_server *k)
{
    struct well_known w;
    well_known_ask(d->http, a, k->name, &w);
    int64_t now = mono_ms();
    k->services_until = 0; /* they may be of another host */
    if (w.failed_for_now) {
        k->delegation_until = now + discovery_retry_ms(++k->failures);
        if (k->delegated && now - k->delegation_read < DELEGATION_LASTS_MS)
            return;
    } else {
        k->failures = 0;
        k->delegation_until = now + w.keep_ms;
    }
    k->delegation_read = now;
    free(k->delegated);
    k->delegated = mem_strdup(w.delegated);
}

/* The registered service name, and the deprecated one that was never registered. */
static const struct err *ask_for_services(struct discovery *d, struct arena *a, const char *host,
                                          struct srv_record **ret, size_t *ret_n)
{
    static const char *const services[] = {"_matrix-fed._tcp", "_matrix._tcp"};
    struct resolver *resolver = http_client_resolver(d->http);
    int64_t deadline = mono_ms() + DNS_MS;
    *ret_n = 0;
    for (size_t i = 0; i < sizeof services / sizeof *services && !*ret_n; i++)
        TRY(resolver_srv(resolver, a, arena_printf(a, "%s.%s", services[i], host), deadline, ret,
                         ret_n));
    return NULL;
}

static void find_services(struct discovery *d, struct arena *a, struct known_server *k)
{
    struct host_name h;
    struct srv_record *records;
    size_t n;
    int64_t now = mono_ms();
    bool known = host_name_read(a, k->delegated ? k->delegated : k->name, &h);
    if (!known || h.is_literal || h.port) {
        services_clear(&k->services);
        k->services_until = k->delegation_until;
        return;
    }
    if (ask_for_services(d, a, h.host, &records, &n)) {
        k->services_until = now + RETRY_LEAST_MS; /* keeps the previous records */
        return;
    }
    services_clear(&k->services);
    for (; k->services.n < n && k->services.n < SRV_MAX; k->services.n++) {
        struct srv_record *into = &k->services.records[k->services.n];
        *into = records[k->services.n];
        into->host = mem_strdup(into->host);
    }
    k->services_until = now + SERVICES_KEEP_MS;
}

static void find_out(struct discovery *d, struct arena *a, struct known_server *k)
{
    if (mono_ms() >= k->delegation_until)
        find_delegation(d, a, k);
    if (mono_ms() >= k->services_until)
        find_services(d, a, k);
    enum found found = k->delegated ? FOUND_WELL_KNOWN : k->services.n ? FOUND_SRV : FOUND_PLAIN;
    atomic_fetch_add_explicit(&d->lookups[found], 1, memory_order_relaxed);
}

/* ---- endpoints ---- */

static void one_peer(struct arena *a, const char *authority, const char *host, int port,
                     struct server_endpoint *ret)
{
    struct http_peer *peer = arena_alloc(a, sizeof *peer);
    *peer = (struct http_peer){.host = host, .port = port};
    *ret = (struct server_endpoint){authority, peer, 1};
}

/* Steps 1 and 2: the name alone decides. */
static bool discovery_is_direct(struct arena *a, const char *name, const struct host_name *h,
                                struct server_endpoint *ret)
{
    if (!h->is_literal && !h->port)
        return false;
    one_peer(a, name, h->host, h->port ? h->port : DEFAULT_PORT, ret);
    return true;
}

/* Steps 3 to 6, from the cached results. */
static const struct err *discovery_copy_known_locked(struct arena *a, const struct known_server *k,
                                                     struct server_endpoint *ret)
{
    struct srv_record records[SRV_MAX];
    struct host_name h;
    const char *name = arena_strdup(a, k->delegated ? k->delegated : k->name);
    if (!host_name_read(a, name, &h))
        return err(ERR_CONNECTION_FAILED,
                   "%.150s is delegated to %.100s, which is not a server name", k->name, name);
    if (discovery_is_direct(a, name, &h, ret))
        return NULL;
    if (!k->services.n) {
        one_peer(a, name, h.host, DEFAULT_PORT, ret);
        return NULL;
    }
    struct http_peer *peers = arena_alloc_array(a, k->services.n, sizeof *peers);
    size_t n = 0;
    memcpy(records, k->services.records, k->services.n * sizeof *records);
    srv_order(records, k->services.n, randombytes_uniform);
    for (size_t i = 0; i < k->services.n; i++)
        if (records[i].host[0] && records[i].port)
            peers[n++] = (struct http_peer){arena_strdup(a, records[i].host), records[i].port,
                                            .no_alias = true};
    if (!n)
        return err(ERR_CONNECTION_FAILED, "The DNS says that %.150s does not federate", k->name);
    *ret = (struct server_endpoint){name, peers, n};
    return NULL;
}

static const struct err *discovery_find_known(struct discovery *d, struct arena *a,
                                              const char *server, int64_t deadline,
                                              struct server_endpoint *ret)
{
    CACHE_LOCKED(&d->servers);
    struct known_server *k;
    while ((k = discovery_find_locked(d, server))->entry.pinned)
        if (lock_wait_until(&d->servers.lock, &d->found, deadline))
            return err(ERR_CONNECTION_TIMEOUT, "Finding %.150s takes too long", server);
    bool is_fresh = discovery_is_fresh(k, mono_ms());
    cache_count_locked(&d->servers, is_fresh ? &k->entry : NULL);
    if (!is_fresh) {
        k->entry.pinned = true;
        cache_unlock(&d->servers);
        find_out(d, a, k);
        cache_lock(&d->servers);
        k->entry.pinned = false;
        discovery_count_bytes_locked(d, k);
        pthread_cond_broadcast(&d->found);
    }
    return discovery_copy_known_locked(a, k, ret);
}

const struct err *discovery_find(struct discovery *d, struct arena *a, const char *server,
                                 int64_t deadline_mono_ms, struct server_endpoint *ret)
{
    struct host_name h;
    if (!host_name_read(a, server, &h))
        return err(ERR_INVALID_PARAM, "%.150s is not a server name", server);
    if (discovery_is_direct(a, server, &h, ret))
        return NULL;
    return discovery_find_known(d, a, server, deadline_mono_ms, ret);
}

void discovery_failed(struct discovery *d, const char *server)
{
    CACHE_LOCKED(&d->servers);
    struct known_server *k = cache_peek_locked(&d->servers, str_of(server));
    int64_t now = mono_ms();
    if (!k || k->entry.pinned || k->failures || now - k->delegation_read < SURE_MS)
        return;
    k->delegation_until = 0;
}

/* ---- finding a server ---- */

struct discovery *discovery_create(struct http_client *http, struct cache_budget *b)
{
    struct discovery *d = mem_zalloc(sizeof *d);
    d->http = http;
    cache_init(&d->servers, b, &discovery_kind, NULL);
    cond_init(&d->found);
    return d;
}

void discovery_destroy(struct discovery *d)
{
    if (!d)
        return;
    cache_finish(&d->servers);
    pthread_cond_destroy(&d->found);
    free(d);
}

void discovery_add_metrics(struct discovery *d, struct buf *out)
{
    static const char *const names[FOUND_COUNT] = {"well_known", "srv", "plain"};
    BUF_LIT(out, "# HELP concorde_federation_discoveries_total How the addresses of other servers "
                 "were found.\n"
                 "# TYPE concorde_federation_discoveries_total counter\n");
    for (int i = 0; i < FOUND_COUNT; i++)
        buf_printf(out, "concorde_federation_discoveries_total{found=\"%s\"} %lu\n", names[i],
                   atomic_load(&d->lookups[i]));
}
