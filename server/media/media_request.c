#include "server/media/media_request.h"

#include "base/clock.h"
#include "matrix/id.h"
#include "server/media/disposition.h"
#include "server/media/repo.h"

#include <unistd.h>

enum {
    WAIT_MS = 20000, /* the spec's default */
    WAIT_MAX_MS = 60000,
    POLL_MS = 1000, /* for uploads to other nodes, which wake nobody here */
};

bool media_id_is_valid(const char *media_id)
{
    size_t n = strspn(media_id, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_-");
    return n && n <= ID_LENGTH_MAX && !media_id[n];
}

static const struct err *not_found(void)
{
    return err(ERR_NOT_FOUND, "The media was not found");
}

/* How long the caller is ready to wait. A longer wait than we allow is shortened. */
static const struct err *read_timeout(const struct request *rq, int64_t *ret)
{
    int64_t ms;
    TRY(request_query_int(rq, "timeout_ms", WAIT_MS, 0, INT64_MAX, &ms));
    *ret = ms < WAIT_MAX_MS ? ms : WAIT_MAX_MS;
    return NULL;
}

static const struct err *wait_for_upload(struct request *rq, struct reply *rp, int64_t timeout_ms)
{
    int64_t now = mono_ms(), until = rq->started_mono_us / 1000 + timeout_ms;
    if (now >= until || request_is_stopping(rq))
        return err(ERR_NOT_YET_UPLOADED, "The media has not been uploaded yet");
    return reply_wait(rp, until < now + POLL_MS ? until : now + POLL_MS);
}

static const struct err *find(struct request *rq, const char *server, const char *media_id,
                              struct media *ret)
{
    bool found;
    TRY(media_find(job_tx(job_of(rq)), server, media_id, &found, ret));
    if (found)
        return NULL;
    if (strcmp(server, job_of(rq)->store->config->server_name) != 0)
        return err(ERR_NOT_FOUND, "Media of other servers cannot be fetched");
    return not_found();
}

const struct err *media_of_request(struct request *rq, struct reply *rp, enum media_access access,
                                   const struct media **ret)
{
    const char *server = request_param(rq, "server"), *media_id = request_param(rq, "media");
    struct media_repo *repo = job_of(rq)->store->media;
    struct media m;
    int64_t timeout_ms;
    bool unused;
    TRY(read_timeout(rq, &timeout_ms));
    TRY(request_query_bool(rq, "allow_remote", true, &unused));
    TRY(request_query_bool(rq, "allow_redirect", false, &unused));
    if (!id_is_server_name(str_of(server)) || !media_id_is_valid(media_id))
        return not_found();
    TRY(find(rq, server, media_id, &m));
    if (!m.sha256.p) { /* before looking again, or an upload in between wakes nobody */
        media_repo_await_upload(repo, &rq->waiter, media_id);
        TRY(find(rq, server, media_id, &m));
    }
    if (!m.sha256.p && m.expires_ts <= now_ms())
        return not_found();
    bool frozen = job_of(rq)->store->config->enable_authenticated_media && m.authenticated;
    if (access == MEDIA_FROZEN && frozen)
        return not_found();
    struct media *found = m.sha256.p ? arena_alloc(rq->arena, sizeof *found) : NULL;
    if (found)
        *found = m;
    *ret = found;
    return found ? NULL : wait_for_upload(rq, rp, timeout_ms);
}

/* ---- replies ---- */

/* The policy of the specification: nothing that is sent here runs or loads anything else. */
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

/* What an mxc:// URI names never changes, but it can be removed: a day is a compromise. */
static const char *const caching[] = {
    [MEDIA_AUTHENTICATED] = "private, max-age=86400, immutable",
    [MEDIA_FROZEN] = "public, max-age=86400, s-maxage=86400, immutable",
};

/* If-None-Match is a list of quoted tags, or "*"; hashes hold no quotes. */
static bool has_it_already(const struct request *rq, const char *etag)
{
    const char *known = request_header(rq, "If-None-Match");
    return known && (strcmp(known, "*") == 0 || strstr(known, etag));
}

const struct err *media_reply(struct reply *rp, enum media_access access,
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
