#include "federation/keys/keyring_internal.h"

#include "base/clock.h"
#include "base/mem.h"
#include "federation/federation.h"
#include "federation/peer/request.h"
#include "http/waits.h"

enum {
    WAIT_MS = 30 * 1000, /* for servers that are being asked */
    WAIT_CALLER_MS = 12 * 1000,
    AHEAD_MS = 10 * 60 * 1000, /* a key in use is refreshed this long before it expires */
    SIGNATURES_MAX = 10,
};

/* ---- life ---- */

struct keyring *keyring_create(struct node *node)
{
    struct keyring *k = mem_zalloc(sizeof *k);
    k->node = node;
    k->arena = arena_create();
    key_table_init(&k->table, node->caches);
    key_settings_read(k->arena, node->config, node->keys, &k->settings);
    cond_init(&k->answered);
    keyring_create_askers(k);
    return k;
}

void keyring_destroy(struct keyring *k)
{
    if (!k)
        return;
    keyring_stop(k);
    keyring_destroy_askers(k);
    map_finish(&k->unasked);
    key_table_finish(&k->table);
    pthread_cond_destroy(&k->answered);
    arena_destroy(k->arena);
    free(k);
}

void keyring_add_metrics(struct keyring *k, struct buf *out)
{
    CACHE_LOCKED(&k->table.servers);
    buf_printf(out,
               "# HELP concorde_keyring_asked_total Requests to other servers for signing keys.\n"
               "# TYPE concorde_keyring_asked_total counter\n"
               "concorde_keyring_asked_total{result=\"answered\"} %lld\n"
               "concorde_keyring_asked_total{result=\"failed\"} %lld\n",
               (long long)k->answers_n, (long long)k->failures_n);
}

/* ---- servers with missing keys ---- */

struct open_servers {
    const char **names;
    const char **key_ids; /* one wanted key of each */
    size_t n;
};

static struct open_servers open_servers(const struct keyring *k, struct arena *a,
                                        const struct key_wanted_of *wanted, size_t n)
{
    struct open_servers o = {arena_alloc_array(a, n, sizeof *o.names),
                             arena_alloc_array(a, n, sizeof *o.key_ids), 0};
    struct map seen = {0};
    const char *fixed;
    for (size_t i = 0; i < n; i++) {
        const struct key_wanted_of *w = &wanted[i];
        if (w->ret_key || map_get(&seen, str_of(w->server)) ||
            key_settings_find(&k->settings, w->server, w->key_id, w->valid_at_ms, &fixed))
            continue;
        map_put(&seen, str_of(w->server), (void *)w->server);
        o.names[o.n] = w->server;
        o.key_ids[o.n++] = w->key_id;
    }
    map_finish(&seen);
    return o;
}

/* ---- look-up ---- */

static void look_locked(struct keyring *k, struct arena *a, struct key_wanted_of *w)
{
    struct key_server *s = key_table_find(&k->table, w->server);
    const struct known_key *key = s ? key_server_find(s, w->key_id, w->valid_at_ms) : NULL;
    cache_count_locked(&k->table.servers, key ? &s->entry : NULL);
    if (key)
        w->ret_key = arena_strdup(a, key->public_key);
}

static void keyring_look(struct keyring *k, struct arena *a, struct key_wanted_of *wanted, size_t n)
{
    CACHE_LOCKED(&k->table.servers);
    for (size_t i = 0; i < n; i++)
        if (!wanted[i].ret_key)
            look_locked(k, a, &wanted[i]);
}

static size_t not_loaded(struct keyring *k, const struct open_servers *o, const char **ret)
{
    CACHE_LOCKED(&k->table.servers);
    size_t n = 0;
    for (size_t i = 0; i < o->n; i++)
        if (!key_table_use(&k->table, o->names[i])->loaded)
            ret[n++] = o->names[i];
    return n;
}

static const struct err *keyring_load(struct keyring *k, struct job *job,
                                      const struct open_servers *o)
{
    const char **names = arena_alloc_array(job->arena, o->n, sizeof *names);
    const struct server_key *keys;
    size_t n = not_loaded(k, o, names), keys_n;
    if (!n)
        return NULL;
    TRY(server_keys_load(job_tx(job), names, n, &keys, &keys_n));
    CACHE_LOCKED(&k->table.servers);
    for (size_t i = 0; i < n; i++)
        key_table_use(&k->table, names[i])->loaded = true;
    /* Keys that the server itself sent meanwhile are newer. */
    for (size_t i = 0; i < keys_n; i++)
        key_server_put(key_table_use(&k->table, keys[i].server), &keys[i], KEY_SOURCE_OLDER);
    return NULL;
}

const struct err *keyring_find_here(struct job *job, struct key_wanted_of *wanted, size_t n)
{
    struct keyring *k = job->federation ? job->federation->keyring : NULL;
    for (size_t i = 0; i < n; i++)
        wanted[i].ret_key = NULL;
    if (!k)
        return NULL;
    for (size_t i = 0; i < n; i++)
        key_settings_find(&k->settings, wanted[i].server, wanted[i].key_id, wanted[i].valid_at_ms,
                          &wanted[i].ret_key);
    keyring_look(k, job->arena, wanted, n);
    struct open_servers o = open_servers(k, job->arena, wanted, n);
    if (!o.n)
        return NULL;
    TRY(keyring_load(k, job, &o));
    keyring_look(k, job->arena, wanted, n);
    return NULL;
}

