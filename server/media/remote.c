#include "server/media/remote.h"
#include "server/server.h"

#include "base/clock.h"
#include "base/new_file.h"
#include "federation/users/media.h"
#include "server/media/content.h"
#include "server/media/disposition.h"
#include "server/media/fetches.h"
#include "server/media/repo.h"
#include "server/media/retention.h"
#include "server/media/store.h"
#include "server/remote_request.h"

enum {
    CONTENT_TYPE_MAX = 255,
    BYTES_OF_ONE = 512 << 10, /* bytes fetched that count as one request for rc_remote */
    GUEST_FACTOR = 8
};

static const char *content_type_of(const struct fetched_media *f)
{
    const char *type = f->content_type;
    if (!type || !*type || strlen(type) > CONTENT_TYPE_MAX)
        return "application/octet-stream";
    for (const char *p = type; *p; p++)
        if (*p < ' ' || *p > '~')
            return "application/octet-stream";
    return type;
}

static const struct err *fetch_into(struct job *job, int fd, struct media *m)
{
    const struct config *c = job->config;
    struct fetched_media got = {0};
    TRY(federation_fetch_media(job, m->server, m->media_id, c->max_remote_media_size, fd, &got));
    m->bytes = got.bytes;
    m->content_type = content_type_of(&got);
    m->file_name = disposition_file_name(job->arena, got.content_disposition);
    m->created_ts = now_ms();
    m->authenticated =
        c->enable_authenticated_media; /* new here, even if it is old on its server */
    return media_store_file(job, fd, media_add_remote, m);
}

static const struct err *remote_is_here(struct job *job, const struct media *m, bool *ret)
{
    struct media found;
    return media_find(job_tx(job), m->server, m->media_id, ret, &found);
}

/* It may have been fetched since the caller looked: by another request on this node, or by another
 * node, whose row then conflicts with this one. */
static const struct err *remote_fetch(struct job *job, struct media *m)
{
    bool here;
    int fd;
    TRY(remote_is_here(job, m, &here));
    if (here)
        return NULL;
    TRY(content_create(job->config, &fd));
    const struct err *e = fetch_into(job, fd, m);
    new_file_close(fd);
    if (!e || e->code != ERR_FORBIDDEN)
        return e;
    struct err forbidden = *e;
    TRY(remote_is_here(job, m, &here));
    return here ? NULL : err_copy(&forbidden);
}

/* Charges the caller for the fetched media, and removes old media beyond the budget. */
static const struct err *remote_settle(struct request *rq, const struct media *m)
{
    const struct caller *c = rq->caller;
    int64_t n = m->bytes / BYTES_OF_ONE * (c && c->is_guest ? GUEST_FACTOR : 1);
    request_owe(rq, RATE_REMOTE, (int)n);
    return m->bytes ? remote_media_sweep(job_of(rq), m) : NULL;
}

static const struct err *check_may_fetch(const struct config *c, const char *server)
{
    for (size_t i = 0; i < c->prevent_media_downloads_from.n; i++)
        if (strcmp(c->prevent_media_downloads_from.items[i], server) == 0)
            return err(ERR_NOT_FOUND, "Media of %s is not fetched", server);
    return NULL;
}

const struct err *media_fetch(struct request *rq, struct reply *rp, const char *server,
                              const char *media_id, int64_t until_mono_ms, bool *ret_here)
{
    struct media_repo *repo = job_of(rq)->server->media;
    struct fetches *fetches = media_repo_fetches(repo);
    struct err failed;
    bool may_block;
    *ret_here = false;
    TRY(check_may_fetch(job_of(rq)->config, server));
    TRY(remote_request_begin(rq, rp, server, &may_block));
    if (!may_block)
        return NULL;
    switch (fetches_begin(fetches, server, media_id, &rq->waiter, &failed)) {
    case FETCH_FAILED:
        return err_copy(&failed);
    case FETCH_WAIT:
        return mono_ms() < until_mono_ms
                   ? reply_wait(rp, until_mono_ms)
                   : err(ERR_CONNECTION_TIMEOUT, "The media has not arrived from %s yet", server);
    case FETCH_MINE:
        break;
    }
    struct media m = {.server = server, .media_id = media_id};
    const struct err *e = remote_fetch(job_of(rq), &m);
    media_repo_count(repo, e ? COUNT_FETCHES_FAILED : COUNT_FETCHES, 1);
    fetches_end(fetches, server, media_id, e);
    *ret_here = !e;
    return e ? e : remote_settle(rq, &m);
}
