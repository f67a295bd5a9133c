#include "users/device_state.h"

#include "base/lock.h"
#include "base/map.h"
#include "base/mem.h"
#include "storage/db/feed.h"

enum { ENTRIES_MAX = 65536, FEED_READ_MAX = 1000 };

struct entry {
    int64_t device;
    int64_t as_of;                 /* the position at which the summary was true */
    struct device_summary summary; /* its texts are malloc'd */
    struct entry *newer, *older;
};

struct device_states {
    struct lock lock;
    struct map entries; /* devices.id -> struct entry */
    struct entry *newest, *oldest;
    int64_t hits, misses;
};

struct device_states *device_states_create(void)
{
    struct device_states *s = mem_zalloc(sizeof *s);
    lock_init(&s->lock, RANK_CACHE);
    return s;
}

static void unlink_entry_locked(struct device_states *s, struct entry *e)
{
    *(e->newer ? &e->newer->older : &s->newest) = e->older;
    *(e->older ? &e->older->newer : &s->oldest) = e->newer;
}

static void device_state_link_newest_locked(struct device_states *s, struct entry *e)
{
    e->newer = NULL;
    e->older = s->newest;
    *(s->newest ? &s->newest->newer : &s->oldest) = e;
    s->newest = e;
}

static void clear_summary(struct entry *e)
{
    free((char *)e->summary.one_time_key_counts);
    free((char *)e->summary.unused_fallback_types);
}

static void drop_entry_locked(struct device_states *s, struct entry *e)
{
    unlink_entry_locked(s, e);
    map_remove_int(&s->entries, e->device);
    clear_summary(e);
    free(e);
}

void device_states_destroy(struct device_states *s)
{
    if (!s)
        return;
    while (s->oldest)
        drop_entry_locked(s, s->oldest);
    map_finish(&s->entries);
    lock_finish(&s->lock);
    free(s);
}

/* Copies the entry out; false if there is none. */
static bool device_state_look_up(struct job *job, int64_t device, struct device_summary *ret,
                                 int64_t *ret_as_of)
{
    struct device_states *s = job->node->device_states;
    LOCKED(&s->lock);
    struct entry *e = map_get_int(&s->entries, device);
    if (!e)
        return false;
    unlink_entry_locked(s, e);
    device_state_link_newest_locked(s, e);
    *ret = e->summary;
    ret->one_time_key_counts = arena_strdup(job->arena, e->summary.one_time_key_counts);
    ret->unused_fallback_types = arena_strdup(job->arena, e->summary.unused_fallback_types);
    *ret_as_of = e->as_of;
    return true;
}

/* Stores the summary unless a newer one is cached. */
static void device_state_store(struct job *job, int64_t device,
                               const struct device_summary *summary, int64_t as_of)
{
    struct device_states *s = job->node->device_states;
    LOCKED(&s->lock);
    struct entry *e = map_get_int(&s->entries, device);
    if (e && e->as_of > as_of)
        return;
    if (!e) {
        if (s->entries.n >= ENTRIES_MAX)
            drop_entry_locked(s, s->oldest);
        e = mem_zalloc(sizeof *e);
        e->device = device;
        map_put_int(&s->entries, device, e);
        device_state_link_newest_locked(s, e);
    }
    clear_summary(e);
    e->as_of = as_of;
    e->summary = *summary;
    e->summary.one_time_key_counts = mem_strdup(summary->one_time_key_counts);
    e->summary.unused_fallback_types = mem_strdup(summary->unused_fallback_types);
}

static void device_state_count(struct job *job, bool hit)
{
    struct device_states *s = job->node->device_states;
    LOCKED(&s->lock);
    *(hit ? &s->hits : &s->misses) += 1;
}

/* Updates a summary from the feed; false if the database must be read instead. */
static bool device_state_catch_up(struct job *job, const struct device_ref *device,
                                  struct device_summary *summary, int64_t *as_of)
{
    struct feed *f = job->node->feed;
    int64_t now = feed_position(f);
    if (feed_user_position(f, device->user) > *as_of) {
        const struct change *changes;
        size_t n;
        bool more;
        feed_read_user(f, job->arena, device->user, *as_of, now,
                       1u << CHANGE_TO_DEVICE | 1u << CHANGE_DEVICE_KEYS, FEED_READ_MAX, &changes,
                       &n, &more);
        if (more)
            return false;
        for (size_t i = 0; i < n; i++) {
            if (strcmp(changes[i].device.device_id, device->device_id) != 0)
                continue;
            if (changes[i].kind == CHANGE_DEVICE_KEYS)
                return false;
            if (changes[i].position > summary->last_message)
                summary->last_message = changes[i].position;
            if (!summary->first_message)
                summary->first_message = changes[i].position;
        }
    }
    /* Checked last: if the ring still covers the position now, it did so throughout. */
    if (!feed_covers(f, *as_of))
        return false;
    *as_of = now;
    return true;
}

const struct err *device_state_get(struct job *job, const struct device_ref *device,
                                   struct device_summary *ret)
{
    struct device_summary summary = {.one_time_key_counts = "{}", .unused_fallback_types = "[]"};
    int64_t as_of;
    if (!device->device) { /* e.g. an application service */
        *ret = summary;
        return NULL;
    }
    bool hit = device_state_look_up(job, device->device, &summary, &as_of) &&
               device_state_catch_up(job, device, &summary, &as_of);
    device_state_count(job, hit);
    if (!hit) {
        as_of = feed_position(job->node->feed);
        TRY(device_summary_read(job_tx(job), device->device, &summary));
    }
    device_state_store(job, device->device, &summary, as_of);
    *ret = summary;
    return NULL;
}

/* The messages up to `until` have been deleted from the database. */
static void device_state_forget_messages(struct job *job, int64_t device, int64_t until)
{
    struct device_states *s = job->node->device_states;
    LOCKED(&s->lock);
    struct entry *e = map_get_int(&s->entries, device);
    if (!e)
        return;
    if (e->summary.last_message <= until)
        e->summary.first_message = e->summary.last_message = 0;
    else if (e->summary.first_message <= until)
        e->summary.first_message = until + 1;
}

const struct err *device_state_read_messages(struct job *job, const struct device_ref *device,
                                             int64_t since, int64_t until, int limit,
                                             const struct to_device_message **ret, size_t *ret_n,
                                             bool *ret_more)
{
    struct device_summary summary;
    TRY(device_state_get(job, device, &summary));
    if (summary.first_message && summary.first_message <= since) {
        TRY(to_device_delete(job_tx(job), device->device, since));
        device_state_forget_messages(job, device->device, since);
    }
    *ret = NULL;
    *ret_n = 0;
    *ret_more = false;
    if (summary.last_message > since)
        return to_device_read(job_tx(job), device->device, since, until, limit, ret, ret_n,
                              ret_more);
    return NULL;
}

void device_states_add_metrics(struct device_states *s, struct buf *out)
{
    LOCKED(&s->lock);
    buf_printf(out,
               "# HELP concorde_device_states Users whose devices are in memory.\n"
               "# TYPE concorde_device_states gauge\nconcorde_device_states %zu\n"
               "# HELP concorde_device_state_hits_total Users whose devices were found in memory.\n"
               "# TYPE concorde_device_state_hits_total counter\n"
               "concorde_device_state_hits_total %lld\n"
               "# HELP concorde_device_state_misses_total Users whose devices were read from the "
               "database.\n"
               "# TYPE concorde_device_state_misses_total counter\n"
               "concorde_device_state_misses_total %lld\n",
               s->entries.n, (long long)s->hits, (long long)s->misses);
}
