/* A handler's reply, and how it becomes libmicrohttpd's response. */
#include "http/header_value.h"
#include "http/internal.h"

#include <strings.h>
#include <unistd.h>

static void set_outcome(struct reply *rp, enum outcome_kind kind, int status)
{
    rp->status = status;
    rp->outcome->kind = kind;
}

const struct err *reply_json(struct reply *rp, int status, const char *format, ...)
{
    json_error_t why;
    va_list ap;
    va_start(ap, format);
    json_t *v = json_vpack_ex(&why, 0, format, ap);
    va_end(ap);
    if (!v)
        return err_internal("reply_json(\"%s\"): %s", format, why.text);
    return reply_tree(rp, status, v);
}

const struct err *reply_tree(struct reply *rp, int status, json_t *owned)
{
    buf_clear(&rp->body);
    buf_add_json(&rp->body, owned);
    json_decref(owned);
    return reply_body(rp, status);
}

const struct err *reply_empty(struct reply *rp)
{
    buf_clear(&rp->body);
    BUF_LIT(&rp->body, "{}");
    return reply_body(rp, 200);
}

const struct err *reply_body(struct reply *rp, int status)
{
    set_outcome(rp, OUTCOME_BODY, status);
    return NULL;
}

static struct reply_header *reply_find_header(const struct reply *rp, const char *name)
{
    for (size_t i = 0; i < rp->outcome->headers_n; i++)
        if (strcasecmp(rp->outcome->headers[i].name, name) == 0)
            return &rp->outcome->headers[i];
    return NULL;
}

void reply_header(struct reply *rp, const char *name, const char *value)
{
    struct reply_outcome *o = rp->outcome;
    struct reply_header *h = strcasecmp(name, "Set-Cookie") ? reply_find_header(rp, name) : NULL;
    if (!h && o->headers_n < REPLY_HEADERS_MAX)
        h = &o->headers[o->headers_n++];
    if (h)
        *h = (struct reply_header){arena_strdup(rp->rq->arena, name),
                                   arena_strdup(rp->rq->arena, value)};
}

static const struct err *reply_unsatisfiable(struct reply *rp, int64_t bytes)
{
    reply_header(rp, "Content-Range",
                 arena_printf(rp->rq->arena, "bytes */%lld", (long long)bytes));
    return reply_body(rp, 416);
}

const struct err *reply_file(struct reply *rp, int fd, int64_t bytes, const char *content_type)
{
    struct reply_outcome *o = rp->outcome;
    const char *range = request_header(rp->rq, "Range");
    int64_t first = 0, last = bytes - 1;
    buf_clear(&rp->body);
    reply_header(rp, "Content-Type", content_type);
    reply_header(rp, "Accept-Ranges", "bytes");
    /* If-Range needs a comparison that only the handler could make: the whole file is a valid
     * answer. */
    if (range && !request_header(rp->rq, "If-Range") &&
        !header_value_range(str_of(range), bytes, &first, &last)) {
        close(fd);
        return reply_unsatisfiable(rp, bytes);
    }
    bool whole = last - first + 1 == bytes;
    if (!whole)
        reply_header(rp, "Content-Range",
                     arena_printf(rp->rq->arena, "bytes %lld-%lld/%lld", (long long)first,
                                  (long long)last, (long long)bytes));
    o->fd = fd;
    o->offset = first;
    o->bytes = last - first + 1;
    set_outcome(rp, OUTCOME_FILE, whole ? 200 : 206);
    return NULL;
}

const struct err *reply_wait(struct reply *rp, int64_t deadline_mono_ms)
{
    rp->outcome->deadline_ms = deadline_mono_ms;
    rp->outcome->kind = OUTCOME_WAIT;
    return NULL;
}

bool route_may_move(const struct route *r, enum route_pool pool)
{
    return pool != POOL_CLIENT &&
           (r->moves_to == pool || (pool == POOL_REMOTE && r->who == WHO_SERVER));
}

const struct err *reply_elsewhere(struct reply *rp, enum route_pool pool)
{
    const struct route *route = rp->rq->route;
    if (!route_may_move(route, pool))
        return err_internal("%s moves to pool %s, but its route does not allow it", route->path,
                            http_pool_names[pool]);
    rp->outcome->pool = pool;
    rp->outcome->order = ORDER_USUAL;
    rp->outcome->kind = OUTCOME_MOVE;
    return NULL;
}

const struct err *reply_elsewhere_as(struct reply *rp, enum route_pool pool, enum queue_order order)
{
    TRY(reply_elsewhere(rp, pool));
    rp->outcome->order = order;
    return NULL;
}

/* CORS headers go on every reply (client-server-api, "Web Browser Clients"). */
static const struct reply_header defaults[] = {
    {"Content-Type", "application/json"},
    {"Access-Control-Allow-Origin", "*"},
    {"Access-Control-Allow-Methods", "GET, POST, PUT, DELETE, OPTIONS"},
    {"Access-Control-Allow-Headers", "X-Requested-With, Content-Type, Authorization"},
    {"Access-Control-Expose-Headers", "ETag, Location, Retry-After"},
};

void reply_add_headers(struct reply *rp, struct MHD_Response *response)
{
    for (size_t i = 0; i < sizeof defaults / sizeof *defaults; i++)
        if (!reply_find_header(rp, defaults[i].name))
            MHD_add_response_header(response, defaults[i].name, defaults[i].value);
    /* libmicrohttpd refuses values that would break out of their line; such a header is left out.
     */
    for (size_t i = 0; i < rp->outcome->headers_n; i++)
        MHD_add_response_header(response, rp->outcome->headers[i].name,
                                rp->outcome->headers[i].value);
    if (request_is_secure(rp->rq)) /* over TLS here or at a proxy (RFC 6797, 7.2) */
        MHD_add_response_header(response, "Strict-Transport-Security", "max-age=31536000");
    if (atomic_load(&rp->rq->exchange->server->leaving) || rp->rq->exchange->ends)
        MHD_add_response_header(response, "Connection", "close");
}

struct MHD_Response *reply_response(struct reply *rp)
{
    struct reply_outcome *o = rp->outcome;
    struct MHD_Response *response;
    if (o->kind == OUTCOME_FILE) {
        response =
            MHD_create_response_from_fd_at_offset64((uint64_t)o->bytes, o->fd, (uint64_t)o->offset);
        o->kind = OUTCOME_NONE; /* libmicrohttpd closes it */
    } else if (rp->body.n) {
        size_t n;
        char *bytes = buf_steal(&rp->body, &n);
        response = MHD_create_response_from_buffer_with_free_callback(n, bytes, free);
    } else {
        response = MHD_create_response_from_buffer(0, "", MHD_RESPMEM_PERSISTENT);
    }
    reply_add_headers(rp, response);
    return response;
}

void reply_drop(struct reply *rp)
{
    if (rp->outcome->kind == OUTCOME_FILE)
        close(rp->outcome->fd);
    rp->outcome->kind = OUTCOME_NONE;
    rp->outcome->headers_n = 0;
    buf_finish(&rp->body);
}
