/* Each lookup has a c-ares channel of its own, driven by the thread that waits for it: nothing is
 * shared but the cache, and changes of /etc/resolv.conf are seen. */
#include "http/client/resolver.h"

#include "base/cache.h"
#include "base/clock.h"
#include "base/mem.h"

#include <ares.h>
#include <ares_nameser.h>
#include <poll.h>

enum {
    TRY_MS = 2000, /* the first wait for an answer; later ones are longer */
    TRIES = 3,
    ADDRESSES_MAX = 16,
    SRV_MAX = 16,
    SRV_BYTES_MAX = 4096, /* from a TCP answer c-ares could unpack many names of megabytes */
    NAME_MAX_BYTES = 255, /* as written; an unpacked name may be longer, but not a host's */
    KEEP_LEAST_MS = 5000, /* answers with a shorter TTL are kept for the length of a request */
    KEEP_MOST_MS = 3600 * 1000,
    KEEP_ABSENT_MS = 30 * 1000,
    KEEP_FAILURE_MS = 3 * 1000 /* a request looks a name up more than once */
};

struct known_name {
    struct cache_entry entry;
    char *name;
    struct address addresses[ADDRESSES_MAX];
    size_t n;
    bool is_alias;
    int failure;   /* of c-ares; 0: none */
    int64_t until; /* mono_ms */
};

struct resolver {
    char *servers; /* as c-ares wants them; NULL: the system's */
    struct cache names;
};

/* ---- the cache ---- */

static void known_name_destroy(struct cache_entry *e)
{
    free(((struct known_name *)e)->name);
    free(e);
}

static const struct cache_kind resolver_kind = {
    .name = "host_addresses", .rank = RANK_LEAF, .share = 32, .destroy = known_name_destroy};

static bool resolver_find_known(struct resolver *r, struct arena *a, const char *name,
                                struct resolved *ret, int *ret_failure)
{
    CACHE_LOCKED(&r->names);
    struct known_name *k = cache_peek_locked(&r->names, str_of(name));
    bool is_known = k && k->until > mono_ms();
    cache_count_locked(&r->names, is_known ? &k->entry : NULL);
    if (!is_known)
        return false;
    *ret_failure = k->failure;
    *ret = (struct resolved){
        .addresses = (const void *)arena_memdup(a, k->addresses, k->n * sizeof *k->addresses),
        .n = k->n,
        .is_alias = k->is_alias};
    return true;
}

static void resolver_keep(struct resolver *r, const char *name, const struct resolved *what,
                          int failure, int64_t keep_ms)
{
    struct known_name *k = mem_zalloc(sizeof *k);
    k->name = mem_strdup(name);
    k->n = what->n;
    k->is_alias = what->is_alias;
    k->failure = failure;
    if (what->n)
        memcpy(k->addresses, what->addresses, what->n * sizeof *what->addresses);
    k->until = mono_ms() + keep_ms;
    k->entry.key = str_of(k->name);
    k->entry.bytes = sizeof *k + k->entry.key.n;
    CACHE_LOCKED(&r->names);
    cache_replace_locked(&r->names, &k->entry);
}

/* ---- queries ---- */

static const struct err *open_channel(const struct resolver *r, ares_channel *ret)
{
    struct ares_options options = {
        .flags = ARES_FLAG_NOALIASES, .timeout = TRY_MS, .tries = TRIES, .ndomains = 0};
    int status = ares_init_options(
        ret, &options, ARES_OPT_FLAGS | ARES_OPT_TIMEOUTMS | ARES_OPT_TRIES | ARES_OPT_DOMAINS);
    if (status != ARES_SUCCESS)
        return err_internal("c-ares: %s", ares_strerror(status));
    if (r->servers && (status = ares_set_servers_ports_csv(*ret, r->servers)) != ARES_SUCCESS) {
        ares_destroy(*ret);
        return err_internal("dns_servers: %s", ares_strerror(status));
    }
    return NULL;
}

