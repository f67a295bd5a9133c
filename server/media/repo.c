#include "server/media/repo.h"

#include "base/lock.h"
#include "base/mem.h"
#include "server/media/fetches.h"

#include <assert.h>
#include <stdatomic.h>
#include <unistd.h>

enum { BUCKETS = 64, DECODERS_MAX = 4 };

struct media_repo {
    struct lock lock;
    struct waiter uploads[BUCKETS]; /* heads of circular lists */
    struct waiter asking;           /* waiting for a turn; the first is next */
    int decoders, decoders_free;
    struct fetches *fetches;
    atomic_llong counts[MEDIA_COUNTS];
};

/* ---- lists of waiters, the lock held ---- */

static void repo_append_locked(struct waiter *head, struct waiter *w)
{
    w->next = head;
    w->prev = head->prev;
    w->prev->next = w;
    head->prev = w;
}

static void repo_remove_locked(struct waiter *w)
{
    w->prev->next = w->next;
    w->next->prev = w->prev;
    w->source = NULL;
}

static void wake_next_locked(struct media_repo *r)
{
    struct waiter *first = r->asking.next;
    if (r->decoders_free && first != &r->asking)
        first->wake(first);
}

/* ---- uploads ---- */

static struct waiter *repo_bucket(struct media_repo *r, const char *media_id)
{
    unsigned h = 5381;
    for (const char *p = media_id; *p; p++)
        h = h * 33 + (unsigned char)*p;
    return &r->uploads[h % BUCKETS];
}

static void leave_upload(struct waiter *w)
{
    struct media_repo *r = w->source;
    LOCKED(&r->lock);
    repo_remove_locked(w);
}

void media_repo_await_upload(struct media_repo *r, struct waiter *w, const char *media_id)
{
    if (w->source)
        return;
    LOCKED(&r->lock);
    w->source = r;
    w->leave = leave_upload;
    repo_append_locked(repo_bucket(r, media_id), w);
}

void media_repo_uploaded(struct media_repo *r, const char *media_id)
{
    LOCKED(&r->lock);
    struct waiter *head = repo_bucket(r, media_id);
    for (struct waiter *w = head->next; w != head; w = w->next)
        w->wake(w);
}

/* ---- turns ---- */

/* A woken waiter that no longer needs its turn wakes the next one. */
static void leave_asking(struct waiter *w)
{
    struct media_repo *r = w->source;
    LOCKED(&r->lock);
    repo_remove_locked(w);
    wake_next_locked(r);
}

bool media_repo_take_decoder(struct media_repo *r, struct waiter *w)
{
    if (w->source && w->leave != leave_asking)
        w->leave(w);
    LOCKED(&r->lock);
    if (r->decoders_free) {
        r->decoders_free--;
        if (w->source)
            repo_remove_locked(w);
        wake_next_locked(r);
        return true;
    }
    if (!w->source) {
        w->source = r;
        w->leave = leave_asking;
        repo_append_locked(&r->asking, w);
    }
    return false;
}

void media_repo_release_decoder(struct media_repo *r)
{
    LOCKED(&r->lock);
    r->decoders_free++;
    wake_next_locked(r);
}

struct fetches *media_repo_fetches(struct media_repo *r)
{
    return r->fetches;
}

/* ---- counting ---- */

void media_repo_count(struct media_repo *r, enum media_count what, int64_t n)
{
    atomic_fetch_add_explicit(&r->counts[what], n, memory_order_relaxed);
}

void media_repo_add_metrics(struct media_repo *r, struct buf *out)
{
    static const char *const names[MEDIA_COUNTS][2] = {
        [COUNT_UPLOADS] = {"uploads", "Files uploaded."},
        [COUNT_UPLOADED_BYTES] = {"uploaded_bytes", "Bytes of them."},
        [COUNT_DOWNLOADS] = {"downloads", "Files sent."},
        [COUNT_THUMBNAILS_SERVED] = {"thumbnails_served", "Thumbnails sent."},
        [COUNT_THUMBNAILS_MADE] = {"thumbnails_made", "Thumbnails made."},
        [COUNT_THUMBNAILS_FAILED] = {"thumbnails_failed", "Files no thumbnail could be made of."},
        [COUNT_FETCHES] = {"fetches", "Files fetched from other servers."},
        [COUNT_FETCHES_FAILED] = {"fetches_failed", "Files that could not be fetched from them."},
        [COUNT_REMOTE_REMOVED] = {"remote_removed", "Files of other servers that were removed."},
    };
    for (int i = 0; i < MEDIA_COUNTS; i++)
        buf_printf(out,
                   "# HELP concorde_media_%s_total %s\n# TYPE concorde_media_%s_total counter\n"
                   "concorde_media_%s_total %lld\n",
                   names[i][0], names[i][1], names[i][0], names[i][0],
                   (long long)atomic_load_explicit(&r->counts[i], memory_order_relaxed));
    LOCKED(&r->lock);
    buf_printf(out,
               "# HELP concorde_media_thumbnailers Programs that are making a thumbnail.\n"
               "# TYPE concorde_media_thumbnailers gauge\n"
               "concorde_media_thumbnailers %d\n",
               r->decoders - r->decoders_free);
}

/* ---- life ---- */

struct media_repo *media_repo_create(void)
{
    struct media_repo *r = mem_zalloc(sizeof *r);
    long processors = sysconf(_SC_NPROCESSORS_ONLN);
    lock_init(&r->lock, RANK_MEDIA);
    for (int i = 0; i < BUCKETS; i++)
        r->uploads[i].next = r->uploads[i].prev = &r->uploads[i];
    r->asking.next = r->asking.prev = &r->asking;
    r->fetches = fetches_create();
    r->decoders = r->decoders_free = processors < 1              ? 1
                                     : processors < DECODERS_MAX ? (int)processors
                                                                 : DECODERS_MAX;
    return r;
}

void media_repo_destroy(struct media_repo *r)
{
    if (!r)
        return;
    assert(r->asking.next == &r->asking && r->decoders_free == r->decoders);
    fetches_destroy(r->fetches);
    lock_finish(&r->lock);
    free(r);
}
