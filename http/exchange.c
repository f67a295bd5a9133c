/* libmicrohttpd's callbacks: a connection's exchange from its first byte to its last. They run in
 * the loop's thread. libmicrohttpd calls the access handler when the head is complete, then for
 * each piece of the body, then once more; only in these later calls may the connection be
 * suspended. */
#include "base/clock.h"
#include "base/log.h"
#include "base/mem.h"
#include "http/internal.h"

#include <unistd.h>

static void set_phase(struct exchange *ex, enum phase phase)
{
    ex->phase = phase;
    ex->phase_since_ms = mono_unmoved_ms();
}

static void open_connection(struct daemon_slot *slot, struct MHD_Connection *c, void **context)
{
    struct loop *l = slot->loop;
    struct exchange *ex = mem_zalloc(sizeof *ex);
    ex->server = l->server;
    ex->loop = l;
    ex->daemon = slot;
    slot->connections_n++;
    ex->mhd = c;
    ex->fd = l->arriving.fd;
    ex->key = l->arriving.key;
    l->arriving.fd = -1; /* taken */
    ex->secure = slot->tls;
    ex->rq.exchange = ex;
    ex->rq.upload_fd = -1;
    ex->rq.waiter.wake = pool_wake;
    const struct sockaddr *sa = (const struct sockaddr *)&l->arriving.address;
    ex->peer_is_local = !address_of_socket(sa, &ex->peer);
    set_phase(ex, PHASE_HEAD);
    ex->after = l->connections;
    if (ex->after)
        ex->after->before = ex;
    l->connections = ex;
    loop_watch_hang_up(ex);
    atomic_fetch_add(&l->server->metrics.accepted, 1);
    *context = ex;
}

static void drop_response(struct exchange *ex)
{
    if (ex->response)
        MHD_destroy_response(ex->response);
    ex->response = NULL;
}

void exchange_destroy(struct exchange *ex)
{
    drop_response(ex);
    stream_destroy(ex);
    body_free(ex);
    free(ex->uri);
    free(ex);
}

static void close_connection(struct exchange *ex)
{
    struct loop *l = ex->loop;
    loop_forget_body(ex);
    loop_forget_hang_up(ex); /* a lingering copy of the socket would keep it alive */
    if (ex->unread_body)
        linger_begin(ex);
    if (ex->before)
        ex->before->after = ex->after;
    else
        l->connections = ex->after;
    if (ex->after)
        ex->after->before = ex->before;
    ex->daemon->connections_n--;
    connections_remove(l->server, l, ex->key);
    if (!stream_on_closed(ex))
        exchange_destroy(ex);
}

void exchange_on_connection(void *slot, struct MHD_Connection *c, void **context,
                            enum MHD_ConnectionNotificationCode what)
{
    if (what == MHD_CONNECTION_NOTIFY_STARTED)
        open_connection(slot, c, context);
    else
        close_connection(*context);
}

/* The only callback with the URI before libmicrohttpd splits it. Its copy is cut off before the
 * query, which it then does not parse: the records would take memory of the connection, and when
 * that runs out libmicrohttpd does not answer at all. */
void *exchange_on_uri(void *slot, const char *uri, struct MHD_Connection *c)
{
    struct exchange *ex =
        MHD_get_connection_info(c, MHD_CONNECTION_INFO_SOCKET_CONTEXT)->socket_context;
    size_t n = uri ? strlen(uri) : 0;
    if (n >= ex->uri_size) {
        ex->uri_size = n + 1;
        ex->uri = mem_realloc_array(ex->uri, ex->uri_size, 1);
    }
    if (n)
        memcpy(ex->uri, uri, n);
    ex->uri[n] = '\0';
    char *query = n ? strchr((char *)uri, '?') : NULL;
    if (query)
        query[1] = '\0';
    return ex;
}

static bool parse_method(const char *text, enum http_method *ret)
{
    for (int m = 0; m < METHOD_COUNT; m++) {
        if (strcmp(http_method_names[m], text) == 0) {
            *ret = (enum http_method)m;
            return true;
        }
    }
    return false;
}

/* "/path", or for clients that take this server for a proxy "http://host/path" (RFC 9112, section
 * 3.2.2). */
static const char *path_of(const char *uri)
{
    const char *authority = strstr(uri, "://");
    if (*uri == '/' || !authority)
        return uri;
    const char *path = strchr(authority + 3, '/');
    return path ? path : "/";
}

static void split_uri(struct exchange *ex)
{
    char *question = strchr(ex->uri, '?');
    ex->query = question ? question + 1 : NULL;
    if (question)
        *question = '\0';
    ex->rq.path = path_of(ex->uri);
}

/* Finds the route. Every path answers OPTIONS (client-server-api, "Web Browser Clients"). */
static const struct err *find_route(struct exchange *ex, const char *method)
{
    struct request *rq = &ex->rq;
    bool known = parse_method(method, &rq->method);
    router_find(ex->server->router, known ? rq->method : OPTIONS, str_of(rq->path), &ex->match);
    rq->route = known && ex->match.pattern ? ex->match.pattern->route : NULL;
    rq->pool = rq->route ? rq->route->pool : POOL_CLIENT;
    if (rq->route || (known && rq->method == OPTIONS))
        return NULL;
    if (ex->match.other_method || ex->match.pattern)
        return err(ERR_METHOD_NOT_ALLOWED, "Unrecognized request: not with this method");
    return err(ERR_UNRECOGNIZED, "Unrecognized request");
}

