/* Client-server API, "Content repository": uploads.
 *
 * http/ has already spooled the body to a file without a name in the media store. */
#include "base/clock.h"
#include "matrix/id.h"
#include "server/client/shared/room_request.h"
#include "server/media/disposition.h"
#include "server/media/media_request.h"
#include "server/media/repo.h"
#include "server/media/store.h"
#include "server/routes.h"
#include "server/server.h"

enum { MEDIA_ID_LETTERS = 24, CONTENT_TYPE_MAX = 255 };

struct upload {
    media_row_maker *make_row;
    struct media media;
};

/* ---- the client's description ---- */

static bool is_printable(const char *s)
{
    for (; *s; s++)
        if (*s < ' ' || *s > '~')
            return false;
    return true;
}

static const struct err *upload_describe(struct request *rq, struct media *m)
{
    const char *type = request_header(rq, "Content-Type");
    const char *file_name = request_query(rq, "filename");
    if (!type || !*type)
        type = "application/octet-stream";
    if (strlen(type) > CONTENT_TYPE_MAX || !is_printable(type))
        return err(ERR_INVALID_PARAM, "The Content-Type is malformed or longer than %d bytes",
                   CONTENT_TYPE_MAX);
    if (file_name && strlen(file_name) > FILE_NAME_MAX)
        return err(ERR_INVALID_PARAM, "The file name is longer than %d bytes", FILE_NAME_MAX);
    m->server = job_of(rq)->config->server_name;
    m->uploader = caller_of(rq)->user;
    m->bytes = rq->upload_bytes;
    m->content_type = arena_strdup(rq->arena, type);
    m->file_name = file_name && *file_name ? file_name : NULL;
    m->created_ts = now_ms();
    m->authenticated = job_of(rq)->config->enable_authenticated_media;
    return NULL;
}

/* Refuses early, before the file is written. */
static const struct err *check_quota(struct request *rq, const struct media *m)
{
    int64_t quota = job_of(rq)->config->media_quota_per_user, used;
    if (!quota)
        return NULL;
    TRY(media_used_by(job_tx(job_of(rq)), m->uploader, &used));
    return used + m->bytes > quota ? err(ERR_FORBIDDEN, "You have reached your upload quota")
                                   : NULL;
}

static const struct err *upload_store(struct request *rq, struct upload *u)
{
    struct media_repo *repo = job_of(rq)->server->media;
    TRY(check_quota(rq, &u->media));
    TRY(media_store_file(job_of(rq), rq->upload_fd, u->make_row, &u->media));
    media_repo_count(repo, COUNT_UPLOADS, 1);
    media_repo_count(repo, COUNT_UPLOADED_BYTES, u->media.bytes);
    return NULL;
}

/* ---- endpoints ---- */

static const char *mxc(struct request *rq, const struct media *m)
{
    return arena_printf(rq->arena, "mxc://%s/%s", m->server, m->media_id);
}

static const struct err *upload_post_upload(struct request *rq, struct reply *rp)
{
    struct upload u = {.make_row = media_add};
    TRY(need_not_suspended(rq));
    TRY(upload_describe(rq, &u.media));
    u.media.media_id = id_random(rq->arena, MEDIA_ID_LETTERS);
    TRY(upload_store(rq, &u));
    return reply_json(rp, 200, "{s:s}", "content_uri", mxc(rq, &u.media));
}

static const struct err *post_create(struct request *rq, struct reply *rp)
{
    const struct config *c = job_of(rq)->config;
    int64_t now = now_ms(), full_until;
    struct media m = {.server = c->server_name,
                      .media_id = id_random(rq->arena, MEDIA_ID_LETTERS),
                      .uploader = caller_of(rq)->user,
                      .created_ts = now,
                      .expires_ts = now + c->unused_media_expiration_ms,
                      .authenticated = c->enable_authenticated_media};
    TRY(need_not_suspended(rq));
    TRY(media_announce(job_tx(job_of(rq)), &m, c->max_pending_media_uploads, &full_until));
    if (full_until)
        return err_limit_exceeded((int)(full_until > now ? full_until - now : 1));
    return reply_json(rp, 200, "{s:s, s:I}", "content_uri", mxc(rq, &m), "unused_expires_at",
                      (json_int_t)m.expires_ts);
}

/* Whether the caller may upload to this URI. */
static const struct err *check_announced(struct request *rq, const char *media_id)
{
    const char *server = request_param(rq, "server");
    struct media m;
    bool found = false;
    if (media_id_is_valid(media_id) && config_is_own_server(job_of(rq)->config, server))
        TRY(media_find(job_tx(job_of(rq)), server, media_id, &found, &m));
    if (!found)
        return err(ERR_NOT_FOUND, "No such media was announced");
    if (m.uploader != caller_of(rq)->user)
        return err(ERR_FORBIDDEN, "This media was announced by another user");
    if (m.sha256.p)
        return err(ERR_CANNOT_OVERWRITE_MEDIA, "This media has been uploaded already");
    if (m.expires_ts <= now_ms())
        return err(ERR_NOT_FOUND, "The time to upload this media has passed");
    return NULL;
}

static const struct err *put_upload(struct request *rq, struct reply *rp)
{
    const char *media_id = request_param(rq, "media");
    struct upload u = {.make_row = media_complete};
    TRY(need_not_suspended(rq));
    TRY(check_announced(rq, media_id));
    TRY(upload_describe(rq, &u.media));
    u.media.media_id = media_id;
    const struct err *e = upload_store(rq, &u);
    if (e && e->code == ERR_FORBIDDEN) /* or another upload to the same URI was faster */
        TRY(check_announced(rq, media_id));
    TRY(e);
    media_repo_uploaded(job_of(rq)->server->media, media_id);
    return reply_empty(rp);
}

#define ROW(method_, path_, also_, handler_, body_)                                                \
    {                                                                                              \
        .method = method_, .path = path_, .also = also_, .handler = handler_, .who = WHO_USER,     \
        .body = body_, .rate = RATE_MEDIA, .spec = "content repository",                           \
        .pool = body_ == BODY_FILE ? POOL_SLOW : POOL_CLIENT                                       \
    }
#define UPLOAD(path_, also_) ROW(POST, path_, also_, upload_post_upload, BODY_FILE)
#define UPLOAD_TO(path_, also_) ROW(PUT, path_, also_, put_upload, BODY_FILE)

const struct route upload_routes[] = {
    OLD_MEDIA_PATHS(UPLOAD, "upload"),
    OLD_MEDIA_PATHS(UPLOAD_TO, "upload/{server}/{media}"),
    UPLOAD_TO("/_matrix/media/unstable/fi.mau.msc2246/upload/{server}/{media}", NULL),
    ROW(POST, "/_matrix/media/v1/create", "/_matrix/media/unstable/fi.mau.msc2246/create",
        post_create, BODY_NONE),
    {.path = NULL},
};
