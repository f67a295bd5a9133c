#include "federation/users/media.h"

#include "federation/federation.h"
#include "federation/peer/answers.h"
#include "federation/peer/path.h"
#include "federation/peer/request.h"
#include "federation/users/multipart.h"
#include "http/client/client.h"

#include <errno.h>
#include <sys/mman.h>
#include <unistd.h>

enum {
    TIMEOUT_MS = 120000,      /* in total */
    WRAPPING_MAX = 64 * 1024, /* what multipart adds to the content */
    REDIRECTS_MAX = 3,
    COPY_BYTES = 256 * 1024,
    UPLOAD_WAIT_MS = 20000 /* the other server may wait for an upload to it */
};

struct fetch {
    struct job *job;
    const char *server, *media_id;
    int64_t bytes_max;
    int fd;
};

static const struct err *file_failed(void)
{
    return err_internal("fetching media: %s", strerror(errno));
}

static const struct err *media_too_large(const struct fetch *f)
{
    return err(ERR_REMOTE_TOO_LARGE, "The media of %s is larger than %lld bytes", f->server,
               (long long)f->bytes_max);
}

static const struct err *empty_file(const struct fetch *f)
{
    return ftruncate(f->fd, 0) || lseek(f->fd, 0, SEEK_SET) < 0 ? file_failed() : NULL;
}

/* ---- requests ---- */

static const struct err *media_ask(const struct fetch *f, const char *path, bool is_signed,
                                   int64_t more_bytes, struct fed_reply *ret)
{
    struct fed_request r = {.server = f->server,
                            .method = GET,
                            .path = path,
                            .timeout_ms = TIMEOUT_MS,
                            .reply_max = (size_t)(f->bytes_max + more_bytes),
                            .unsigned_ = !is_signed,
                            .sink_fd = f->fd};
    TRY(empty_file(f));
    const struct err *e = federation_exchange(f->job, &r, ret);
    return e && e->code == ERR_TOO_LARGE ? media_too_large(f) : e;
}

static bool is_unknown_endpoint(const struct fed_reply *r)
{
    const char *errcode = json_text(r->json, "errcode");
    return (r->status == 404 || r->status == 405) &&
           (!errcode || strcmp(errcode, "M_UNRECOGNIZED") == 0);
}

static const struct err *check_status(const struct fetch *f, const struct fed_reply *r)
{
    const char *errcode = json_text(r->json, "errcode");
    if (r->status == 200)
        return NULL;
    if (errcode && strcmp(errcode, "M_NOT_YET_UPLOADED") == 0)
        return err(ERR_NOT_YET_UPLOADED, "The media has not been uploaded to %s yet", f->server);
    if (errcode && strcmp(errcode, "M_TOO_LARGE") == 0)
        return err(ERR_REMOTE_TOO_LARGE, "%s says that the media is too large", f->server);
    if (r->status == 404)
        return err(ERR_NOT_FOUND, "%s did not find the media", f->server);
    return err(ERR_BAD_STATUS, "%s answered with status %d instead of the media", f->server,
               r->status);
}

/* ---- results ---- */

/* Moves this part of the file to its beginning, and cuts off the rest. */
static const struct err *keep_only(const struct fetch *f, int64_t from, int64_t bytes)
{
    char *piece = arena_alloc(f->job->arena, COPY_BYTES);
    for (int64_t done = 0; done < bytes;) {
        size_t want = (size_t)(bytes - done < COPY_BYTES ? bytes - done : COPY_BYTES);
        ssize_t n = pread(f->fd, piece, want, from + done);
        if (n <= 0 || pwrite(f->fd, piece, (size_t)n, done) != n)
            return file_failed();
        done += n;
    }
    return ftruncate(f->fd, bytes) ? file_failed() : NULL;
}

/* Whether to follow a redirect that the other server chose: only by https and, with closed
 * federation, only to a host that is an allowed server. http/client/client.h refuses denied
 * addresses. */
static bool may_follow(const struct config *c, struct arena *a, const char *url)
{
    if (strncmp(url, "https://", 8) != 0)
        return false;
    const char *host = arena_memdup(a, url + 8, strcspn(url + 8, "/?#"));
    return !c->federation_domain_whitelist.items || federation_may_contact(c, host);
}

