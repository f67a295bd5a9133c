/* Client-server API and server-server API, "Content repository": thumbnails. They are made on first
 * request, by a few programs at a time, and then stored as files. An empty file means that the
 * original is sent. */
#include "base/clock.h"
#include "base/log.h"
#include "base/new_file.h"
#include "federation/users/media.h"
#include "server/media/content.h"
#include "server/media/image_type.h"
#include "server/media/media_request.h"
#include "server/media/repo.h"
#include "server/media/retention.h"
#include "server/media/thumbnail_keep.h"
#include "server/media/thumbnail_make.h"
#include "server/routes.h"
#include "server/server.h"

#include <errno.h>
#include <unistd.h>

enum { SLOT_WAIT_MS = 30000, FETCHED_MAX = 5 << 20 /* bytes of a thumbnail made elsewhere */ };

static const struct err *read_side(const struct request *rq, const char *name, int *ret)
{
    int64_t side;
    if (!request_query(rq, name))
        return err(ERR_MISSING_PARAM, "\"%s\" is missing", name);
    TRY(request_query_int(rq, name, 0, 1, INT32_MAX, &side));
    *ret = (int)side;
    return NULL;
}

static const struct err *read_size(const struct request *rq, struct thumbnail_size *ret)
{
    struct thumbnail_size size = {0};
    const char *method = request_query(rq, "method");
    TRY(read_side(rq, "width", &size.width));
    TRY(read_side(rq, "height", &size.height));
    TRY(request_query_bool(rq, "animated", false, &size.animated));
    size.crop = method && strcmp(method, "crop") == 0;
    if (method && !size.crop && strcmp(method, "scale") != 0)
        return err(ERR_INVALID_PARAM, "\"method\" must be \"crop\" or \"scale\"");
    *ret = thumbnail_size_snap(size);
    return NULL;
}

static enum image_type type_of(int fd)
{
    char first[IMAGE_TYPE_BYTES];
    ssize_t n = pread(fd, first, sizeof first, 0);
    return image_type_of((struct str){first, n > 0 ? (size_t)n : 0});
}

/* ---- making it ---- */

static const struct err *open_original(struct request *rq, const struct media *m, int *ret,
                                       int64_t *ret_bytes)
{
    const char *name = content_name(rq->arena, m->sha256);
    TRY(content_open(job_of(rq)->config, name, ret, ret_bytes));
    return *ret < 0 ? media_is_missing(job_of(rq), m) : NULL;
}

static const struct err *make_into(struct request *rq, int original, int into,
                                   struct thumbnail_size size, const char *name)
{
    const struct node *s = job_of(rq)->node;
    bool is_new;
    const struct err *e = thumbnail_make(original, size, s->config->max_image_pixels, into);
    media_repo_count(s->server->media, e ? COUNT_THUMBNAILS_FAILED : COUNT_THUMBNAILS_MADE, 1);
    TRY(e);
    return content_link(s->config, into, name, &is_new);
}

static const struct err *make_with_decoder(struct request *rq, int original,
                                           struct thumbnail_size size, const char *name)
{
    int into;
    TRY(content_create(job_of(rq)->config, &into));
    const struct err *e = make_into(rq, original, into, size, name);
    new_file_close(into);
    return e;
}

/* *ret_done is false when the request waits for a turn. */
static const struct err *media_thumbnail_make(struct request *rq, struct reply *rp,
                                              const struct media *m, struct thumbnail_size size,
                                              const char *name, bool *ret_done)
{
    struct media_repo *repo = job_of(rq)->server->media;
    int64_t until = rq->started_mono_us / 1000 + SLOT_WAIT_MS;
    int original;
    TRY(open_original(rq, m, &original, NULL));
    const struct err *e = NULL;
    if (type_of(original) == IMAGE_NONE) {
        e = err(ERR_UNKNOWN, "Cannot generate thumbnails for the requested content");
    } else if ((*ret_done = media_repo_take_decoder(repo, &rq->waiter))) {
        e = make_with_decoder(rq, original, size, name);
        media_repo_release_decoder(repo);
    } else if (mono_ms() >= until) {
        e = err_unavailable(2000, "too many thumbnails are being made");
    } else {
        e = reply_wait(rp, until);
    }
    close(original);
    return e;
}

/* ---- sending it ---- */

static const struct err *thumbnail_send(struct reply *rp, enum media_access access,
                                        struct media_file *file, const char *etag)
{
    enum image_type type = type_of(file->fd);
    file->content_type = image_type_mime(type);
    file->file_name = arena_printf(rp->rq->arena, "thumbnail.%s", image_type_name(type));
    file->etag = etag;
    return media_reply(rp, access, file);
}

/* ---- of media that is too large to fetch ---- */

