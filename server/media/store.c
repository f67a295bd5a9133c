#include "server/media/store.h"

#include "server/media/content.h"

#include <errno.h>
#include <unistd.h>

static const struct err *hash(struct job *job, int fd, struct media *m)
{
    unsigned char *sum = arena_alloc(job->arena, SHA256_BYTES);
    if (!sha256_file(fd, sum))
        return err_internal("cannot read a new file: %s", strerror(errno));
    m->sha256 = (struct str){(const char *)sum, SHA256_BYTES};
    return NULL;
}

static const struct err *store_locked(struct job *job, int fd, media_row_maker *make_row,
                                      const struct media *m, const char *name, bool *ret_linked)
{
    const struct config *c = job->config;
    bool done;
    TRY(media_lock_content(job_tx(job), m->sha256));
    TRY(content_link(c, fd, name, ret_linked));
    TRY(make_row(job_tx(job), m, c->media_quota_per_user, &done));
    if (!done)
        return err(ERR_FORBIDDEN, "You have reached your upload quota");
    return tx_commit(job_tx(job));
}

/* After a failure: removes the file again unless a row refers to it, this one (the commit may have
 * succeeded after all) or another. While the database is unavailable it stays, and serves the next
 * file of the same content. */
static const struct err *take_back(struct job *job, const struct media *m, const char *name)
{
    struct tx *tx = job_tx(job);
    bool is_used;
    TRY(tx_begin(tx));
    TRY(media_lock_content(tx, m->sha256));
    TRY(media_has_content(tx, m->sha256, &is_used));
    if (!is_used)
        TRY(content_unlink(job->config, name));
    return tx_commit(tx);
}

const struct err *media_store_file(struct job *job, int fd, media_row_maker *make_row,
                                   struct media *media)
{
    struct tx *tx = job_tx(job);
    TRY(hash(job, fd, media));
    if (fsync(fd)) /* before the lock is held */
        return err_storage(errno, "cannot write a new file");
    const char *name = content_name(job->arena, media->sha256);
    bool linked = false;
    TRY(tx_begin(tx));
    const struct err *e = store_locked(job, fd, make_row, media, name, &linked);
    if (e) {
        tx_rollback(tx);
        if (linked && take_back(job, media, name))
            tx_rollback(tx);
    }
    return e;
}
