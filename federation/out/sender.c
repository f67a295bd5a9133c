#include "federation/out/sender_internal.h"
#include "users/users.h"

#include "base/clock.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/worker/backoff.h"
#include "federation/federation.h"
#include "federation/peer/request.h"
#include "storage/job_pool.h"
#include "users/typing.h"

#include <sodium.h>
#include <stdio.h>

enum {
    REFUSED_MS = 30000, /* before a refusing server that contacts us is retried */
    LEASE_PAUSE_MS = 1000,
    SETTLE_MS = 1000 /* a transaction that takes longer is repeated by another node */
};

/* ---- destinations ---- */

static struct destination *sender_make_locked(struct sender *s, const char *server)
{
    struct destination *d = mem_zalloc(sizeof *d);
    d->server = mem_strdup(server);
    d->slice = lease_slice_of_name(server);
    d->is_denied = !federation_may_contact(s->node->config, server);
    d->is_live = true;
    d->sent = d->saved = d->receipt_rooms_from = sender_clear_position_locked(s);
    map_put(&s->destinations, str_of(d->server), d);
    return d;
}

struct destination *sender_destination_locked(struct sender *s, const char *server)
{
    struct destination *d = map_get(&s->destinations, str_of(server));
    if (!d && s->destinations.n < DESTINATIONS_MAX)
        d = sender_make_locked(s, server);
    return d && !d->is_denied ? d : NULL;
}

struct destination *sender_held_locked(struct sender *s, const char *server)
{
    struct destination *d = sender_destination_locked(s, server);
    return d && s->slices[d->slice].fence ? d : NULL;
}

void sender_destination_destroy(struct destination *d)
{
    queue_clear_locked(d);
    for (size_t i = 0; i < d->typing_n; i++)
        free(d->typing[i].user_id);
    free(d->typing);
    free(d->receipt_rooms);
    free(d->server);
    free(d);
}

/* ---- turns ---- */

static bool has_pending_locked(const struct sender *s, const struct destination *d)
{
    int64_t clear = sender_clear_position_locked(s);
    if (d->n && d->queue[d->first].position <= clear)
        return true;
    for (int i = 0; i < PENDING_KINDS; i++)
        if (d->pending[i] > d->sent && d->sent < clear)
            return true;
    return (d->must_resend && !d->failing_since) || (!d->is_live && d->sent < clear) ||
           d->typing_n || d->presence_to > d->presence_from;
}

void sender_consider_locked(struct sender *s, struct destination *d)
{
    if (d->is_busy || d->is_denied || d->is_dropped || !s->slices[d->slice].has_scanned ||
        s->stopping || !has_pending_locked(s, d))
        return;
    int64_t wait = d->retry_at - now_ms(), until = wait > 0 ? d->retry_at : 0;
    if (d->is_waiting && d->waits_until <= until)
        return;
    d->is_waiting = true;
    d->waits_until = until;
    worker_add_due(d->failing_since ? s->retries : s->turns, (struct worker_key){.text = d->server},
                   until ? mono_ms() + wait : 0);
}

void sender_consider_all_locked(struct sender *s)
{
    for (struct map_slot *slot = NULL; (slot = map_next(&s->destinations, slot));)
        sender_consider_locked(s, slot->value);
}

/* NULL: it has nothing to do now. */
static struct destination *sender_begin_turn(struct sender *s, const char *server)
{
    LOCKED(&s->lock);
    struct destination *d = map_get(&s->destinations, str_of(server));
    if (!d)
        return NULL;
    d->is_waiting = false;
    if (d->is_busy || !s->slices[d->slice].has_scanned || s->stopping)
        return NULL;
    if (!sender_slice_is_valid_locked(s, d->slice))
        d->retry_at = now_ms() + LEASE_PAUSE_MS; /* unless it is lost by then */
    if (d->retry_at > now_ms() || !has_pending_locked(s, d)) {
        sender_consider_locked(s, d);
        return NULL;
    }
    d->is_busy = true;
    return d;
}

static enum worker_outcome sender_turn(void *of, void *thread, struct worker_item *item)
{
    struct sender *s = of;
    struct destination *d = sender_begin_turn(s, item->key.text);
    if (!d)
        return WORKER_DONE;
    sender_work(s, thread, d);
    LOCKED(&s->lock);
    d->is_busy = false;
    if (d->is_dropped)
        sender_destination_destroy(d);
    else
        sender_consider_locked(s, d);
    return WORKER_DONE;
}

/* ---- success and failure ---- */

void sender_succeeded_locked(struct sender *s, struct destination *d)
{
    if (d->failing_since) { /* it was sent no presence: now all who are online */
        d->presence_from = 0;
        d->presence_to = s->presence_position;
    }
    d->failing_since = d->retry_at = d->retry_interval = 0;
    d->is_refusing = false;
    d->last_error[0] = '\0';
    sender_note_dirty_locked(s, d);
}

void sender_failed_locked(struct sender *s, struct destination *d, const char *why,
                          int64_t at_least_ms)
{
    const struct config *c = s->node->config;
    const struct backoff backoff = {.first_ms = c->federation_retry_min_ms,
                                    .max_ms = c->federation_retry_max_ms,
                                    .factor = 2,
                                    .from_percent = 50,
                                    .to_percent = 100};
    int64_t now = now_ms();
    if (!d->failing_since)
        d->failing_since = now;
    d->retry_interval = backoff_interval(&backoff, d->retry_interval);
    int64_t wait = backoff_wait(&backoff, d->retry_interval, randombytes_random());
    if (at_least_ms > c->federation_retry_max_ms)
        at_least_ms = c->federation_retry_max_ms;
    d->retry_at = now + (wait > at_least_ms ? wait : at_least_ms);
    snprintf(d->last_error, sizeof d->last_error, "%s", why);
    sender_note_dirty_locked(s, d);
}

