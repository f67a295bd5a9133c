/* One exchange, set up for libcurl. */
#include "base/budget.h"
#include "base/clock.h"
#include "base/map.h"
#include "base/mem.h"
#include "http/client/client_internal.h"

#include <unistd.h>

enum {
    HEAD_MAX = 64 * 1024,
    /* A reply with another status than 2xx is only an error. */
    COMPLAINT_MAX = 64 * 1024,
    /* After the grace period a body must have arrived at this rate, so that no slow server holds a
     * thread. */
    BYTES_A_SECOND_LEAST = 512,
    IDLE_CONNECTION_S = 90
};

static const char *const method_names[METHOD_COUNT] = {"GET",    "POST", "PUT",
                                                       "DELETE", "HEAD", "OPTIONS"};

/* ---- the reply ---- */

static size_t on_header(char *line, size_t size, size_t n, void *ctx)
{
    struct transfer *t = ctx;
    if (n >= 5 && memcmp(line, "HTTP/", 5) == 0) /* of an interim or of the final reply */
        buf_clear(&t->head);
    if (t->head.n + n > HEAD_MAX) {
        t->cut = CUT_TOO_LARGE;
        return 0;
    }
    buf_add(&t->head, line, n);
    return n;
}

static long status_of(const struct transfer *t)
{
    long status = 0;
    curl_easy_getinfo(t->easy, CURLINFO_RESPONSE_CODE, &status);
    return status;
}

static bool client_transfer_write_all(int fd, const char *bytes, size_t n)
{
    while (n) {
        ssize_t w = write(fd, bytes, n);
        if (w <= 0)
            return false;
        bytes += w;
        n -= (size_t)w;
    }
    return true;
}

/* The memory of all replies, also those of destroyed clients, since they belong to arenas. A few
 * KiB of each are free. */
enum { REPLIES_MAX = 64 << 20, FREE = 64 * 1024, STEP = 64 * 1024 };
static struct budget replies = {.size = REPLIES_MAX};

static bool client_transfer_draw(struct transfer *t, size_t bytes)
{
    return budget_grow(&replies, t->source, &t->drawn, budget_steps(bytes, FREE, STEP));
}

static size_t on_body(char *bytes, size_t size, size_t n, void *ctx)
{
    struct transfer *t = ctx;
    bool well = status_of(t) / 100 == 2;
    size_t max = well || t->call->reply_max < COMPLAINT_MAX ? t->call->reply_max : COMPLAINT_MAX;
    if (!t->first_byte_ms)
        t->first_byte_ms = mono_ms();
    if ((size_t)t->bytes + n > max) {
        t->cut = CUT_TOO_LARGE;
        return 0;
    }
    t->bytes += (int64_t)n;
    if (!well || t->call->sink_fd <= 0) {
        if (!client_transfer_draw(t, t->body.n + n)) {
            t->cut = CUT_NO_MEMORY;
            return 0;
        }
        buf_add(&t->body, bytes, n);
    } else if (!client_transfer_write_all(t->call->sink_fd, bytes, n)) {
        t->cut = CUT_SINK;
        return 0;
    }
    return n;
}

bool transfer_is_slow(const struct transfer *t)
{
    int64_t end_by = atomic_load(&t->client->end_by_ms);
    int64_t now = mono_ms(), ms = t->first_byte_ms ? now - t->first_byte_ms : 0;
    if (end_by && now > end_by)
        return true;
    /* libcurl keeps the deadline, but not for transfers that wait for a connection */
    return now > t->deadline_ms ||
           (ms > t->client->grace_ms && t->bytes * 1000 < ms * BYTES_A_SECOND_LEAST);
}

/* Bytes of a reply that an arena holds. */
struct kept {
    char *bytes;
    uint64_t source;
    size_t drawn;
};

static void drop_kept(void *what)
{
    struct kept *k = what;
    free(k->bytes);
    budget_give_back(&replies, k->source, k->drawn);
}

static struct str steal(struct arena *a, struct buf *b, uint64_t source, size_t drawn)
{
    size_t n;
    struct kept *k = arena_alloc(a, sizeof *k);
    *k = (struct kept){buf_steal(b, &n), source, drawn};
    arena_defer(a, drop_kept, k);
    return (struct str){k->bytes ? k->bytes : "", n};
}

void transfer_answer(struct transfer *t, struct arena *a, struct http_answer *ret)
{
    *ret = (struct http_answer){.status = (int)status_of(t),
                                .bytes = t->bytes,
                                .body = steal(a, &t->body, t->source, t->drawn),
                                .head = steal(a, &t->head, 0, 0)};
    t->drawn = 0;
}

/* ---- the request ---- */

static CURLcode use_authorities(CURL *easy, void *ssl_ctx, void *ctx)
{
    const struct http_client *c = ctx;
    X509_STORE_up_ref(c->authorities);
    SSL_CTX_set_cert_store(ssl_ctx, c->authorities);
    return CURLE_OK;
}

/* The authority exactly as in the URL: libcurl leaves out the scheme's default port. */
static void add_host_header(struct transfer *t)
{
    const char *authority = strstr(t->call->url, "://") + 3;
    buf_auto struct buf line = {0};
    BUF_LIT(&line, "Host: ");
    buf_add(&line, authority, strcspn(authority, "/?#"));
    t->headers = curl_slist_append(t->headers, line.p);
}

