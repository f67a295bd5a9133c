#include "server/media/thumbnail_keep.h"

#include "base/clock.h"
#include "server/media/content.h"
#include "storage/media.h"
#include "storage/thumbnails.h"

#include <errno.h>
#include <sys/stat.h>

enum { BLOCK = 4096, PAGE = 100, PAGES_MAX = 20, SENT_STEP_S = 3600 };

/* Even an empty one takes space in the folder and in the database. */
static int64_t thumbnail_keep_bytes_of(const struct stat *s)
{
    return (s->st_size / BLOCK + 1) * BLOCK;
}

/* The file's own time says when it was last recorded. */
const struct err *thumbnail_sent(struct job *job, struct str sha256, const char *variant, int fd,
                                 bool is_new)
{
    int64_t now = now_ms();
    struct stat s;
    if (fstat(fd, &s))
        return err_storage(errno, "media store: a thumbnail");
    if (!is_new && now / 1000 - s.st_mtime < SENT_STEP_S)
        return NULL;
    if (futimens(fd, NULL))
        return err_storage(errno, "media store: a thumbnail");
    struct thumbnail t = {.sha256 = sha256,
                          .variant = variant,
                          .bytes = thumbnail_keep_bytes_of(&s),
                          .accessed_ts = now};
    TRY(thumbnails_sent(job_tx(job), &t));
    return is_new ? thumbnails_sweep(job) : NULL;
}

/* An open file can still be read. If it is made again between the removal of row and file, it has
 * no row until it is sent again. */
static const struct err *thumbnail_keep_remove_one(struct job *job, const struct thumbnail *t,
                                                   int64_t *surplus)
{
    bool done;
    TRY(thumbnails_remove(job_tx(job), t, &done));
    if (!done)
        return NULL;
    *surplus -= t->bytes;
    return content_unlink(job->config, content_thumbnail_name(job->arena, t->sha256, t->variant));
}

const struct err *thumbnails_sweep(struct job *job)
{
    int64_t budget = job->config->thumbnail_budget, used;
    if (!budget)
        return NULL;
    TRY(media_used_by(job_tx(job), MEDIA_THUMBNAILS, &used));
    int64_t surplus = used - budget;
    for (int page = 0; page < PAGES_MAX && surplus > 0; page++) {
        const struct thumbnail *oldest;
        size_t n;
        TRY(thumbnails_oldest(job_tx(job), PAGE, &oldest, &n));
        for (size_t i = 0; i < n && surplus > 0; i++)
            TRY(thumbnail_keep_remove_one(job, &oldest[i], &surplus));
        if (!n)
            break;
    }
    return NULL;
}