static const struct err *media_follow(const struct fetch *f, const char *url,
                                      struct fetched_media *ret)
{
    const struct config *c = f->job->config;
    struct http_call call = {.method = GET,
                             .url = url,
                             .timeout_ms = TIMEOUT_MS,
                             .reply_max = (size_t)f->bytes_max,
                             .sink_fd = f->fd,
                             .redirects_max =
                                 c->federation_domain_whitelist.items ? 0 : REDIRECTS_MAX};
    struct http_answer answer;
    if (!may_follow(c, f->job->arena, url))
        return err(ERR_BAD_STATUS, "%s redirects to a place that is not allowed", f->server);
    TRY(empty_file(f));
    const struct err *e = http_client_run(f->job->federation->http, f->job->arena, &call, &answer);
    if (e && e->code == ERR_TOO_LARGE)
        return media_too_large(f);
    if (e && (e->code == ERR_FORBIDDEN || e->code == ERR_INVALID_PARAM))
        return err_with_cause(
            err(ERR_BAD_STATUS, "%s redirects to a place that is not allowed", f->server), "%s: %s",
            url, e->text);
    TRY(e);
    if (answer.status != 200)
        return err(ERR_BAD_STATUS, "The place that %s redirects to answered with status %d",
                   f->server, answer.status);
    ret->bytes = answer.bytes;
    ret->content_type = http_answer_header(f->job->arena, &answer, "Content-Type");
    ret->content_disposition = http_answer_header(f->job->arena, &answer, "Content-Disposition");
    return NULL;
}

static const struct err *read_parts(const struct fetch *f, struct str boundary, struct str whole,
                                    struct fetched_media *ret)
{
    struct multipart_part parts[2];
    size_t n;
    TRY(multipart_read(f->job->arena, boundary, whole, parts, 2, &n));
    if (n != 2)
        return err(ERR_BAD_STATUS, "%s sent no media behind the metadata", f->server);
    const struct multipart_part *media = &parts[1];
    if (media->location)
        return media_follow(f, media->location, ret);
    ret->bytes = (int64_t)media->body.n;
    ret->content_type = media->content_type;
    ret->content_disposition = media->content_disposition;
    if (ret->bytes > f->bytes_max)
        return media_too_large(f);
    return keep_only(f, media->body.p - whole.p, ret->bytes);
}

static const struct err *unwrap(const struct fetch *f, const struct fed_reply *r,
                                struct fetched_media *ret)
{
    struct str boundary;
    if (!multipart_boundary(f->job->arena, r->content_type, &boundary))
        return err(ERR_BAD_STATUS, "%s did not send the media as multipart/mixed", f->server);
    if (r->bytes <= 0)
        return err(ERR_BAD_STATUS, "%s sent nothing", f->server);
    size_t n = (size_t)r->bytes;
    char *p = mmap(NULL, n, PROT_READ, MAP_SHARED, f->fd, 0);
    if (p == MAP_FAILED)
        return file_failed();
    const struct err *e = read_parts(f, boundary, (struct str){p, n}, ret);
    munmap(p, n);
    return e;
}

static const struct err *fetch_old(const struct fetch *f, const char *path,
                                   struct fetched_media *ret)
{
    struct fed_reply r;
    TRY(media_ask(f, path, false, 0, &r));
    TRY(check_status(f, &r));
    *ret = (struct fetched_media){.bytes = r.bytes,
                                  .content_type = r.content_type,
                                  .content_disposition = r.content_disposition};
    return NULL;
}

/* old_path: for servers that do not know `path`. */
static const struct err *users_media_fetch(const struct fetch *f, const char *path,
                                           const char *old_path, struct fetched_media *ret)
{
    struct fed_reply r;
    TRY(media_ask(f, path, true, WRAPPING_MAX, &r));
    if (is_unknown_endpoint(&r))
        return fetch_old(f, old_path, ret);
    TRY(check_status(f, &r));
    return unwrap(f, &r, ret);
}

const struct err *federation_fetch_media(struct job *job, const char *server, const char *media_id,
                                         int64_t bytes_max, int fd, struct fetched_media *ret)
{
    const struct fetch f = {job, server, media_id, bytes_max, fd};
    const char *path =
        arena_printf(job->arena, "/_matrix/federation/v1/media/download/%s?timeout_ms=%d", media_id,
                     UPLOAD_WAIT_MS);
    const char *old_path = federation_path(
        job->arena, "/_matrix/media/v3/download/%s/%s?allow_remote=false", server, media_id);
    return users_media_fetch(&f, path, old_path, ret);
}

const struct err *federation_fetch_thumbnail(struct job *job, const char *server,
                                             const char *media_id, const char *size,
                                             int64_t bytes_max, int fd, struct fetched_media *ret)
{
    const struct fetch f = {job, server, media_id, bytes_max, fd};
    const char *path =
        arena_printf(job->arena, "/_matrix/federation/v1/media/thumbnail/%s?%s", media_id, size);
    const char *old_path = arena_printf(
        job->arena, "%s?%s&allow_remote=false",
        federation_path(job->arena, "/_matrix/media/v3/thumbnail/%s/%s", server, media_id), size);
    TRY(federation_question_begin(job, server));
    const struct err *e = users_media_fetch(&f, path, old_path, ret);
    federation_question_end(job, server);
    return e;
}
