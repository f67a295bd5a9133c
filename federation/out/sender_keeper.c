/* The keeper: the thread for the sender's work that needs the database or a timer. */
#include "federation/out/sender_internal.h"

#include "base/clock.h"
#include "base/log.h"

enum {
    SAVE_MS = 50,       /* between writes of cursors */
    TICK_MS = 1000,     /* for presence */
    RETRY_TICK_MS = 100 /* for retries that are due */
};

static void sender_keeper_note(const char *doing, const struct err *e)
{
    if (e)
        log_err(LOG_WARN, doing, e);
}

/* Runs one piece of work in a job of its own; the arena is empty again afterwards. */
static const struct err *sender_keeper_keep(struct sender *s, struct arena *a,
                                            const struct err *(*work)(struct sender *s,
                                                                      struct job *job))
{
    struct job job;
    arena_reset(a);
    job_init(&job, s->node, a);
    const struct err *e = work(s, &job);
    job_finish(&job);
    return e;
}

/* The time at which the keeper has something to do next; false: now. */
static bool plan_locked(struct sender *s, int64_t last_save, int64_t last_tick, int64_t *ret)
{
    bool failing = false;
    int64_t now = now_ms();
    for (struct map_slot *slot = NULL; !failing && (slot = map_next(&s->destinations, slot));) {
        const struct destination *d = slot->value;
        failing = d->retry_at > now;
    }
    *ret = last_tick + (failing ? RETRY_TICK_MS : TICK_MS);
    if (s->must_save && last_save + SAVE_MS < *ret)
        *ret = last_save + SAVE_MS;
    return !s->must_look && !s->stopping && mono_ms() < *ret;
}

static void sender_keeper_look(struct sender *s, struct arena *a)
{
    lock_take(&s->lock);
    bool must_scan = s->must_scan, must_resolve = s->unresolved != NULL;
    s->must_look = false;
    lock_release(&s->lock);
    if (must_scan)
        sender_keeper_note("finding servers with pending changes",
                           sender_keeper_keep(s, a, sender_scan));
    if (must_resolve)
        sender_keeper_note("finding the servers for changes",
                           sender_keeper_keep(s, a, sender_resolve));
}

void *sender_keep(void *arg)
{
    struct sender *s = arg;
    arena_auto struct arena *a = arena_create();
    int64_t last_save = 0, last_tick = 0, last_slow = 0, until;
    lock_take(&s->lock);
    while (!s->stopping) {
        if (plan_locked(s, last_save, last_tick, &until)) {
            lock_wait_until(&s->lock, &s->keep, until);
            continue;
        }
        bool must_save = s->must_save && mono_ms() >= last_save + SAVE_MS;
        lock_release(&s->lock);
        last_tick = mono_ms();
        sender_keeper_look(s, a);
        if (must_save) {
            sender_keeper_note("saving the cursors of other servers",
                               sender_keeper_keep(s, a, sender_save));
            last_save = mono_ms();
        }
        if (last_tick >= last_slow + TICK_MS) {
            sender_keeper_note("marking presence for other servers",
                               sender_keeper_keep(s, a, sender_spread_presence));
            last_slow = last_tick;
        }
        lock_take(&s->lock);
        sender_consider_all_locked(s);
    }
    lock_release(&s->lock);
    sender_keeper_note("saving the cursors of other servers",
                       sender_keeper_keep(s, a, sender_save));
    return NULL;
}
