/* A call from its URL to its answer: which addresses to try, and which redirects to follow. */
#include "http/client/client.h"

#include "base/clock.h"
#include "base/mem.h"
#include "http/client/client_target.h"
#include "http/waits.h"

#include <openssl/err.h>
#include <strings.h>

enum {
    /* An address that does not answer must leave time for the server's next address. */
    CONNECT_MS = 10 * 1000,
    CONNECT_EACH_MS = 4 * 1000,
    ATTEMPTS_MAX = 8,
    /* After it a body must arrive at the rate of client_transfer.c. */
    GRACE_MS = 15 * 1000,
    CONNECTIONS_PER_ADDRESS = 64, /* many servers may share one */
    CONNECTIONS_TOTAL = 400,
    CONNECTIONS_KEPT = 128
};

struct attempts {
    struct http_client *client;
    struct arena *arena;
    const struct http_call *call;
    struct http_peer peer; /* the one being tried */
    int64_t deadline_ms;
    int left;
    bool was_sent; /* the request has gone out: it is not sent again elsewhere */
};

/* ---- one address ---- */

static bool is_bad_certificate(CURLcode code)
{
    return code == CURLE_PEER_FAILED_VERIFICATION || code == CURLE_SSL_CERTPROBLEM;
}

/* A connection that breaks at once looks the same. */
static bool is_without_tls(CURLcode code)
{
    return code == CURLE_SSL_CONNECT_ERROR || code == CURLE_SSL_CIPHER;
}

static enum client_outcome outcome_of_failure(const struct transfer *t)
{
    if (t->cut)
        return t->cut == CUT_TOO_LARGE ? OUTCOME_TOO_LARGE
               : t->cut == CUT_SLOW    ? OUTCOME_TIMEOUT
                                       : OUTCOME_FAILED;
    return t->result == CURLE_OPERATION_TIMEDOUT ? OUTCOME_TIMEOUT
           : t->result == CURLE_COULDNT_CONNECT || is_bad_certificate(t->result) ||
                   is_without_tls(t->result)
               ? OUTCOME_UNREACHABLE
               : OUTCOME_FAILED;
}

static const struct err *failure(const struct attempts *at, const struct transfer *t)
{
    const char *host = at->peer.host, *why = t->why[0] ? t->why : curl_easy_strerror(t->result);
    const struct err *e;
    if (t->cut == CUT_TOO_LARGE)
        return err(ERR_TOO_LARGE, "The reply of %.150s is too large", host);
    if (t->cut == CUT_NO_MEMORY)
        return err_unavailable(1000, "other servers' replies take too much memory");
    if (t->cut == CUT_STOPPING)
        return err_unavailable(5000, "outgoing requests are being stopped");
    if (t->cut == CUT_SINK)
        return err_internal("writing the reply of %s to a file failed", host);
    if (t->cut == CUT_SLOW || t->result == CURLE_OPERATION_TIMEDOUT)
        e = err(ERR_CONNECTION_TIMEOUT, "%.150s did not answer in time", host);
    else if (is_bad_certificate(t->result))
        e = err(ERR_CONNECTION_FAILED, "%.150s did not show a certificate that is trusted for it",
                host);
    else if (is_without_tls(t->result))
        e = err(ERR_CONNECTION_FAILED, "%.150s ended the connection before TLS was agreed on",
                host);
    else
        e = err(ERR_CONNECTION_FAILED, "%.150s could not be reached", host);
    return err_with_cause(e, "%s", why);
}