static void wait_for_sockets(ares_channel channel, int64_t deadline)
{
    ares_socket_t sockets[ARES_GETSOCK_MAXNUM];
    struct pollfd fds[ARES_GETSOCK_MAXNUM];
    struct timeval most = {.tv_sec = 1}, room;
    nfds_t n = 0;
    /* not with the macros of c-ares, which shift a 1 into the sign bit */
    unsigned bits = (unsigned)ares_getsock(channel, sockets, ARES_GETSOCK_MAXNUM);
    for (int i = 0; i < ARES_GETSOCK_MAXNUM; i++) {
        short events = (short)((bits >> i & 1 ? POLLIN : 0) |
                               (bits >> (i + ARES_GETSOCK_MAXNUM) & 1 ? POLLOUT : 0));
        if (events)
            fds[n++] = (struct pollfd){.fd = sockets[i], .events = events};
    }
    const struct timeval *wait = ares_timeout(channel, &most, &room);
    int64_t ms = wait->tv_sec * 1000 + wait->tv_usec / 1000 + 1, left = deadline - mono_ms();
    poll(fds, n, (int)clock_wait_ms(left < ms ? (left > 0 ? left : 0) : ms));
    for (nfds_t i = 0; i < n; i++)
        ares_process_fd(channel, fds[i].revents & ~POLLOUT ? fds[i].fd : ARES_SOCKET_BAD,
                        fds[i].revents & POLLOUT ? fds[i].fd : ARES_SOCKET_BAD);
    ares_process_fd(channel, ARES_SOCKET_BAD, ARES_SOCKET_BAD); /* handles timeouts */
}

/* Runs until the callback has set *status, at the latest when it is cancelled at the deadline. */
static void drive(ares_channel channel, const int *status, int64_t deadline)
{
    while (*status < 0 && mono_ms() < deadline)
        wait_for_sockets(channel, deadline);
    if (*status < 0)
        ares_cancel(channel);
}

static bool resolver_is_absent(int status)
{
    return status == ARES_ENOTFOUND || status == ARES_ENODATA || status == ARES_EBADNAME;
}

static const struct err *resolver_no_answer(const char *name, int status)
{
    bool late = status == ARES_ETIMEOUT || status == ARES_ECANCELLED;
    return err_with_cause(err(ERR_CONNECTION_FAILED, "The name %s cannot be looked up now", name),
                          "DNS: %s", late ? "no answer in time" : ares_strerror(status));
}

/* ---- addresses ---- */

struct address_lookup {
    int status; /* -1: not yet */
    struct ares_addrinfo *info;
};

static void got_addresses(void *arg, int status, int timeouts, struct ares_addrinfo *info)
{
    struct address_lookup *l = arg;
    l->status = status;
    l->info = info;
}

/* Returns how long they may be cached. */
static int64_t read_addresses(struct arena *a, const struct ares_addrinfo *info,
                              struct resolved *ret)
{
    struct address *addresses = arena_alloc_array(a, ADDRESSES_MAX, sizeof *addresses);
    int64_t keep_ms = KEEP_MOST_MS;
    size_t n = 0;
    for (const struct ares_addrinfo_node *i = info->nodes; i && n < ADDRESSES_MAX; i = i->ai_next) {
        if (i->ai_ttl * 1000LL < keep_ms)
            keep_ms = i->ai_ttl * 1000LL;
        if (address_of_socket(i->ai_addr, &addresses[n]))
            n++;
    }
    *ret = (struct resolved){addresses, n, info->cnames != NULL};
    return keep_ms < KEEP_LEAST_MS ? KEEP_LEAST_MS : keep_ms;
}

