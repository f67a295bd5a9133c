#include "users/message_quota.h"
#include "users/users.h"

#include "base/lock.h"
#include "base/map.h"
#include "base/mem.h"

enum {
    ENTRIES_MAX = 65536, /* then all counts are reset; each may exceed its bound by an eighth */
    DROP_PAGE = 1000,    /* messages deleted by one statement */
    LOOKS_MAX = 5
};

typedef const struct err *measure_fn(struct tx *tx, int64_t id, struct to_device_amount *ret);
typedef const struct err *drop_fn(struct tx *tx, int64_t id, int64_t max, int64_t *ret_n);

/* What was added since the last check, by the id of a source or device. */
struct counts {
    struct map added; /* -> struct to_device_amount */
    measure_fn *measure;
    drop_fn *drop;
};

struct message_quota {
    struct lock lock;
    struct counts sources, devices;
    int64_t dropped, looks;
};

struct message_quota *message_quota_create(void)
{
    struct message_quota *q = mem_zalloc(sizeof *q);
    lock_init(&q->lock, RANK_CACHE);
    q->sources = (struct counts){.measure = to_device_caused, .drop = to_device_drop_caused};
    q->devices = (struct counts){.measure = to_device_waiting, .drop = to_device_drop_waiting};
    return q;
}

static void message_quota_forget_all(struct counts *c)
{
    for (struct map_slot *s = NULL; (s = map_next(&c->added, s));)
        free(s->value);
    map_finish(&c->added);
    c->added = (struct map){0};
}

void message_quota_destroy(struct message_quota *q)
{
    if (!q)
        return;
    message_quota_forget_all(&q->sources);
    message_quota_forget_all(&q->devices);
    lock_finish(&q->lock);
    free(q);
}

/* True if the database must be checked; the count then starts again. */
static bool message_quota_add_locked(struct counts *c, int64_t id, size_t bytes,
                                     const struct to_device_amount *max)
{
    struct to_device_amount *a = map_get_int(&c->added, id);
    if (!a) {
        if (c->added.n >= ENTRIES_MAX)
            message_quota_forget_all(c);
        a = mem_zalloc(sizeof *a);
        map_put_int(&c->added, id, a);
    }
    a->n++;
    a->bytes += (int64_t)bytes;
    if (a->n <= max->n / 8 && a->bytes <= max->bytes / 8)
        return false;
    *a = (struct to_device_amount){0};
    return true;
}

/* The number of messages to drop, assuming average size: down to seven eighths of the bound, so
 * that the next check is as far away as the last. */
static int64_t surplus(const struct to_device_amount *is, const struct to_device_amount *max)
{
    int64_t n = is->n - (max->n - max->n / 8), bytes = is->bytes - (max->bytes - max->bytes / 8);
    int64_t of_bytes = bytes > 0 && is->n ? bytes / (is->bytes / is->n) + 1 : 0;
    return n > of_bytes ? n : of_bytes;
}

static const struct err *message_quota_drop(struct job *job, const struct counts *c, int64_t id,
                                            int64_t n)
{
    int64_t dropped = 0, gone = DROP_PAGE;
    for (; dropped < n && gone; dropped += gone)
        TRY(c->drop(job_tx(job), id, n - dropped < DROP_PAGE ? n - dropped : DROP_PAGE, &gone));
    LOCKED(&job->users->message_quota->lock);
    job->users->message_quota->dropped += dropped;
    return NULL;
}

static const struct err *message_quota_look(struct job *job, const struct counts *c, int64_t id,
                                            const struct to_device_amount *max)
{
    struct to_device_amount is;
    lock_take(&job->users->message_quota->lock);
    job->users->message_quota->looks++;
    lock_release(&job->users->message_quota->lock);
    for (int i = 0; i < LOOKS_MAX; i++) {
        TRY(c->measure(job_tx(job), id, &is));
        int64_t n = surplus(&is, max);
        if (n <= 0)
            return NULL;
        TRY(message_quota_drop(job, c, id, n));
    }
    return NULL;
}

const struct err *message_quota_caused(struct job *job, int64_t source, size_t bytes)
{
    const struct config *config = job->config;
    struct message_quota *q = job->users->message_quota;
    const struct to_device_amount max = {INT64_MAX, source > 0 ? config->to_device_per_user
                                                               : config->to_device_per_server};
    lock_take(&q->lock);
    bool is_time = message_quota_add_locked(&q->sources, source, bytes, &max);
    lock_release(&q->lock);
    return is_time ? message_quota_look(job, &q->sources, source, &max) : NULL;
}

const struct err *message_quota_waits(struct job *job, const struct to_device_address *to, size_t n,
                                      size_t message_bytes)
{
    struct message_quota *q = job->users->message_quota;
    const struct to_device_amount max = {DEVICE_WAITING_MAX, job->config->to_device_per_device};
    size_t full_n = 0;
    int64_t *full = NULL;
    lock_take(&q->lock);
    for (size_t i = 0; i < n; i++)
        if (message_quota_add_locked(&q->devices, to[i].device, message_bytes, &max)) {
            full = full ? full : arena_alloc_array(job->arena, n, sizeof *full);
            full[full_n++] = to[i].device;
        }
    lock_release(&q->lock);
    for (size_t i = 0; i < full_n; i++)
        TRY(message_quota_look(job, &q->devices, full[i], &max));
    return NULL;
}

void message_quota_add_metrics(struct message_quota *q, struct buf *out)
{
    LOCKED(&q->lock);
    buf_printf(out,
               "# HELP concorde_to_device_dropped_total Messages to devices that went, for too "
               "much waited.\n"
               "# TYPE concorde_to_device_dropped_total counter\n"
               "concorde_to_device_dropped_total %lld\n"
               "# HELP concorde_to_device_looks_total How often it was looked how much waits.\n"
               "# TYPE concorde_to_device_looks_total counter\n"
               "concorde_to_device_looks_total %lld\n",
               (long long)q->dropped, (long long)q->looks);
}