/* Logs a request without a route. The query may contain a token, so it is left out. */
static void log_unrouted(const struct exchange *ex, const char *method)
{
    char address[INET6_ADDRSTRLEN], path[256];
    address_write(&ex->peer, address);
    snprintf(path, sizeof path, "%s", ex->rq.path);
    const struct log_field fields[] = {
        {"method", method},
        {"path", path},
        {"status", .number = ex->status, .is_number = true},
        {"remote_address", address},
    };
    log_record(LOG_DEBUG, fields, sizeof fields / sizeof *fields, "%.20s %s %d: no such endpoint",
               method, path, ex->status);
}

static void exchange_begin(struct exchange *ex, const char *method, const char *url,
                           const char *version)
{
    ex->body_max = 0;
    ex->keeps_body = ex->unread_body = ex->admitted = ex->charged = ex->last_run = false;
    ex->bearer_is_hashed = false;
    ex->received = ex->busy_us = 0;
    ex->id[0] = '\0';
    ex->rq.started_mono_us = mono_us();
    ex->rq.runs = 0;
    set_phase(ex, PHASE_BODY);
    ex->rq.route = NULL;
    const struct err *e = head_check(ex, method, url, version);
    split_uri(ex);
    if (!e)
        e = body_measure(ex, version);
    ex->ends = e != NULL; /* where the next request begins is not certain */
    if (e)
        ex->announced = BODY_UNKNOWN;
    if (ex->announced)
        loop_await_body(ex);
    if (!e)
        e = find_route(ex, method);
    if (!e)
        e = body_begin(ex);
    if (e || !ex->rq.route)
        reply_now(ex, e);
    if (e && !ex->rq.route && log_wants(LOG_DEBUG))
        log_unrouted(ex, method);
}

static enum MHD_Result send_reply(struct exchange *ex)
{
    struct MHD_Response *response = ex->response;
    ex->response = NULL;
    set_phase(ex, PHASE_REPLY);
    enum MHD_Result r = queue_response(ex->mhd, ex->status, response);
    MHD_destroy_response(response);
    return r;
}

/* A body that is known to be short is read and dropped, so that the connection can be reused; for
 * others the error is sent at once, and the connection ends. */
static bool refuse_at_once(const struct exchange *ex)
{
    enum { SHORT_BODY = 64 * 1024 };
    return ex->announced == BODY_UNKNOWN || ex->announced > SHORT_BODY;
}

static enum MHD_Result submit(struct exchange *ex, enum phase phase)
{
    struct http_server *s = ex->server;
    set_phase(ex, phase);
    if (!ex->id[0])
        source_identify(ex);
    atomic_fetch_add(&s->metrics.working,
                     1); /* first: http_server_stop reads it after `aborting` */
    if (atomic_load(&s->aborting)) {
        atomic_fetch_sub(&s->metrics.working, 1);
        return MHD_NO;
    }
    MHD_suspend_connection(ex->mhd);
    const struct err *e = pool_submit_new(ex, source_claimed(ex));
    if (e) { /* no worker has it */
        reply_now(ex, e);
        atomic_fetch_sub(&s->metrics.working, 1);
        loop_deliver(ex);
    }
    return MHD_YES;
}

static enum MHD_Result take_body(struct exchange *ex, const char *bytes, size_t *n)
{
    if (ex->rq.route && ex->rq.route->body == BODY_FILE && !ex->admitted && !ex->response)
        return submit(ex, PHASE_ADMIT); /* the bytes are shown again afterwards */
    ex->received += (int64_t)*n;
    if (!ex->response) {
        const struct err *e = body_add(ex, bytes, *n);
        if (e)
            reply_now(ex, e);
    }
    *n = 0;
    /* A refused body is still read, so that the client receives the error, but not for ever. */
    enum { REFUSED_MAX = 4 * 1024 * 1024 };
    if (ex->response && ex->received > (int64_t)ex->body_max + REFUSED_MAX)
        return MHD_NO;
    return MHD_YES;
}

static enum MHD_Result finish_body(struct exchange *ex)
{
    atomic_fetch_add(&ex->server->metrics.active, 1);
    ex->counted_active = true;
    if (!ex->response) {
        const struct err *e = body_finish(ex);
        if (e)
            reply_now(ex, e);
    }
    return ex->response ? send_reply(ex) : submit(ex, PHASE_WORK);
}

enum MHD_Result exchange_on_access(void *slot, struct MHD_Connection *c, const char *url,
                                   const char *method, const char *version, const char *upload,
                                   size_t *upload_n, void **context)
{
    struct exchange *ex = *context;
    switch (ex->phase) {
    case PHASE_HEAD:
        exchange_begin(ex, method, url, version);
        if (ex->response && refuse_at_once(ex)) {
            ex->unread_body = true;
            return send_reply(ex);
        }
        return MHD_YES;
    case PHASE_ADMIT: /* resumed */
        set_phase(ex, PHASE_BODY);
        return *upload_n ? take_body(ex, upload, upload_n) : finish_body(ex);
    case PHASE_WORK: /* resumed */
        return ex->response ? send_reply(ex) : MHD_NO;
    case PHASE_BODY:
        return *upload_n ? take_body(ex, upload, upload_n) : finish_body(ex);
    case PHASE_REPLY:
        break;
    }
    return MHD_NO;
}

void exchange_on_completed(void *slot, struct MHD_Connection *c, void **context,
                           enum MHD_RequestTerminationCode why)
{
    struct exchange *ex = *context;
    if (ex->counted_active)
        atomic_fetch_sub(&ex->server->metrics.active, 1);
    ex->counted_active = false;
    if (stream_on_completed(ex))
        return; /* the worker ends it */
    drop_response(ex);
    stream_destroy(ex);
    body_free(ex);
    set_phase(ex, PHASE_HEAD);
}