static const struct err *resolver_look_up(struct resolver *r, struct arena *a, const char *name,
                                          int64_t deadline, struct resolved *ret)
{
    ares_channel channel;
    struct address_lookup l = {.status = -1};
    const struct ares_addrinfo_hints hints = {.ai_family = AF_UNSPEC, .ai_socktype = SOCK_STREAM};
    TRY(open_channel(r, &channel));
    ares_getaddrinfo(channel, name, NULL, &hints, got_addresses, &l);
    drive(channel, &l.status, deadline);
    ares_destroy(channel);
    *ret = (struct resolved){0};
    int64_t keep_ms = l.status == ARES_SUCCESS ? read_addresses(a, l.info, ret) : KEEP_ABSENT_MS;
    ares_freeaddrinfo(l.info);
    bool failed = l.status != ARES_SUCCESS && !resolver_is_absent(l.status);
    resolver_keep(r, name, ret, failed ? l.status : 0, failed ? KEEP_FAILURE_MS : keep_ms);
    return failed ? resolver_no_answer(name, l.status) : NULL;
}

const struct err *resolver_addresses(struct resolver *r, struct arena *a, const char *name,
                                     int64_t deadline_mono_ms, struct resolved *ret)
{
    int failure;
    if (resolver_find_known(r, a, name, ret, &failure))
        return failure ? resolver_no_answer(name, failure) : NULL;
    return resolver_look_up(r, a, name, deadline_mono_ms, ret);
}

/* ---- services ---- */

struct srv_lookup {
    struct arena *arena;
    int status;
    struct srv_record *records;
    size_t n;
};

int srv_read(struct arena *a, const unsigned char *answer, int n, struct srv_record **ret,
             size_t *ret_n)
{
    struct ares_srv_reply *records = NULL;
    if (n > SRV_BYTES_MAX)
        return ARES_EBADRESP;
    int status = ares_parse_srv_reply(answer, n, &records);
    if (status != ARES_SUCCESS)
        return status;
    *ret = arena_alloc_array(a, SRV_MAX, sizeof **ret);
    *ret_n = 0;
    for (const struct ares_srv_reply *i = records; i && *ret_n < SRV_MAX; i = i->next)
        if (strlen(i->host) <= NAME_MAX_BYTES)
            (*ret)[(*ret_n)++] =
                (struct srv_record){arena_strdup(a, strcmp(i->host, ".") ? i->host : ""), i->port,
                                    i->priority, i->weight};
    ares_free_data(records);
    return ARES_SUCCESS;
}

static void got_services(void *arg, int status, int timeouts, unsigned char *bytes, int n)
{
    struct srv_lookup *l = arg;
    l->status = status == ARES_SUCCESS ? srv_read(l->arena, bytes, n, &l->records, &l->n) : status;
}

const struct err *resolver_srv(struct resolver *r, struct arena *a, const char *name,
                               int64_t deadline_mono_ms, struct srv_record **ret, size_t *ret_n)
{
    ares_channel channel;
    struct srv_lookup l = {.arena = a, .status = -1};
    TRY(open_channel(r, &channel));
    ares_query(channel, name, ns_c_in, ns_t_srv, got_services, &l);
    drive(channel, &l.status, deadline_mono_ms);
    ares_destroy(channel);
    if (l.status != ARES_SUCCESS && !resolver_is_absent(l.status))
        return resolver_no_answer(name, l.status);
    *ret = l.records;
    *ret_n = l.n;
    return NULL;
}

/* ---- the resolver ---- */

const struct err *resolver_create(const char *const *servers, size_t n, struct cache_budget *b,
                                  struct resolver **ret)
{
    if (ares_library_init(ARES_LIB_INIT_ALL) != ARES_SUCCESS)
        return err_internal("c-ares cannot be initialised");
    struct resolver *r = mem_zalloc(sizeof *r);
    buf_auto struct buf csv = {0};
    for (size_t i = 0; i < n; i++)
        buf_printf(&csv, "%s%s", i ? "," : "", servers[i]);
    r->servers = n ? mem_strdup(csv.p) : NULL;
    cache_init(&r->names, b, &resolver_kind, NULL);
    ares_channel channel; /* to fail early */
    const struct err *e = open_channel(r, &channel);
    if (e) {
        resolver_destroy(r);
        return e;
    }
    ares_destroy(channel);
    *ret = r;
    return NULL;
}

void resolver_destroy(struct resolver *r)
{
    if (!r)
        return;
    cache_finish(&r->names);
    free(r->servers);
    free(r);
    ares_library_cleanup();
}
