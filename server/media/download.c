/* Client-server API and server-server API, "Content repository": downloads.
 *
 * Neither these nor thumbnails have a rate limit: one list of members needs hundreds of avatars,
 * and all users behind one address would share the limit of the old endpoints. Their costly part is
 * bounded by turns (repo.h). */
#include "server/media/content.h"
#include "server/media/media_request.h"
#include "server/media/repo.h"
#include "server/media/retention.h"
#include "server/routes.h"
#include "server/server.h"

static const struct err *download(struct request *rq, struct reply *rp, enum media_access access,
                                  const char *file_name)
{
    const struct node *s = job_of(rq)->node;
    const struct media *m;
    TRY(media_of_request(rq, rp, access, &m));
    if (!m)
        return NULL;
    struct media_file file = {
        .content_type = m->content_type,
        .file_name = file_name ? file_name : m->file_name,
        .etag = hex_encode(rq->arena, m->sha256.p, m->sha256.n),
    };
    const char *name = content_name(rq->arena, m->sha256);
    TRY(content_open(s->config, name, &file.fd, &file.bytes));
    if (file.fd < 0)
        return media_is_missing(job_of(rq), m);
    media_repo_count(s->server->media, COUNT_DOWNLOADS, 1);
    return media_reply(rp, access, &file);
}

static const struct err *get_download(struct request *rq, struct reply *rp)
{
    return download(rq, rp, MEDIA_AUTHENTICATED, NULL);
}

static const struct err *get_download_named(struct request *rq, struct reply *rp)
{
    return download(rq, rp, MEDIA_AUTHENTICATED, request_param(rq, "file"));
}

static const struct err *get_old_download(struct request *rq, struct reply *rp)
{
    return download(rq, rp, MEDIA_FROZEN, NULL);
}

static const struct err *get_old_download_named(struct request *rq, struct reply *rp)
{
    return download(rq, rp, MEDIA_FROZEN, request_param(rq, "file"));
}

static const struct err *download_get_for_server(struct request *rq, struct reply *rp)
{
    return download(rq, rp, MEDIA_FEDERATION, NULL);
}

static const struct err *get_config(struct request *rq, struct reply *rp)
{
    return reply_json(rp, 200, "{s:I}", "m.upload.size",
                      (json_int_t)job_of(rq)->config->max_upload_size);
}

#define ROW(path_, also_, handler_, who_)                                                          \
    {                                                                                              \
        .method = GET, .path = path_, .also = also_, .handler = handler_, .who = who_,             \
        .moves_to = POOL_REMOTE, .spec = "content repository"                                      \
    }
#define NEW_ROW(rest, handler_, who_)                                                              \
    ROW("/_matrix/client/v1/media/" rest,                                                          \
        "/_matrix/client/unstable/org.matrix.msc3916/media/" rest, handler_, who_)
#define OLD_DOWNLOAD(path_, also_) ROW(path_, also_, get_old_download, WHO_ANYONE)
#define OLD_DOWNLOAD_NAMED(path_, also_) ROW(path_, also_, get_old_download_named, WHO_ANYONE)
#define CONFIG(path_, also_)                                                                       \
    {                                                                                              \
        .method = GET, .path = path_, .also = also_, .handler = get_config, .who = WHO_USER,       \
        .spec = "content repository"                                                               \
    }

const struct route download_routes[] = {
    NEW_ROW("download/{server}/{media}", get_download, WHO_GUEST_TOO),
    NEW_ROW("download/{server}/{media}/{file}", get_download_named, WHO_GUEST_TOO),
    CONFIG("/_matrix/client/v1/media/config",
           "/_matrix/client/unstable/org.matrix.msc3916/media/config"),
    OLD_MEDIA_PATHS(OLD_DOWNLOAD, "download/{server}/{media}"),
    OLD_MEDIA_PATHS(OLD_DOWNLOAD_NAMED, "download/{server}/{media}/{file}"),
    OLD_MEDIA_PATHS(CONFIG, "config"),
    {.method = GET,
     .path = "/_matrix/federation/v1/media/download/{media}",
     .handler = download_get_for_server,
     .who = WHO_SERVER,
     .rate = RATE_SERVER,
     .pool = POOL_FEDERATION,
     .spec = "content repository",
     .also = "/_matrix/federation/unstable/org.matrix.msc3916.v2/media/download/{media}"},
    {.path = NULL},
};