/* Writes the other server's thumbnail into an empty file. */
static const struct err *fetch_thumbnail(struct request *rq, struct thumbnail_size size,
                                         struct media_file *file)
{
    struct fetched_media got;
    int64_t most = job_of(rq)->config->max_remote_media_size;
    const char *asked =
        arena_printf(rq->arena, "width=%d&height=%d&method=%s&animated=%s", size.width, size.height,
                     size.crop ? "crop" : "scale", size.animated ? "true" : "false");
    TRY(federation_fetch_thumbnail(job_of(rq), request_param(rq, "server"),
                                   request_param(rq, "media"), asked,
                                   most < FETCHED_MAX ? most : FETCHED_MAX, file->fd, &got));
    if (type_of(file->fd) == IMAGE_NONE)
        return err(ERR_BAD_STATUS, "The other server did not send an image");
    file->bytes = got.bytes;
    return NULL;
}

/* It is relayed and not stored, since its original is not stored. */
static const struct err *relay(struct request *rq, struct reply *rp, enum media_access access,
                               struct thumbnail_size size)
{
    unsigned char sum[SHA256_BYTES];
    struct media_file file;
    TRY(content_create_scratch(job_of(rq)->config, &file.fd));
    const struct err *e = fetch_thumbnail(rq, size, &file);
    if (!e && !sha256_file(file.fd, sum))
        e = err_internal("cannot read a thumbnail: %s", strerror(errno));
    if (!e)
        return thumbnail_send(rp, access, &file, hex_encode(rq->arena, sum, sizeof sum));
    close(file.fd);
    return e;
}

/* ---- the endpoints ---- */

/* Errors do not matter: the user has it. */
static void thumbnail_note(struct job *job, const struct media *m, const char *variant, int fd,
                           bool is_new)
{
    const struct err *e = thumbnail_sent(job, m->sha256, variant, fd, is_new);
    if (e && log_limited("counting thumbnails", LOG_FEW))
        log_err(LOG_WARN, "counting thumbnails", e);
}

static const struct err *thumbnail(struct request *rq, struct reply *rp, enum media_access access)
{
    const struct node *s = job_of(rq)->node;
    struct thumbnail_size size;
    struct media_file file = {.fd = -1};
    const struct media *m;
    buf_auto struct buf variant = {0};
    TRY(read_size(rq, &size));
    const struct err *e = media_of_request(rq, rp, access, &m);
    if (e && e->code == ERR_REMOTE_TOO_LARGE)
        return relay(rq, rp, access, size);
    TRY(e);
    if (!m)
        return NULL;
    thumbnail_size_add_name(&variant, size);
    const char *name = content_thumbnail_name(rq->arena, m->sha256, variant.p);
    TRY(content_open(s->config, name, &file.fd, &file.bytes));
    bool is_new = file.fd < 0;
    if (is_new) {
        bool done = false;
        TRY(media_thumbnail_make(rq, rp, m, size, name, &done));
        if (!done)
            return NULL;
        TRY(content_open(s->config, name, &file.fd, &file.bytes));
    }
    if (file.fd < 0)
        return err_internal("media store: %s is missing", name);
    thumbnail_note(job_of(rq), m, variant.p, file.fd, is_new);
    media_repo_count(s->server->media, COUNT_THUMBNAILS_SERVED, 1);
    if (file.bytes)
        return thumbnail_send(rp, access, &file, strrchr(name, '/') + 1);
    close(file.fd);
    TRY(open_original(rq, m, &file.fd, &file.bytes));
    return thumbnail_send(rp, access, &file, hex_encode(rq->arena, m->sha256.p, m->sha256.n));
}

static const struct err *get_thumbnail(struct request *rq, struct reply *rp)
{
    return thumbnail(rq, rp, MEDIA_AUTHENTICATED);
}

static const struct err *get_old_thumbnail(struct request *rq, struct reply *rp)
{
    return thumbnail(rq, rp, MEDIA_FROZEN);
}

static const struct err *thumbnail_get_for_server(struct request *rq, struct reply *rp)
{
    return thumbnail(rq, rp, MEDIA_FEDERATION);
}

#define ROW(path_, also_, handler_, who_)                                                          \
    {                                                                                              \
        .method = GET, .path = path_, .also = also_, .handler = handler_, .who = who_,             \
        .moves_to = POOL_REMOTE, .pool = POOL_SLOW, .spec = "content repository"                   \
    }
#define OLD_THUMBNAIL(path_, also_) ROW(path_, also_, get_old_thumbnail, WHO_ANYONE)

const struct route thumbnail_routes[] = {
    ROW("/_matrix/client/v1/media/thumbnail/{server}/{media}",
        "/_matrix/client/unstable/org.matrix.msc3916/media/thumbnail/{server}/{media}",
        get_thumbnail, WHO_GUEST_TOO),
    OLD_MEDIA_PATHS(OLD_THUMBNAIL, "thumbnail/{server}/{media}"),
    {.method = GET,
     .path = "/_matrix/federation/v1/media/thumbnail/{media}",
     .handler = thumbnail_get_for_server,
     .who = WHO_SERVER,
     .rate = RATE_SERVER,
     .pool = POOL_SLOW,
     .spec = "content repository",
     .also = "/_matrix/federation/unstable/org.matrix.msc3916.v2/media/thumbnail/{media}"},
    {.path = NULL},
};