static const struct err *try_address(struct attempts *at, const char *connect_to, bool is_last,
                                     struct http_answer *ret)
{
    struct transfer *t;
    int64_t began = mono_us();
    TRY(transfer_create(at->client, at->call, connect_to, at->deadline_ms,
                        is_last ? CONNECT_MS : CONNECT_EACH_MS, &t));
    client_thread_run(at->client, t);
    bool well = t->result == CURLE_OK && !t->cut;
    const struct err *e = well ? NULL : failure(at, t);
    enum client_outcome outcome = well ? OUTCOME_FAILED : outcome_of_failure(t);
    long sent = 0;
    curl_easy_getinfo(t->easy, CURLINFO_REQUEST_SIZE, &sent);
    at->was_sent = sent > 0 || t->cut == CUT_STOPPING;
    if (well)
        transfer_answer(t, at->arena, ret);
    if (well && ret->status >= 200 && ret->status <= 599)
        outcome = (enum client_outcome)(OUTCOME_2XX + ret->status / 100 - 2);
    transfer_destroy(t);
    client_count(at->client, outcome, mono_us() - began);
    return e;
}

/* ---- several ---- */

static const struct err *try_peer(struct attempts *at, bool is_last, struct http_answer *ret)
{
    const char *const *addresses;
    size_t n;
    int64_t began = mono_us();
    const struct err *e = target_addresses(at->client, at->arena, &at->peer, at->call->allow_denied,
                                           at->deadline_ms, &addresses, &n);
    if (e) {
        client_count(at->client, e->code == ERR_FORBIDDEN ? OUTCOME_REFUSED : OUTCOME_UNREACHABLE,
                     mono_us() - began);
        return e;
    }
    for (size_t i = 0; i < n && at->left-- > 0; i++) {
        e = try_address(at, addresses[i], is_last && i + 1 == n, ret);
        if (!e || at->was_sent)
            break;
    }
    return e;
}

static const struct err *run_once(struct attempts *at, struct http_answer *ret)
{
    const struct http_call *call = at->call;
    struct http_peer named;
    const struct err *e = NULL;
    TRY(target_read(at->arena, call->url, call->allow_plain, &named));
    const struct http_peer *peers = call->peers_n ? call->peers : &named;
    size_t n = call->peers_n ? call->peers_n : 1;
    at->left = ATTEMPTS_MAX;
    for (size_t i = 0; i < n && at->left > 0; i++) {
        at->peer = peers[i];
        e = try_peer(at, i + 1 == n, ret);
        if (!e || at->was_sent)
            break;
    }
    return e;
}

/* ---- redirects ---- */

static bool is_redirect(int status)
{
    return status == 301 || status == 302 || status == 303 || status == 307 || status == 308;
}

static const char *const *without_credentials(struct arena *a, const char *const *headers)
{
    size_t n = 0, kept = 0;
    while (headers && headers[n])
        n++;
    const char **list = arena_alloc_array(a, n + 1, sizeof *list);
    for (size_t i = 0; i < n; i++)
        if (strncasecmp(headers[i], "Authorization:", 14) != 0)
            list[kept++] = headers[i];
    return list;
}

const struct err *http_client_run(struct http_client *c, struct arena *a,
                                  const struct http_call *call, struct http_answer *ret)
{
    waits_assert(call->url);
    struct http_call now = *call;
    struct attempts at = {
        .client = c, .arena = a, .call = &now, .deadline_ms = mono_ms() + call->timeout_ms};
    struct http_answer answer;
    for (int followed = 0;; followed++) {
        TRY(run_once(&at, &answer));
        const char *location = http_answer_header(a, &answer, "Location");
        if (call->method != GET || !call->redirects_max || !is_redirect(answer.status) || !location)
            break;
        if (followed == call->redirects_max)
            return err(ERR_CONNECTION_FAILED, "%.150s redirects too often", at.peer.host);
        TRY(target_follow(a, now.url, location, &now.url));
        now.headers = without_credentials(a, now.headers);
        now.allow_plain = now.allow_denied = false;
        now.peers_n = 0;
    }
    *ret = answer;
    return NULL;
}

