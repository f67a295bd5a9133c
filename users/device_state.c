#include "users/device_state.h"
#include "users/users.h"

#include "base/cache.h"
#include "base/mem.h"
#include "storage/db/feed.h"

enum { FEED_READ_MAX = 1000 };

struct device_entry {
    struct cache_entry entry;
    int64_t device;
    int64_t as_of;                 /* the position at which the summary was true */
    struct device_summary summary; /* its texts are malloc'd */
};

struct device_states {
    struct cache cache; /* by devices.id */
};

static void device_state_clear(struct device_entry *e)
{
    free((char *)e->summary.one_time_key_counts);
    free((char *)e->summary.unused_fallback_types);
}

static void device_state_destroy(struct cache_entry *entry)
{
    device_state_clear((struct device_entry *)entry);
    free(entry);
}

static const struct cache_kind device_kind = {.name = "devices",
                                              .rank = RANK_CACHE,
                                              .share = 16,
                                              .by_id = true,
                                              .destroy = device_state_destroy};

struct device_states *device_states_create(struct cache_budget *b)
{
    struct device_states *s = mem_zalloc(sizeof *s);
    cache_init(&s->cache, b, &device_kind, NULL);
    return s;
}

void device_states_destroy(struct device_states *s)
{
    if (!s)
        return;
    cache_finish(&s->cache);
    free(s);
}

/* Copies the entry out; false if there is none. */
static bool device_state_look_up(struct job *job, int64_t device, struct device_summary *ret,
                                 int64_t *ret_as_of)
{
    struct cache *c = &job->users->device_states->cache;
    CACHE_LOCKED(c);
    const struct device_entry *e = cache_peek_locked(c, cache_key_int(&device));
    if (!e)
        return false;
    *ret = e->summary;
    ret->one_time_key_counts = arena_strdup(job->arena, e->summary.one_time_key_counts);
    ret->unused_fallback_types = arena_strdup(job->arena, e->summary.unused_fallback_types);
    *ret_as_of = e->as_of;
    return true;
}

/* was_known: it came from memory. */
static struct device_entry *device_state_entry_locked(struct cache *c, int64_t device,
                                                      bool was_known)
{
    struct device_entry *e = cache_peek_locked(c, cache_key_int(&device));
    cache_count_locked(c, was_known && e ? &e->entry : NULL);
    if (!e) {
        e = mem_zalloc(sizeof *e);
        e->device = device;
        e->entry.key = cache_key_int(&e->device);
        cache_add_locked(c, &e->entry);
    }
    return e;
}

/* Stores the summary unless a newer one is cached. */
static void device_state_store(struct job *job, int64_t device,
                               const struct device_summary *summary, int64_t as_of, bool was_known)
{
    struct cache *c = &job->users->device_states->cache;
    CACHE_LOCKED(c);
    struct device_entry *e = device_state_entry_locked(c, device, was_known);
    if (e->as_of > as_of)
        return;
    device_state_clear(e);
    e->as_of = as_of;
    e->summary = *summary;
    e->summary.one_time_key_counts = mem_strdup(summary->one_time_key_counts);
    e->summary.unused_fallback_types = mem_strdup(summary->unused_fallback_types);
    cache_resize_locked(c, &e->entry,
                        sizeof *e + strlen(summary->one_time_key_counts) +
                            strlen(summary->unused_fallback_types));
}

/* Updates a summary from the feed; false if the database must be read instead. */
static bool device_state_catch_up(struct job *job, const struct device_ref *device,
                                  struct device_summary *summary, int64_t *as_of)
{
    struct feed *f = job->storage->feed;
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
    if (!hit) {
        as_of = feed_position(job->storage->feed);
        TRY(device_summary_read(job_tx(job), device->device, &summary));
    }
    device_state_store(job, device->device, &summary, as_of, hit);
    *ret = summary;
    return NULL;
}

/* The messages up to `until` have been deleted from the database. */
static void device_state_forget_messages(struct job *job, int64_t device, int64_t until)
{
    struct cache *c = &job->users->device_states->cache;
    CACHE_LOCKED(c);
    struct device_entry *e = cache_peek_locked(c, cache_key_int(&device));
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
