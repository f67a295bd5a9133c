#include "server/media/media_request.h"
#include "server/server.h"

#include "base/clock.h"
#include "matrix/id.h"
#include "server/media/disposition.h"
#include "server/media/remote.h"
#include "server/media/repo.h"
#include "server/media/retention.h"

#include <unistd.h>

enum {
    WAIT_MS = 20000, /* the spec's default */
    WAIT_MAX_MS = 60000,
    FETCH_WAIT_MS = 60000, /* for media of other servers */
    POLL_MS = 1000,        /* for uploads to other nodes, which wake no request on this one */
    PIECE_BYTES = 64 * 1024,
    BOUNDARY_LETTERS = 32,
};

bool media_id_is_valid(const char *media_id)
{
    size_t n = strspn(media_id, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_-");
    return n && n <= ID_LENGTH_MAX && !media_id[n];
}

static const struct err *media_request_not_found(void)
{
    return err(ERR_NOT_FOUND, "The media was not found");
}

/* How long the caller is ready to wait, up to the server's maximum. */
static const struct err *read_timeout(const struct request *rq, int64_t *ret)
{
    int64_t ms;
    TRY(request_query_int(rq, "timeout_ms", WAIT_MS, 0, INT64_MAX, &ms));
    *ret = ms < WAIT_MAX_MS ? ms : WAIT_MAX_MS;
    return NULL;
}

static const struct err *check_flags(const struct request *rq)
{
    bool unused;
    TRY(request_query_bool(rq, "allow_remote", true, &unused));
    return request_query_bool(rq, "allow_redirect", false, &unused);
}

static bool is_frozen_for_new(struct request *rq)
{
    return job_of(rq)->config->enable_authenticated_media;
}

static const struct err *wait_for_upload(struct request *rq, struct reply *rp, int64_t timeout_ms)
{
    int64_t now = mono_ms(), until = rq->started_mono_us / 1000 + timeout_ms;
    if (now >= until || request_is_stopping(rq))
        return err(ERR_NOT_YET_UPLOADED, "The media has not been uploaded yet");
    return reply_wait(rp, until < now + POLL_MS ? until : now + POLL_MS);
}

/* *ret_found: false when there is no such row. Rows of other servers' media are always complete. */
static const struct err *media_request_find(struct request *rq, const char *server,
                                            const char *media_id, bool *ret_found,
                                            struct media *ret)
{
    return media_find(job_tx(job_of(rq)), server, media_id, ret_found, ret);
}

/* Local media. ret->sha256.p stays NULL while it is not uploaded: then the request waits for it. */
static const struct err *find_ours(struct request *rq, const char *media_id, struct media *ret)
{
    const char *server = job_of(rq)->config->server_name;
    bool found;
    TRY(media_request_find(rq, server, media_id, &found, ret));
    if (found && !ret->sha256.p) { /* before reading again, or an upload in between is missed */
        media_repo_await_upload(job_of(rq)->server->media, &rq->waiter, media_id);
        TRY(media_request_find(rq, server, media_id, &found, ret));
    }
    return !found || (!ret->sha256.p && ret->expires_ts <= now_ms()) ? media_request_not_found()
                                                                     : NULL;
}

/* Another server's media. *ret_here is false when the reply is made: to wait until it is fetched.
 * Media fetched now is not for the old endpoints, once they are frozen. */
static const struct err *media_request_find_theirs(struct request *rq, struct reply *rp,
                                                   enum media_access access, const char *server,
                                                   const char *media_id, bool *ret_here,
                                                   struct media *ret)
{
    int64_t until = rq->started_mono_us / 1000 + FETCH_WAIT_MS;
    bool may_fetch;
    TRY(request_query_bool(rq, "allow_remote", true, &may_fetch));
    TRY(media_request_find(rq, server, media_id, ret_here, ret));
    if (*ret_here)
        return remote_media_sent(job_of(rq), ret);
    if (!may_fetch || (access == MEDIA_FROZEN && is_frozen_for_new(rq)))
        return media_request_not_found();
    TRY(media_fetch(rq, rp, server, media_id, until, ret_here));
    if (!*ret_here)
        return NULL;
    TRY(media_request_find(rq, server, media_id, ret_here, ret));
    return *ret_here ? NULL : media_request_not_found();
}

const struct err *media_of_request(struct request *rq, struct reply *rp, enum media_access access,
                                   const struct media **ret)
{
    const struct config *config = job_of(rq)->config;
    const char *server =
        access == MEDIA_FEDERATION ? config->server_name : request_param(rq, "server");
    const char *media_id = request_param(rq, "media");
    struct media m = {0};
    int64_t timeout_ms;
    bool here = true;
    TRY(read_timeout(rq, &timeout_ms));
    TRY(check_flags(rq));
    *ret = NULL;
    if (!id_is_server_name(str_of(server)) || !media_id_is_valid(media_id))
        return media_request_not_found();
    if (config_is_own_server(config, server))
        TRY(find_ours(rq, media_id, &m));
    else
        TRY(media_request_find_theirs(rq, rp, access, server, media_id, &here, &m));
    if (!here)
        return NULL;
    if (access == MEDIA_FROZEN && is_frozen_for_new(rq) && m.authenticated)
        return media_request_not_found();
    if (!m.sha256.p)
        return wait_for_upload(rq, rp, timeout_ms);
    struct media *found = arena_alloc(rq->arena, sizeof *found);
    *found = m;
    *ret = found;
    return NULL;
}

/* ---- replies ---- */

/* The policy of the specification: content cannot run or load anything. */
#define POLICY                                                                                     \
    "sandbox; default-src 'none'; script-src 'none'; plugin-types application/pdf; "               \
    "style-src 'unsafe-inline'; media-src 'self'; object-src 'self';"

static const struct {
    const char *name, *value;
} headers[] = {
    {"Content-Security-Policy", POLICY},
    {"X-Content-Type-Options", "nosniff"},
    {"Cross-Origin-Resource-Policy", "cross-origin"},
    {"Referrer-Policy", "no-referrer"},
    {"X-Robots-Tag", "noindex, nofollow, noarchive, noimageindex"},
};

/* The content of an mxc:// URI never changes, but it can be removed: a day is a compromise. */
static const char *const caching[] = {
    [MEDIA_AUTHENTICATED] = "private, max-age=86400, immutable",
    [MEDIA_FROZEN] = "public, max-age=86400, s-maxage=86400, immutable",
};

/* If-None-Match is a list of quoted tags, or "*"; hashes contain no quotes. */
static bool has_it_already(const struct request *rq, const char *etag)
{
    const char *known = request_header(rq, "If-None-Match");
    return known && (strcmp(known, "*") == 0 || strstr(known, etag));
}

static const struct err *reply_content(struct reply *rp, enum media_access access,
                                       const struct media_file *file)
{
    struct arena *a = rp->rq->arena;
    buf_auto struct buf disposition = {0};
    const char *etag = arena_printf(a, "\"%s\"", file->etag);
    disposition_add(&disposition, file->content_type, file->file_name);
    for (size_t i = 0; i < sizeof headers / sizeof *headers; i++)
        reply_header(rp, headers[i].name, headers[i].value);
    reply_header(rp, "Content-Disposition", disposition.p);
    reply_header(rp, "Cache-Control", caching[access]);
    reply_header(rp, "ETag", etag);
    if (has_it_already(rp->rq, etag)) {
        close(file->fd);
        reply_header(rp, "Content-Type", file->content_type);
        return reply_body(rp, 304);
    }
    return reply_file(rp, file->fd, file->bytes, file->content_type);
}

/* ---- to other servers ---- */

/* Streams the file's bytes into the reply. */
static const struct err *add_file(struct reply *rp, const struct media_file *file)
{
    for (int64_t done = 0; done < file->bytes;) {
        buf_reserve(&rp->body, PIECE_BYTES);
        ssize_t n = pread(file->fd, rp->body.p + rp->body.n, PIECE_BYTES, done);
        if (n <= 0)
            return err_internal("media store: a file ends early");
        rp->body.n += (size_t)n;
        done += n;
        TRY(reply_flush(rp));
    }
    return NULL;
}

/* server-server-api, "Content Repository": metadata, of which there is none yet, and the content.
 */
static const struct err *add_parts(struct reply *rp, const struct media_file *file,
                                   const char *boundary)
{
    struct buf *b = &rp->body;
    buf_printf(b,
               "--%s\r\nContent-Type: application/json\r\n\r\n{}\r\n--%s\r\n"
               "Content-Type: %s\r\nContent-Disposition: ",
               boundary, boundary, file->content_type);
    disposition_add(b, file->content_type, file->file_name);
    BUF_LIT(b, "\r\n\r\n");
    TRY(add_file(rp, file));
    buf_printf(b, "\r\n--%s--\r\n", boundary);
    return reply_body(rp, 200);
}

static const struct err *reply_parts(struct reply *rp, const struct media_file *file)
{
    const char *boundary = id_random(rp->rq->arena, BOUNDARY_LETTERS);
    reply_header(rp, "Content-Type",
                 arena_printf(rp->rq->arena, "multipart/mixed; boundary=%s", boundary));
    const struct err *e = add_parts(rp, file, boundary);
    close(file->fd);
    return e;
}

const struct err *media_reply(struct reply *rp, enum media_access access,
                              const struct media_file *file)
{
    return access == MEDIA_FEDERATION ? reply_parts(rp, file) : reply_content(rp, access, file);
}