const char *http_answer_header(struct arena *a, const struct http_answer *answer, const char *name)
{
    size_t name_n = strlen(name);
    for (struct str rest = answer->head; rest.n;) {
        const char *end = memchr(rest.p, '\n', rest.n);
        struct str line = {rest.p, end ? (size_t)(end - rest.p) : rest.n};
        rest = end ? (struct str){end + 1, rest.n - line.n - 1} : (struct str){0};
        if (line.n <= name_n || line.p[name_n] != ':' || strncasecmp(line.p, name, name_n) != 0)
            continue;
        line = str_trim((struct str){line.p + name_n + 1, line.n - name_n - 1}, " \t\r");
        return memchr(line.p, '\0', line.n) ? NULL : str_dup(a, line);
    }
    return NULL;
}

/* ---- the client ---- */

static const struct err *read_authorities(struct http_client *c,
                                          const struct http_client_config *config)
{
    c->authorities = X509_STORE_new();
    if (!c->authorities)
        abort();
    if (!config->ca_files_n && !X509_STORE_set_default_paths(c->authorities))
        return err_internal("the system's certificate authorities cannot be read");
    for (size_t i = 0; i < config->ca_files_n; i++) {
        if (X509_STORE_load_file(c->authorities, config->ca_files[i]))
            continue;
        char why[200];
        ERR_error_string_n(ERR_get_error(), why, sizeof why);
        return err(ERR_INVALID_PARAM, "%s holds no certificate authorities (%s)",
                   config->ca_files[i], why);
    }
    return NULL;
}

static const struct err *client_start(struct http_client *c,
                                      const struct http_client_config *config)
{
    TRY(address_ranges_create(config->denied, config->denied_n, &c->denied));
    TRY(address_ranges_create(config->allowed, config->allowed_n, &c->allowed));
    TRY(resolver_create(config->dns_servers, config->dns_servers_n, config->caches, &c->resolver));
    TRY(read_authorities(c, config));
    c->multi = curl_multi_init();
    if (!c->multi)
        abort();
    curl_multi_setopt(c->multi, CURLMOPT_MAX_HOST_CONNECTIONS, (long)CONNECTIONS_PER_ADDRESS);
    curl_multi_setopt(c->multi, CURLMOPT_MAX_TOTAL_CONNECTIONS, (long)CONNECTIONS_TOTAL);
    curl_multi_setopt(c->multi, CURLMOPT_MAXCONNECTS, (long)CONNECTIONS_KEPT);
    return client_thread_start(c);
}

const struct err *http_client_create(const struct http_client_config *config,
                                     struct http_client **ret)
{
    if (curl_global_init(CURL_GLOBAL_DEFAULT))
        return err_internal("libcurl cannot be initialised");
    struct http_client *c = mem_zalloc(sizeof *c);
    c->verify = config->verify;
    c->only_tls13 = config->only_tls13;
    c->grace_ms = config->grace_ms ? config->grace_ms : GRACE_MS;
    c->proxy = mem_strdup(config->proxy);
    lock_init(&c->lock, RANK_LEAF);
    const struct err *e = client_start(c, config);
    if (e) {
        http_client_destroy(c);
        return e;
    }
    *ret = c;
    return NULL;
}

void http_client_drain(struct http_client *c, int within_ms)
{
    atomic_store(&c->end_by_ms, mono_ms() + within_ms);
}

void http_client_stop(struct http_client *c)
{
    if (c)
        client_thread_stop(c);
}

void http_client_destroy(struct http_client *c)
{
    if (!c)
        return;
    client_thread_stop(c);
    if (c->multi)
        curl_multi_cleanup(c->multi);
    X509_STORE_free(c->authorities);
    resolver_destroy(c->resolver);
    address_ranges_destroy(c->denied);
    address_ranges_destroy(c->allowed);
    lock_finish(&c->lock);
    free(c->proxy);
    free(c);
    curl_global_cleanup();
}

struct resolver *http_client_resolver(struct http_client *c)
{
    return c->resolver;
}