static void set_request(struct transfer *t)
{
    const struct http_call *call = t->call;
    CURL *easy = t->easy;
    add_host_header(t);
    for (size_t i = 0; call->headers && call->headers[i]; i++)
        t->headers = curl_slist_append(t->headers, call->headers[i]);
    t->headers =
        curl_slist_append(t->headers, "Expect:"); /* otherwise larger bodies wait a second */
    curl_easy_setopt(easy, CURLOPT_HTTPHEADER, t->headers);
    curl_easy_setopt(easy, CURLOPT_URL, call->url);
    curl_easy_setopt(easy, CURLOPT_PATH_AS_IS, 1L); /* the target is signed */
    if (call->method == PUT || call->method == POST) {
        curl_easy_setopt(easy, CURLOPT_POSTFIELDS, call->body.n ? call->body.p : "");
        curl_easy_setopt(easy, CURLOPT_POSTFIELDSIZE_LARGE, (curl_off_t)call->body.n);
    }
    if (call->method == HEAD)
        curl_easy_setopt(easy, CURLOPT_NOBODY, 1L);
    else
        curl_easy_setopt(easy, CURLOPT_CUSTOMREQUEST, method_names[call->method]);
}

static void set_reply(struct transfer *t)
{
    CURL *easy = t->easy;
    curl_easy_setopt(easy, CURLOPT_HEADERFUNCTION, on_header);
    curl_easy_setopt(easy, CURLOPT_HEADERDATA, t);
    curl_easy_setopt(easy, CURLOPT_WRITEFUNCTION, on_body);
    curl_easy_setopt(easy, CURLOPT_WRITEDATA, t);
    curl_easy_setopt(easy, CURLOPT_SUPPRESS_CONNECT_HEADERS, 1L);
    curl_easy_setopt(easy, CURLOPT_ERRORBUFFER, t->why);
    curl_easy_setopt(easy, CURLOPT_PRIVATE, t);
}

static void set_connection(struct transfer *t, const char *connect_to)
{
    const struct http_client *c = t->client;
    CURL *easy = t->easy;
    t->connect_to = curl_slist_append(NULL, connect_to);
    curl_easy_setopt(easy, CURLOPT_CONNECT_TO, t->connect_to);
    curl_easy_setopt(easy, CURLOPT_PROXY, c->proxy ? c->proxy : ""); /* never the environment's */
    curl_easy_setopt(easy, CURLOPT_NOPROXY, "");
    curl_easy_setopt(easy, CURLOPT_PROTOCOLS_STR, t->call->allow_plain ? "http,https" : "https");
    curl_easy_setopt(easy, CURLOPT_NOSIGNAL, 1L);
    curl_easy_setopt(easy, CURLOPT_MAXAGE_CONN, (long)IDLE_CONNECTION_S);
    curl_easy_setopt(easy, CURLOPT_HTTP_VERSION, (long)CURL_HTTP_VERSION_2TLS);
    curl_easy_setopt(easy, CURLOPT_SSLVERSION,
                     (long)(c->only_tls13 ? CURL_SSLVERSION_TLSv1_3 : CURL_SSLVERSION_TLSv1_2));
    curl_easy_setopt(easy, CURLOPT_SSL_VERIFYPEER, c->verify ? 1L : 0L);
    curl_easy_setopt(easy, CURLOPT_SSL_VERIFYHOST, c->verify ? 2L : 0L);
    /* This store is read once; libcurl would read the files again for each connection. */
    curl_easy_setopt(easy, CURLOPT_CAINFO, NULL);
    curl_easy_setopt(easy, CURLOPT_CAPATH, NULL);
    curl_easy_setopt(easy, CURLOPT_SSL_CTX_FUNCTION, use_authorities);
    curl_easy_setopt(easy, CURLOPT_SSL_CTX_DATA, c);
}

const struct err *transfer_create(struct http_client *c, const struct http_call *call,
                                  const char *connect_to, int64_t deadline_ms, int64_t connect_ms,
                                  struct transfer **ret)
{
    int64_t left = deadline_ms - mono_ms();
    if (left <= 0)
        return err(ERR_CONNECTION_TIMEOUT, "The other server did not answer in time");
    CURL *easy = curl_easy_init();
    if (!easy)
        abort();
    struct transfer *t = mem_zalloc(sizeof *t);
    *t = (struct transfer){.client = c, .call = call, .easy = easy, .deadline_ms = deadline_ms};
    const char *authority = strstr(call->url, "://");
    t->source = authority ? hash_bytes(authority, strcspn(authority + 3, "/?#") + 3) : 0;
    cond_init(&t->has_ended);
    set_request(t);
    set_reply(t);
    set_connection(t, connect_to);
    curl_easy_setopt(easy, CURLOPT_TIMEOUT_MS, (long)left);
    curl_easy_setopt(easy, CURLOPT_CONNECTTIMEOUT_MS, (long)connect_ms);
    *ret = t;
    return NULL;
}

void transfer_destroy(struct transfer *t)
{
    if (!t)
        return;
    curl_easy_cleanup(t->easy);
    curl_slist_free_all(t->headers);
    curl_slist_free_all(t->connect_to);
    pthread_cond_destroy(&t->has_ended);
    buf_finish(&t->body);
    budget_give_back(&replies, t->source, t->drawn);
    buf_finish(&t->head);
    free(t);
}
