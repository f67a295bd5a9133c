/* Fetches keys: from each server itself, then from the notaries. If many servers wait, the notaries
 * are first, since one answer has the keys of many. Each server is an item of work. */
#include "base/clock.h"
#include "base/log.h"
#include "base/mem.h"
#include "federation/keys/keyring_internal.h"
#include "federation/peer/reply.h"
#include "federation/peer/request.h"
#include "storage/job_pool.h"

enum { ASKERS = 32, MANY = 8, AT_ONCE_MAX = 50 };

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

static void keyring_askers_put_locked(struct keyring *k, struct key_server *s, bool urgent)
{
    s->is_asked = false;
    if (!s->notaries_asked)
        map_put(&k->unasked, str_of(s->name), s);
    worker_add(urgent ? k->urgent : k->others, (struct worker_key){.text = s->name});
}

void keyring_ask_locked(struct keyring *k, struct key_server *s, const char *key_id, bool urgent,
                        int64_t until_mono)
{
    if (k->stopping)
        return;
    s->entry.pinned = true;
    s->missing_id = mem_strdup(key_id);
    s->give_up_mono = until_mono;
    keyring_askers_put_locked(k, s, urgent);
}

/* A room may name thousands of dead servers: servers that a later request needs must not be queued
 * behind them. */
static bool keyring_askers_drop_late_locked(struct keyring *k, struct key_server *s)
{
    if (s->give_up_mono >= mono_ms())
        return false;
    map_remove(&k->unasked, str_of(s->name));
    key_server_dropped(s);
    pthread_cond_broadcast(&k->answered);
    return true;
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

/* ---- the work ---- */

static void keyring_askers_take_locked(struct task *e, struct key_server *s)
{
    s->is_asked = true;
    e->queries[e->n] = (struct key_query){arena_strdup(e->job->arena, s->name),
                                          arena_strdup(e->job->arena, s->missing_id)};
    e->servers[e->n++] = s;
}

/* Takes the server, and with it others, unless it was taken with another one. */
static void keyring_askers_begin_locked(struct task *e, const char *server)
{
    struct keyring *k = e->k;
    struct key_server *s = key_table_find(&k->table, server);
    if (!s || !s->entry.pinned || s->is_asked || keyring_askers_drop_late_locked(k, s))
        return;
    e->skip_notaries = s->notaries_asked;
    e->many = k->settings.notaries_n && k->unasked.n >= MANY && !s->notaries_asked;
    keyring_askers_take_locked(e, s);
    for (struct map_slot *o = NULL;
         e->many && e->n < AT_ONCE_MAX && (o = map_next(&k->unasked, o));)
        if (o->value != s)
            keyring_askers_take_locked(e, o->value);
    for (size_t i = 0; i < e->n; i++)
        map_remove(&k->unasked, str_of(e->servers[i]->name));
}

/* Whether it asked us to wait, but for less time than the requests wait for it. */
static bool is_for_later_locked(const struct task *e, size_t i)
{
    return e->wait_ms && !keyring_askers_is_done_locked(e, i) &&
           mono_ms() + e->wait_ms < e->servers[i]->give_up_mono;
}

static void keyring_askers_end_one_locked(struct task *e, size_t i)
{
    struct keyring *k = e->k;
    struct key_server *s = e->servers[i];
    s->notaries_asked = e->many && !keyring_askers_is_done_locked(e, i);
    if (s->notaries_asked) {
        keyring_askers_put_locked(k, s, false);
        return;
    }
    *(e->answered[i] ? &k->answers_n : &k->failures_n) += 1;
    key_server_asked(s, e->answered[i], e->wait_ms, mono_ms());
}

static enum worker_outcome keyring_askers_end_locked(struct task *e, struct worker_item *item)
{
    if (e->n == 1 && is_for_later_locked(e, 0)) {
        e->servers[0]->notaries_asked = true;
        e->servers[0]->is_asked = false;
        item->wait_ms = e->wait_ms;
        return WORKER_WAIT;
    }
    for (size_t i = 0; i < e->n; i++)
        keyring_askers_end_one_locked(e, i);
    pthread_cond_broadcast(&e->k->answered);
    return WORKER_DONE;
}

static enum worker_outcome keyring_askers_run(void *of, void *thread, struct worker_item *item)
{
    struct keyring *k = of;
    struct task e = {.k = k, .job = thread};
    cache_lock(&k->table.servers);
    keyring_askers_begin_locked(&e, item->key.text);
    cache_unlock(&k->table.servers);
    if (!e.n)
        return WORKER_DONE;
    go(&e);
    CACHE_LOCKED(&k->table.servers);
    return keyring_askers_end_locked(&e, item);
}

/* ---- life ---- */

static struct worker_kind *keyring_askers_create_kind(struct keyring *k, const char *name)
{
    struct worker_kind *kind = worker_kind_create(
        k->pool, &(struct worker_settings){.name = name, .of = k, .run = keyring_askers_run});
    worker_kind_start(kind);
    return kind;
}

void keyring_create_askers(struct keyring *k)
{
    k->pool = job_pool_create(k->node, "fed-keys", ASKERS);
    k->urgent = keyring_askers_create_kind(k, "keys of calling servers");
    k->others = keyring_askers_create_kind(k, "keys of servers");
}

void keyring_destroy_askers(struct keyring *k)
{
    worker_kind_destroy(k->urgent);
    worker_kind_destroy(k->others);
    worker_pool_destroy(k->pool);
}

void keyring_stop(struct keyring *k)
{
    if (!k)
        return;
    cache_lock(&k->table.servers);
    k->stopping = true;
    pthread_cond_broadcast(&k->answered);
    cache_unlock(&k->table.servers);
    worker_pool_stop(k->pool);
}
