/* The threads that fetch keys: from each server itself, then from the notaries. If the queue is
 * long, the notaries are first, since one answer has the keys of many servers. */
#include "base/clock.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/thread.h"
#include "federation/keys/keyring_internal.h"
#include "federation/peer/reply.h"
#include "federation/peer/request.h"

enum { MANY = 8, AT_ONCE_MAX = 50 };

/* What one thread works on. The entries are not evicted while they are asked. */
struct task {
    struct keyring *k;
    struct job *job;
    struct key_server *servers[AT_ONCE_MAX];
    struct key_query queries[AT_ONCE_MAX]; /* copies: readable without the lock */
    bool answered[AT_ONCE_MAX];
    size_t n;
    bool many; /* asks the notaries; servers still missing are queued again */
    bool skip_notaries;
    int64_t wait_ms; /* > 0: the server asked us to wait */
};

/* ---- the queue ---- */

static void put_locked(struct keyring *k, struct key_server *s, bool first)
{
    s->next = first ? k->first : NULL;
    if (first || !k->first)
        k->first = s;
    else
        k->last->next = s;
    if (!s->next)
        k->last = s;
    k->queue_n++;
}

static struct key_server *keyring_askers_take_locked(struct keyring *k)
{
    struct key_server *s = k->first;
    k->first = s->next;
    k->queue_n--;
    return s;
}

/* A room may name thousands of dead servers: servers that a later request needs must not be queued
 * behind them. */
static void drop_late_locked(struct keyring *k)
{
    bool dropped = false;
    for (; k->first && k->first->give_up_mono < mono_ms(); dropped = true)
        key_server_dropped(keyring_askers_take_locked(k));
    if (dropped)
        pthread_cond_broadcast(&k->answered);
}

/* ---- servers that asked us to wait ---- */

/* The notaries were asked already. Idle threads check when it is due. */
static void put_later_locked(struct keyring *k, struct key_server *s, int64_t at_mono)
{
    s->notaries_asked = true;
    s->not_before_mono = at_mono;
    s->next = k->later;
    k->later = s;
    pthread_cond_broadcast(&k->queued);
}

static void keyring_askers_take_due_locked(struct keyring *k)
{
    int64_t now = mono_ms();
    for (struct key_server *s, **at = &k->later; (s = *at);) {
        if (s->not_before_mono > now) {
            at = &s->next;
            continue;
        }
        *at = s->next;
        put_locked(k, s, false);
        pthread_cond_signal(&k->queued);
    }
}

static void wait_for_work_locked(struct keyring *k)
{
    int64_t due = INT64_MAX;
    for (const struct key_server *s = k->later; s; s = s->next)
        due = s->not_before_mono < due ? s->not_before_mono : due;
    k->idle_n++;
    if (k->later)
        lock_wait_until(&k->table.servers.lock, &k->queued, due);
    else
        lock_wait(&k->table.servers.lock, &k->queued);
    k->idle_n--;
}

static void *keyring_askers_run(void *arg);

void keyring_ask_locked(struct keyring *k, struct key_server *s, const char *key_id, bool urgent,
                        int64_t until_mono)
{
    if (k->stopping)
        return;
    s->entry.pinned = true;
    s->missing_id = mem_strdup(key_id);
    s->give_up_mono = until_mono;
    put_locked(k, s, urgent);
    if (k->idle_n < k->queue_n && k->askers_n < KEYRING_ASKERS_MAX &&
        thread_start(&k->askers[k->askers_n], "fed-keys", keyring_askers_run, k))
        k->askers_n++;
    pthread_cond_signal(&k->queued);
}

void keyring_stop(struct keyring *k)
{
    if (!k)
        return;
    cache_lock(&k->table.servers);
    k->stopping = true;
    pthread_cond_broadcast(&k->queued);
    pthread_cond_broadcast(&k->answered);
    cache_unlock(&k->table.servers);
    for (size_t i = 0; i < k->askers_n; i++)
        pthread_join(k->askers[i], NULL);
    k->askers_n = 0;
}

/* ---- results ---- */

static void learn_locked(struct task *e, const struct key_answer *a)
{
    struct key_server *s = key_table_use(&e->k->table, a->keys.server);
    for (size_t i = 0; i < a->keys.n; i++)
        key_server_put(s, &a->keys.keys[i], a->source);
    for (size_t i = 0; i < e->n; i++)
        if (e->servers[i] == s)
            e->answered[i] = true;
}

static void learn(struct task *e, const struct key_answer *answers, size_t n)
{
    CACHE_LOCKED(&e->k->table.servers);
    for (size_t i = 0; i < n; i++)
        learn_locked(e, &answers[i]);
}

