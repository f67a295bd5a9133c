/* Receives a request's body, bounded: into memory, or for uploads into a file without a name.
 *
 * A few KiB are part of the connection. The rest is drawn, until the request has been answered,
 * from a budget that all sources share; so neither many connections nor slow senders take more
 * memory than that. */
#include "base/log.h"
#include "base/mem.h"
#include "base/new_file.h"
#include "http/internal.h"

#include <errno.h>
#include <string.h>
#include <strings.h>
#include <unistd.h>

static const struct err *body_too_large(size_t max)
{
    return err(ERR_TOO_LARGE, "The body is larger than %zu bytes", max);
}

struct framing {
    const char *length, *encoding; /* Content-Length, Transfer-Encoding */
    bool contradictory;            /* or given twice */
};

static void body_note(const char *value, const char **slot, bool *ret_contradictory)
{
    if (*slot)
        *ret_contradictory = true;
    *slot = value;
}

static enum MHD_Result add_framing(void *cls, enum MHD_ValueKind kind, const char *name,
                                   const char *value)
{
    struct framing *f = cls;
    if (value && strcasecmp(name, "Content-Length") == 0)
        body_note(value, &f->length, &f->contradictory);
    else if (value && strcasecmp(name, "Transfer-Encoding") == 0)
        body_note(value, &f->encoding, &f->contradictory);
    return MHD_YES;
}

/* libmicrohttpd is lenient here; a proxy in front that reads the same head differently could be
 * made to see two requests where this server sees one (RFC 9112, section 11.2). */
const struct err *body_measure(struct exchange *ex, const char *version)
{
    struct framing f = {0};
    MHD_get_connection_values(ex->mhd, MHD_HEADER_KIND, add_framing, &f);
    ex->announced = BODY_UNKNOWN;
    if (f.contradictory || (f.length && f.encoding) ||
        (f.encoding && strcasecmp(f.encoding, "chunked") != 0) ||
        (f.encoding && strcmp(version, "HTTP/1.0") == 0))
        return err(ERR_UNKNOWN, "It is not clear where the request's body ends");
    if (f.encoding)
        return NULL;
    int64_t n = 0;
    if (f.length && (!*f.length || f.length[strspn(f.length, "0123456789")]))
        return err(ERR_UNKNOWN, "It is not clear where the request's body ends");
    if (f.length && !str_to_int64(str_of(f.length), &n))
        return err(ERR_TOO_LARGE, "The request's body is too large");
    ex->announced = n;
    return NULL;
}

size_t route_body_max(const struct route *r, size_t setting)
{
    bool is_tree = r->body == BODY_JSON || r->body == BODY_MAYBE;
    if (r->body_max > 0)
        return (size_t)r->body_max;
    return is_tree && r->body_max != BODY_AS_SET && setting > BODY_SMALL ? BODY_SMALL : setting;
}

const struct err *body_begin(struct exchange *ex)
{
    const struct route *route = ex->rq.route;
    if (!route)
        return NULL;
    const struct http_server *s = ex->server;
    ex->body_max = route->body == BODY_FILE ? s->upload_max : route_body_max(route, s->body_max);
    ex->keeps_body = route->body != BODY_NONE;
    int64_t n = ex->announced;
    if (n > 0 && (size_t)n > ex->body_max)
        return body_too_large(ex->body_max);
    /* Memory is allocated for received bytes, not for announced ones. */
    enum { AT_ONCE = 16 * 1024 };
    if (ex->keeps_body && route->body != BODY_FILE && n > 0)
        buf_reserve(&ex->body, n < AT_ONCE ? (size_t)n : AT_ONCE);
    return NULL;
}

static const struct err *body_open_file(struct exchange *ex)
{
    const char *folder = ex->server->upload_dir;
    if (!folder)
        return err_internal("no upload_dir is configured");
    ex->rq.upload_fd = new_file_open(folder);
    if (ex->rq.upload_fd < 0)
        return err_storage(errno, "cannot make a file in %s", folder);
    return NULL;
}

static const struct err *body_add_to_file(struct exchange *ex, const char *bytes, size_t n)
{
    if (ex->rq.upload_fd < 0)
        TRY(body_open_file(ex));
    while (n) {
        ssize_t w = write(ex->rq.upload_fd, bytes, n);
        if (w < 0 && errno == EINTR)
            continue;
        if (w <= 0)
            return err_storage(errno, "cannot write an upload");
        bytes += w;
        n -= (size_t)w;
    }
    return NULL;
}

static void body_give_back(struct exchange *ex)
{
    if (ex->body_drawn)
        budget_give_back(&ex->server->bodies, ex->body_of, ex->body_drawn);
    ex->body_drawn = 0;
}

/* The body of a source that has more than is left for others is refused. */
static bool body_draw(struct exchange *ex, size_t bytes)
{
    enum { WITH_CONNECTION = 4096, STEP = 16384 };
    struct budget *all = &ex->server->bodies;
    size_t need = budget_steps(bytes, WITH_CONNECTION, STEP);
    if (!need)
        return true;
    if (!ex->body_drawn) {
        if (!ex->id[0])
            source_identify(ex);
        ex->body_of = source_certain(ex);
    }
    return !budget_is_over(all, ex->body_of) &&
           budget_grow(all, ex->body_of, &ex->body_drawn, need);
}

static const struct err *add_to_memory(struct exchange *ex, const char *bytes, size_t n)
{
    enum { RETRY_MS = 1000 };
    if (body_draw(ex, ex->body.n + n)) {
        buf_add(&ex->body, bytes, n);
        return NULL;
    }
    buf_finish(&ex->body);
    body_give_back(ex);
    return err_limit_exceeded(RETRY_MS);
}

const struct err *body_add(struct exchange *ex, const char *bytes, size_t n)
{
    if ((size_t)ex->received > ex->body_max)
        return body_too_large(ex->body_max);
    if (!ex->keeps_body)
        return NULL;
    if (ex->rq.route->body == BODY_FILE)
        return body_add_to_file(ex, bytes, n);
    return add_to_memory(ex, bytes, n);
}

const struct err *body_finish(struct exchange *ex)
{
    ex->rq.raw = buf_str(&ex->body);
    if (ex->rq.route->body != BODY_FILE)
        return NULL;
    if (ex->rq.upload_fd < 0)
        TRY(body_open_file(ex)); /* an empty upload */
    ex->rq.upload_bytes = ex->received;
    if (lseek(ex->rq.upload_fd, 0, SEEK_SET) < 0)
        return err_internal("cannot rewind an upload: %s", strerror(errno));
    return NULL;
}

void body_free(struct exchange *ex)
{
    buf_finish(&ex->body);
    body_give_back(ex);
    ex->rq.raw = (struct str){0};
    if (ex->rq.upload_fd >= 0)
        new_file_close(ex->rq.upload_fd);
    ex->rq.upload_fd = -1;
    ex->rq.upload_bytes = 0;
}
