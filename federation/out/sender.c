#include "federation/out/sender_internal.h"
#include "users/users.h"

#include "base/clock.h"
#include "base/mem.h"
#include "base/thread.h"
#include "base/worker/backoff.h"
#include "federation/federation.h"
#include "federation/peer/request.h"
#include "users/typing.h"

#include <sodium.h>
#include <stdio.h>

enum { REFUSED_MS = 30000 }; /* before a refusing server that contacts us is retried */

/* ---- destinations ---- */

static struct destination *sender_make_locked(struct sender *s, const char *server)
{
    struct destination *d = mem_zalloc(sizeof *d);
    d->server = mem_strdup(server);
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

static void out_sender_destroy(struct destination *d)
{
    queue_clear_locked(d);
    for (size_t i = 0; i < d->typing_n; i++)
        free(d->typing[i].user_id);
    free(d->typing);
    free(d->receipt_rooms);
    free(d->server);
    free(d);
}

/* ---- which destination is next ---- */

static void sender_list_add(struct destination_list *l, struct destination *d)
{
    d->next = NULL;
    *l->last = d;
    l->last = &d->next;
}

static struct destination *list_take(struct destination_list *l)
{
    struct destination *d = l->first;
    if (d && !(l->first = d->next))
        l->last = &l->first;
    return d;
}

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
    if (d->is_busy || d->is_waiting || d->is_denied || !s->has_scanned || s->stopping)
        return;
    if (d->retry_at > now_ms() || !has_pending_locked(s, d))
        return;
    d->is_waiting = true;
    sender_list_add(d->failing_since ? &s->retries : &s->ready, d);
    pthread_cond_signal(&s->work);
}

void sender_consider_all_locked(struct sender *s)
{
    for (struct map_slot *slot = NULL; (slot = map_next(&s->destinations, slot));)
        sender_consider_locked(s, slot->value);
}

/* Failing destinations get at most half of the threads, so that they cannot delay the others. */
static struct destination *sender_take_due_locked(struct sender *s, bool *ret_is_retry)
{
    struct destination *d = list_take(&s->ready);
    *ret_is_retry = !d;
    if (!d && s->busy_retries < s->threads_n / 2)
        d = list_take(&s->retries);
    return d;
}

static void *send_for_all(void *arg)
{
    struct sender *s = arg;
    arena_auto struct arena *a = arena_create();
    lock_take(&s->lock);
    while (!s->stopping) {
        bool is_retry;
        struct destination *d = sender_take_due_locked(s, &is_retry);
        if (!d) {
            lock_wait(&s->lock, &s->work);
            continue;
        }
        d->is_waiting = false;
        d->is_busy = true;
        s->busy_retries += is_retry;
        lock_release(&s->lock);
        sender_work(s, a, d);
        arena_reset(a);
        lock_take(&s->lock);
        s->busy_retries -= is_retry;
        d->is_busy = false;
        sender_consider_locked(s, d);
        if (is_retry && s->retries.first)
            pthread_cond_signal(&s->work);
    }
    lock_release(&s->lock);
    return NULL;
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
    d->is_dirty = s->must_save = true;
    pthread_cond_signal(&s->keep);
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
    d->is_dirty = s->must_save = true;
    pthread_cond_signal(&s->keep);
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

struct sender *sender_create(struct node *node)
{
    struct sender *s = mem_zalloc(sizeof *s);
    lock_init(&s->lock, RANK_SENDER);
    cond_init(&s->work);
    cond_init(&s->keep);
    s->node = node;
    s->ready.last = &s->ready.first;
    s->retries.last = &s->retries.first;
    s->last_unresolved = &s->unresolved;
    s->heard = s->presence_position = feed_position(node->storage->feed);
    s->must_scan = s->must_look = true;
    typing_listen(node->users->typing, sender_on_typing, s);
    return s;
}

void sender_start(struct sender *s)
{
    int n = (int)s->node->config->federation_senders;
    LOCKED(&s->lock);
    s->threads = mem_zalloc((size_t)n * sizeof *s->threads);
    s->running = thread_start(&s->keeper, "fed-keeper", sender_keep, s);
    while (s->running && s->threads_n < n &&
           thread_start(&s->threads[s->threads_n], "fed-sender", send_for_all, s))
        s->threads_n++;
}

void sender_halt(struct sender *s)
{
    if (!s)
        return;
    LOCKED(&s->lock);
    s->stopping = true;
    pthread_cond_broadcast(&s->work);
    pthread_cond_signal(&s->keep);
}

void sender_stop(struct sender *s)
{
    if (!s || !s->running)
        return;
    sender_halt(s);
    for (int i = 0; i < s->threads_n; i++)
        pthread_join(s->threads[i], NULL);
    pthread_join(s->keeper, NULL);
    s->running = false;
}

void sender_destroy(struct sender *s)
{
    if (!s)
        return;
    for (struct map_slot *slot = NULL; (slot = map_next(&s->destinations, slot));)
        out_sender_destroy(slot->value);
    map_finish(&s->destinations);
    for (struct unresolved *u = s->unresolved, *next; u; u = next) {
        next = u->next;
        event_unref(u->event);
        free(u);
    }
    free(s->touched);
    free(s->threads);
    pthread_cond_destroy(&s->work);
    pthread_cond_destroy(&s->keep);
    lock_finish(&s->lock);
    free(s);
}