/* Whether it has answered, with the wanted key. */
static bool keyring_askers_is_done_locked(const struct task *e, size_t i)
{
    return e->answered[i] &&
           (!e->queries[i].key_id || key_server_find(e->servers[i], e->queries[i].key_id, 0));
}

static bool keyring_askers_is_done(struct task *e)
{
    CACHE_LOCKED(&e->k->table.servers);
    return e->n == 1 && keyring_askers_is_done_locked(e, 0);
}

/* ---- requests ---- */

static void keyring_askers_note_failure(const char *server, const struct err *e)
{
    enum log_level level = e->code == ERR_INTERNAL ? LOG_WARN : LOG_DEBUG;
    if (log_wants(level) && log_limited("keys of another server", LOG_FEW))
        log_at(level, "the keys of %s: %s%s%s", server, e->text, e->cause[0] ? ": " : "", e->cause);
}

static void ask_notaries(struct task *e)
{
    const struct key_settings *settings = &e->k->settings;
    for (size_t i = 0; i < settings->notaries_n; i++) {
        const struct server_key *notary = &settings->notaries[i];
        const struct key_answer *answers;
        size_t n;
        if (!federation_may_contact(e->k->node->config, notary->server))
            continue;
        const struct err *failed =
            key_fetch_from_notary(e->job, notary, e->queries, e->n, &answers, &n);
        if (failed)
            keyring_askers_note_failure(notary->server, failed);
        else
            learn(e, answers, n);
        if (keyring_askers_is_done(e))
            return;
    }
}

static void ask_directly(struct task *e)
{
    struct key_answer answer;
    const struct err *failed = key_fetch_direct(e->job, e->queries[0].server, &answer);
    e->wait_ms = federation_wait_ms(failed);
    if (failed)
        keyring_askers_note_failure(e->queries[0].server, failed);
    else
        learn(e, &answer, 1);
}

static void go(struct task *e)
{
    if (e->many) {
        ask_notaries(e);
        return;
    }
    ask_directly(e);
    if (!e->skip_notaries && !keyring_askers_is_done(e))
        ask_notaries(e);
}

/* ---- the threads ---- */

static void begin_locked(struct task *e)
{
    struct keyring *k = e->k;
    e->skip_notaries = k->first->notaries_asked;
    e->many = k->settings.notaries_n && k->queue_n >= MANY && !k->first->notaries_asked;
    do {
        struct key_server *s = keyring_askers_take_locked(k);
        e->queries[e->n] = (struct key_query){arena_strdup(e->job->arena, s->name),
                                              arena_strdup(e->job->arena, s->missing_id)};
        e->servers[e->n++] = s;
    } while (e->many && k->first && !k->first->notaries_asked && e->n < AT_ONCE_MAX);
}

/* Whether it asked us to wait, but for less time than the requests wait for it. */
static bool is_for_later_locked(const struct task *e, size_t i)
{
    return e->wait_ms && !keyring_askers_is_done_locked(e, i) &&
           mono_ms() + e->wait_ms < e->servers[i]->give_up_mono;
}

static void end_locked(struct task *e)
{
    struct keyring *k = e->k;
    for (size_t i = 0; i < e->n; i++) {
        struct key_server *s = e->servers[i];
        if (is_for_later_locked(e, i)) {
            put_later_locked(k, s, mono_ms() + e->wait_ms);
            continue;
        }
        s->notaries_asked = e->many && !keyring_askers_is_done_locked(e, i);
        if (s->notaries_asked) {
            put_locked(k, s, false);
            pthread_cond_signal(&k->queued);
            continue;
        }
        *(e->answered[i] ? &k->answers_n : &k->failures_n) += 1;
        key_server_asked(s, e->answered[i], e->wait_ms, mono_ms());
    }
    pthread_cond_broadcast(&k->answered);
}

static void *keyring_askers_run(void *arg)
{
    struct keyring *k = arg;
    struct arena *a = arena_create();
    cache_lock(&k->table.servers);
    while (!k->stopping) {
        keyring_askers_take_due_locked(k);
        drop_late_locked(k);
        if (!k->first) {
            wait_for_work_locked(k);
            continue;
        }
        struct job job;
        job_init(&job, k->node, a);
        struct task e = {.k = k, .job = &job};
        begin_locked(&e);
        cache_unlock(&k->table.servers);
        go(&e);
        job_finish(&job);
        cache_lock(&k->table.servers);
        end_locked(&e);
        arena_reset(a);
    }
    cache_unlock(&k->table.servers);
    arena_destroy(a);
    return NULL;
}