/* No earlier than the first retry of a failing server. */
static void end_backoff_locked(struct sender *s, struct destination *d)
{
    int64_t pause = s->node->config->federation_retry_min_ms;
    if (d->is_refusing && pause < REFUSED_MS)
        pause = d->retry_interval < REFUSED_MS ? d->retry_interval : REFUSED_MS;
    int64_t earliest = d->last_attempt + pause;
    if (d->retry_at > earliest)
        d->retry_at = earliest;
    if (!d->is_refusing)
        d->retry_interval = 0;
    sender_consider_locked(s, d);
}

void sender_heard_from(struct sender *s, const char *server)
{
    if (!s)
        return;
    LOCKED(&s->lock);
    struct destination *d = map_get(&s->destinations, str_of(server));
    if (!d || !d->failing_since)
        return;
    end_backoff_locked(s, d);
    if (s->on_return)
        s->on_return(s->on_return_of);
}

void sender_on_return(struct sender *s, void (*fn)(void *of), void *of)
{
    s->on_return = fn;
    s->on_return_of = of;
}

static bool is_backed_off(void *of, const char *server)
{
    struct sender *s = of;
    LOCKED(&s->lock);
    struct destination *d = map_get(&s->destinations, str_of(server));
    return d && d->failing_since && !d->is_refusing && d->retry_at > now_ms();
}

static void request_ended(void *of, const char *server, bool reached)
{
    struct sender *s = of;
    LOCKED(&s->lock);
    struct destination *d =
        reached ? map_get(&s->destinations, str_of(server)) : sender_destination_locked(s, server);
    if (!d || d->is_busy || d->is_denied) /* the sending thread will notice */
        return;
    if (reached && d->failing_since && !d->is_refusing) {
        sender_succeeded_locked(s, d);
        sender_consider_locked(s, d);
    } else if (!reached && d->retry_at <= now_ms()) {
        d->last_attempt = now_ms();
        sender_failed_locked(s, d, "another request to it failed", 0);
    }
}

struct peer_watch sender_watch(struct sender *s)
{
    return (struct peer_watch){s, is_backed_off, request_ended};
}

/* ---- life ---- */

/* Failing destinations get at most half of the threads, so that they cannot delay the others. */
static void sender_create_kinds(struct sender *s)
{
    int n = (int)s->node->config->federation_senders;
    s->pool = job_pool_create(s->node, "fed-sender", n);
    s->turns = worker_kind_create(
        s->pool, &(struct worker_settings){.name = "transactions", .of = s, .run = sender_turn});
    s->retries =
        worker_kind_create(s->pool, &(struct worker_settings){.name = "transactions again",
                                                              .of = s,
                                                              .run = sender_turn,
                                                              .at_once_max = n > 1 ? n / 2 : 1});
    s->keeper = sender_keeper_create(s);
}

struct sender *sender_create(struct node *node)
{
    struct sender *s = mem_zalloc(sizeof *s);
    lock_init(&s->lock, RANK_SENDER);
    s->node = node;
    s->last_unresolved = &s->unresolved;
    s->heard = s->presence_position = s->advanced = feed_position(node->storage->feed);
    sender_create_kinds(s);
    sender_slices_init(s);
    typing_listen(node->users->typing, sender_on_typing, s);
    return s;
}

void sender_start(struct sender *s)
{
    s->is_running = true;
    worker_pool_start(s->pool);
    worker_kind_start(s->keeper);
    sender_keep(s, KEEPER_PRESENCE, 0);
}

void sender_halt(struct sender *s)
{
    if (!s)
        return;
    LOCKED(&s->lock);
    s->stopping = true;
}

static void sender_save_last(struct sender *s)
{
    arena_auto struct arena *a = arena_create();
    struct job job;
    job_init(&job, s->node, a);
    const struct err *e = sender_save(s, &job);
    if (e)
        log_err(LOG_WARN, "saving the cursors of other servers", e);
    job_finish(&job);
}

void sender_hand_over(struct sender *s, int within_ms)
{
    sender_halt(s);
    sender_slices_settle(s, within_ms < SETTLE_MS ? within_ms : SETTLE_MS);
    sender_save_last(s);
}

void sender_stop(struct sender *s)
{
    if (!s || !s->is_running)
        return;
    sender_halt(s);
    worker_pool_stop(s->pool);
    worker_kind_stop(s->keeper);
    sender_save_last(s);
    s->is_running = false;
}

void sender_destroy(struct sender *s)
{
    if (!s)
        return;
    worker_kind_destroy(s->turns);
    worker_kind_destroy(s->retries);
    worker_kind_destroy(s->keeper);
    worker_pool_destroy(s->pool);
    for (struct map_slot *slot = NULL; (slot = map_next(&s->destinations, slot));)
        sender_destination_destroy(slot->value);
    map_finish(&s->destinations);
    for (struct unresolved *u = s->unresolved, *next; u; u = next) {
        next = u->next;
        event_unref(u->event);
        free(u);
    }
    free(s->touched);
    free(s->dirty);
    lock_finish(&s->lock);
    free(s);
}