/* ---- requests ---- */

static bool is_asking_locked(const struct keyring *k, const struct open_servers *o)
{
    for (size_t i = 0; i < o->n; i++) {
        const struct key_server *s = key_table_find(&k->table, o->names[i]);
        if (s && s->entry.pinned)
            return true;
    }
    return false;
}

/* HASTE_ANEW: ask again even if it answered just now; HASTE_CALLER: even if it failed to. */
enum haste { HASTE_NONE, HASTE_CALLER, HASTE_ANEW };

static bool is_due(const struct key_server *s, enum haste haste)
{
    return key_server_is_due(s, haste == HASTE_CALLER, mono_ms()) ||
           (haste == HASTE_ANEW && !s->failures);
}

/* Keeps in the list the servers that are being asked, or may be asked now. */
static void keyring_choose_locked(struct keyring *k, struct open_servers *o, enum haste haste)
{
    size_t n = 0;
    for (size_t i = 0; i < o->n; i++) {
        if (!federation_may_contact(k->node->config, o->names[i]))
            continue;
        const struct key_server *s = key_table_use(&k->table, o->names[i]);
        if (!s->entry.pinned && !is_due(s, haste))
            continue;
        o->names[n] = o->names[i];
        o->key_ids[n++] = o->key_ids[i];
    }
    o->n = n;
}

static void ask_locked(struct keyring *k, const struct open_servers *o, enum haste haste,
                       int64_t until_mono)
{
    for (size_t i = 0; i < o->n; i++) {
        struct key_server *s = key_table_use(&k->table, o->names[i]);
        if (!s->entry.pinned)
            keyring_ask_locked(k, s, o->key_ids[i], haste == HASTE_CALLER, until_mono);
        else if (s->give_up_mono < until_mono)
            s->give_up_mono = until_mono;
    }
}

static void keyring_wait_locked(struct keyring *k, const struct open_servers *o,
                                int64_t deadline_mono)
{
    while (!k->stopping && is_asking_locked(k, o))
        if (lock_wait_until(&k->table.servers.lock, &k->answered, deadline_mono))
            return;
}

/* Asks the servers that may be asked, and waits. ERR_ELSEWHERE: this thread may not wait. */
static const struct err *ask_and_wait_locked(struct keyring *k, struct open_servers *o,
                                             enum haste haste, int64_t until_mono)
{
    keyring_choose_locked(k, o, haste);
    if (o->n && !waits_are_allowed())
        return waits_elsewhere(o->names[0]);
    ask_locked(k, o, haste, until_mono);
    keyring_wait_locked(k, o, until_mono);
    return NULL;
}

static const struct err *keys_keyring_find(struct job *job, struct key_wanted_of *wanted, size_t n,
                                           enum haste haste, int64_t wait_ms)
{
    TRY(keyring_find_here(job, wanted, n));
    if (!job->federation)
        return NULL;
    struct keyring *k = job->federation->keyring;
    struct open_servers o = open_servers(k, job->arena, wanted, n);
    if (!o.n)
        return NULL;
    cache_lock(&k->table.servers);
    const struct err *e = ask_and_wait_locked(k, &o, haste, mono_ms() + wait_ms);
    cache_unlock(&k->table.servers);
    if (!e)
        keyring_look(k, job->arena, wanted, n);
    return e;
}

const struct err *keyring_find(struct job *job, struct key_wanted_of *wanted, size_t n)
{
    return keys_keyring_find(job, wanted, n, HASTE_NONE, WAIT_MS);
}

/* Refreshes keys that will soon expire, if their server is in contact. */
static void ask_ahead(struct keyring *k, const struct key_wanted_of *w)
{
    CACHE_LOCKED(&k->table.servers);
    struct key_server *s = key_table_find(&k->table, w->server);
    if (s && !s->entry.pinned && !key_server_find(s, w->key_id, w->valid_at_ms + AHEAD_MS) &&
        key_server_is_due(s, false, mono_ms()))
        keyring_ask_locked(k, s, w->key_id, false, mono_ms() + WAIT_MS);
}

const struct err *keyring_find_caller(struct job *job, struct key_wanted_of *wanted, size_t n)
{
    TRY(keys_keyring_find(job, wanted, n, HASTE_CALLER, WAIT_CALLER_MS));
    if (!job->federation)
        return NULL;
    for (size_t i = 0; i < n; i++)
        if (wanted[i].ret_key)
            ask_ahead(job->federation->keyring, &wanted[i]);
    return NULL;
}

void keyring_refresh(struct keyring *k, const char *const *servers, size_t n, int64_t timeout_ms)
{
    arena_auto struct arena *a = arena_create();
    struct open_servers o = {arena_alloc_array(a, n, sizeof *o.names),
                             arena_alloc_array(a, n, sizeof *o.key_ids), n};
    for (size_t i = 0; i < n; i++)
        o.names[i] = servers[i];
    CACHE_LOCKED(&k->table.servers);
    ask_and_wait_locked(k, &o, HASTE_ANEW, mono_ms() + timeout_ms);
}

/* ---- signed objects ---- */
