#include "server/media/retention.h"
#include "server/server.h"

#include "base/clock.h"
#include "server/media/content.h"
#include "server/media/repo.h"
#include "server/media/thumbnail_size.h"
#include "storage/thumbnails.h"

enum {
    PAGE = 50, /* files looked up at once */
    PAGES_MAX = 40,
    SENT_STEP_MS = 3600 * 1000,
    RETRY_MS = 1000
};

const struct err *remote_media_sent(struct job *job, const struct media *m)
{
    int64_t now = now_ms();
    return now - m->accessed_ts < SENT_STEP_MS ? NULL : media_touch(job_tx(job), m, now);
}

struct removal {
    const struct config *config;
    struct arena *arena;
    struct str sha256;
};

static const struct err *remove_thumbnail(void *ctx, struct thumbnail_size size)
{
    struct removal *r = ctx;
    buf_auto struct buf variant = {0};
    thumbnail_size_add_name(&variant, size);
    return content_unlink(r->config, content_thumbnail_name(r->arena, r->sha256, variant.p));
}

static const struct err *remove_files(struct job *job, const struct media *m)
{
    struct removal r = {job->config, job->arena, m->sha256};
    TRY(content_unlink(r.config, content_name(job->arena, m->sha256)));
    return thumbnail_size_each(remove_thumbnail, &r);
}

/* The row first: a file without a row costs space, a row without its file an error. */
static const struct err *remove_in_tx(struct job *job, const struct media *m, bool *ret_done)
{
    struct tx *tx = job_tx(job);
    bool is_used;
    TRY(media_lock_content(tx, m->sha256));
    TRY(media_remove_remote(tx, m, ret_done));
    TRY(media_has_content(tx, m->sha256, &is_used));
    if (*ret_done && !is_used) {
        TRY(thumbnails_remove_of(tx, m->sha256));
        TRY(remove_files(job, m));
    }
    return tx_commit(tx);
}

static const struct err *retention_remove_one(struct job *job, const struct media *m,
                                              bool *ret_done)
{
    TRY(tx_begin(job_tx(job)));
    const struct err *e = remove_in_tx(job, m, ret_done);
    if (e)
        tx_rollback(job_tx(job));
    else if (*ret_done)
        media_repo_count(job->server->media, COUNT_REMOTE_REMOVED, 1);
    return e;
}

static bool retention_is_same(const struct media *a, const struct media *b)
{
    return b && strcmp(a->server, b->server) == 0 && strcmp(a->media_id, b->media_id) == 0;
}

/* Removes files not sent since `before`, until *surplus bytes are freed. ret_n: how many. */
static const struct err *remove_page(struct job *job, int64_t before, const struct media *newest,
                                     int64_t *surplus, size_t *ret_n)
{
    const struct media *oldest;
    size_t n;
    TRY(media_oldest_remote(job_tx(job), before, PAGE, &oldest, &n));
    *ret_n = 0;
    for (size_t i = 0; i<n && * surplus> 0; i++) {
        bool done = false;
        if (retention_is_same(&oldest[i], newest))
            continue;
        TRY(retention_remove_one(job, &oldest[i], &done));
        if (!done)
            continue;
        *surplus -= oldest[i].bytes;
        ++*ret_n;
    }
    return NULL;
}

static const struct err *remove_oldest(struct job *job, int64_t before, const struct media *newest,
                                       int64_t surplus)
{
    size_t n = 1;
    for (int page = 0; page < PAGES_MAX && n && surplus > 0; page++)
        TRY(remove_page(job, before, newest, &surplus, &n));
    return NULL;
}

const struct err *remote_media_sweep(struct job *job, const struct media *newest)
{
    const struct config *c = job->config;
    int64_t used;
    if (c->remote_media_lifetime_ms)
        TRY(remove_oldest(job, now_ms() - c->remote_media_lifetime_ms, newest, INT64_MAX));
    if (!c->remote_media_budget)
        return NULL;
    TRY(media_used_by(job_tx(job), MEDIA_OF_OTHERS, &used));
    return remove_oldest(job, INT64_MAX, newest, used - c->remote_media_budget);
}

const struct err *media_is_missing(struct job *job, const struct media *m)
{
    bool done;
    if (config_is_own_server(job->config, m->server))
        return err_internal("media store: %s is missing", content_name(job->arena, m->sha256));
    TRY(retention_remove_one(job, m, &done));
    return err_unavailable(RETRY_MS, "the file has just been removed; it is fetched again");
}
