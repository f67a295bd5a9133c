#include "server/account/auth.h"
#include "server/server.h"

#include "base/clock.h"
#include "base/lock.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/worker/worker.h"
#include "rooms/noted_rooms.h"
#include "server/account/accounts.h"
#include "server/account/auth_cache.h"
#include "server/media/content.h"
#include "server/media/retention.h"
#include "server/media/thumbnail_keep.h"
#include "server/node.h"
#include "storage/db/feed.h"
#include "storage/db/intern.h"
#include "storage/devices/devices.h"
#include "storage/devices/key_backup.h"
#include "storage/devices/sliding_connections.h"
#include "storage/devices/to_device.h"
#include "storage/nodes/lease.h"
#include "storage/rooms/retention.h"
#include "storage/users/one_time_tokens.h"
#include "storage/users/uia_sessions.h"

enum {
    AGENT_MAX = 127,   /* bytes stored of a User-Agent */
    SEEN_MAX = 100000, /* pending devices: further ones wait for their next request */
    FLUSH_MS = 15000,  /* how often pending times are stored */
    HOUSE_FIRST_MS = 60000,
    HOUSE_MS = 600000,   /* how often expired and old rows are removed */
    SEEN_AT_ONCE = 1000, /* devices in one statement */
};

struct note {
    int64_t device, ts;
    char ip[48];
    char agent[AGENT_MAX + 1]; /* UTF-8 */
};

struct auth {
    struct node *node;
    struct auth_cache *cache;

    struct lock lock; /* of the members below; a leaf */
    struct note *notes;
    size_t notes_n, notes_cap;

    struct lease_job *sweeps, *partings;
    struct worker_kind *stores, *removes, *parts;
    struct push_actions_place swept; /* used by `removes` only, like the next one: */
    int64_t contents_swept;          /* storage/devices/to_device.h */
};

/* ---- when devices were last seen ---- */

/* Copies the part of the User-Agent that is valid text and fits. */
static void copy_agent(const char *agent, char *ret)
{
    size_t n = 0, left = agent ? strlen(agent) : 0;
    for (size_t k; n < left && (k = utf8_sequence(agent + n, left - n)) && n + k <= AGENT_MAX;)
        n += k;
    memcpy(ret, agent ? agent : "", n);
    ret[n] = '\0';
}

static void note_seen(struct auth *a, int64_t device, const struct request *rq, int64_t now)
{
    const char *ip = rq->remote_address;
    LOCKED(&a->lock);
    if (a->notes_n == SEEN_MAX)
        return;
    if (a->notes_n == a->notes_cap) {
        a->notes_cap = a->notes_cap ? a->notes_cap * 2 : 64;
        a->notes = mem_realloc_array(a->notes, a->notes_cap, sizeof *a->notes);
    }
    struct note *n = &a->notes[a->notes_n++];
    n->device = device;
    n->ts = now;
    snprintf(n->ip, sizeof n->ip, "%s", ip ? ip : "");
    copy_agent(request_header(rq, "User-Agent"), n->agent);
}

static const struct err *store_notes(struct auth *a, const struct note *notes, size_t n)
{
    arena_auto struct arena *arena = arena_create();
    struct tx tx;
    tx_init(&tx, a->node->storage->db, arena);
    struct device_seen *seen = arena_alloc_array(arena, n, sizeof *seen);
    for (size_t i = 0; i < n; i++)
        seen[i] = (struct device_seen){notes[i].device, notes[i].ts, notes[i].ip,
                                       *notes[i].agent ? notes[i].agent : NULL};
    for (size_t i = 0; i < n; i += SEEN_AT_ONCE)
        TRY(devices_seen(&tx, seen + i, n - i < SEEN_AT_ONCE ? n - i : SEEN_AT_ONCE));
    return NULL;
}

static void flush_notes(struct auth *a)
{
    lock_take(&a->lock);
    struct note *notes = a->notes;
    size_t n = a->notes_n;
    a->notes = NULL;
    a->notes_n = a->notes_cap = 0;
    lock_release(&a->lock);
    const struct err *e = n ? store_notes(a, notes, n) : NULL;
    if (e)
        log_err(LOG_WARN, "storing when devices were last seen", e);
    free(notes);
}

static enum worker_outcome auth_store_notes(void *of, void *thread, struct worker_item *item)
{
    flush_notes(of);
    item->wait_ms = FLUSH_MS;
    return WORKER_WAIT;
}

/* ---- under leases ---- */

/* Mostly there is nothing to do. Each leave is judged by the room: no fence is checked. */
static enum worker_outcome auth_part(void *of, void *thread, struct worker_item *item)
{
    const struct err *e = accounts_part_all(thread);
    if (e)
        log_err(LOG_WARN, "leaving the rooms of deactivated users", e);
    item->wait_ms = FLUSH_MS;
    return WORKER_WAIT;
}

static bool auth_may_part(void *of, const struct worker_key *key, int64_t *ret_wait_ms)
{
    struct auth *a = of;
    return lease_may_run(a->partings, 0, ret_wait_ms);
}

static void auth_on_parting_taken(void *of, int slice)
{
    struct auth *a = of;
    worker_hurry(a->parts, (struct worker_key){0});
}

static const struct err *auth_sweep_retained(struct auth *a, struct job *job)
{
    return retention_sweep(job_tx(job), now_ms(), &a->swept);
}

static const struct err *auth_sweep_contents(struct auth *a, struct job *job)
{
    return to_device_sweep(job_tx(job), &a->contents_swept);
}

static const struct err *auth_sweep_users(struct auth *a, struct job *job)
{
    TRY(one_time_tokens_purge(job_tx(job)));
    TRY(uia_sessions_purge(job_tx(job)));
    TRY(sliding_connections_sweep(job_tx(job), now_ms()));
    return key_backups_sweep(job_tx(job));
}

static const struct err *auth_sweep_rooms(struct auth *a, struct job *job)
{
    return noted_rooms_sweep(job, now_ms());
}

static const struct err *auth_sweep_media(struct auth *a, struct job *job)
{
    TRY(remote_media_sweep(job, NULL));
    TRY(thumbnails_sweep(job));
    content_sweep(job->node->config);
    return NULL;
}

/* Each part removes what is too old, whichever nodes do so: no fence is checked. */
static enum worker_outcome auth_remove_expired(void *of, void *thread, struct worker_item *item)
{
    static const struct err *(*const parts[])(struct auth * a, struct job * job) = {
        auth_sweep_users, auth_sweep_retained, auth_sweep_rooms, auth_sweep_contents,
        auth_sweep_media};
    struct auth *a = of;
    const struct err *e = NULL;
    for (size_t i = 0; i < sizeof parts / sizeof *parts && !e && lease_fence(a->sweeps, 0); i++)
        e = parts[i](a, thread);
    if (e)
        log_err(LOG_WARN, "removing expired and old rows", e);
    item->wait_ms = HOUSE_MS;
    return WORKER_WAIT;
}

static bool auth_may_remove(void *of, const struct worker_key *key, int64_t *ret_wait_ms)
{
    struct auth *a = of;
    return lease_may_run(a->sweeps, 0, ret_wait_ms);
}

/* ---- from the log ---- */

void auth_on_changes(void *ctx, const struct change *changes, size_t n)
{
    struct auth *a = ctx;
    if (n == 0)
        auth_cache_forget_all(a->cache);
    for (size_t i = 0; i < n; i++)
        if (changes[i].kind == CHANGE_ACCOUNT)
            auth_cache_forget_user(a->cache, changes[i].user);
}

/* ---- requests ---- */

static const struct err *auth_unknown_token(void)
{
    return err(ERR_UNKNOWN_TOKEN, "Unknown access token");
}

/* Reads the token's owner from the database. */
static const struct err *auth_load(struct auth *a, struct job *job, const struct token_hash *hash,
                                   uint64_t epoch, struct token_owner *ret)
{
    struct token_owner o;
    bool found;
    TRY(tokens_find(job_tx(job), token_bytes(hash), &found, &o));
    if (!found)
        return auth_unknown_token();
    intern_remember(job->storage->intern, INTERN_USER, o.user_id, o.user);
    TRY(intern_name(job->storage->intern, INTERN_USER, o.user, &o.user_id));
    if (o.fresh)
        TRY(tokens_settle(job_tx(job), token_bytes(hash), o.device));
    auth_cache_put(a->cache, hash, &o, epoch);
    *ret = o;
    return NULL;
}

static const struct err *auth_find(struct auth *a, struct request *rq,
                                   const struct token_hash *hash, int64_t now,
                                   struct auth_entry *ret)
{
    struct auth_entry e;
    uint64_t epoch;
    if (!auth_cache_get(a->cache, rq->arena, hash, now, &e, &epoch)) {
        struct token_owner o = {0};
        TRY(auth_load(a, job_of(rq), hash, epoch, &o));
        e = (struct auth_entry){
            .caller = {.user = o.user,
                       .user_id = o.user_id,
                       .device = o.device,
                       .device_id = o.device_id,
                       .is_admin = o.is_admin,
                       .is_guest = o.is_guest,
                       .is_suspended = o.suspended},
            .expires_ts = o.expires_ts,
            .locked = o.locked,
            .unseen = now - o.last_seen_ts >= AUTH_SEEN_EVERY_MS,
        };
    }
    *ret = e;
    return NULL;
}

/* A locked user may do nothing but log out ("Account locking"). */
static bool is_logout(const struct request *rq)
{
    return strncmp(rq->route->path, "/_matrix/client/v3/logout", 25) == 0;
}

static const struct err *account_auth_check(const struct request *rq, const struct auth_entry *e,
                                            int64_t now)
{
    if (e->expires_ts && e->expires_ts <= now)
        return err_with_fields(err(ERR_UNKNOWN_TOKEN, "The access token has expired"),
                               "\"soft_logout\":true");
    if (e->locked && !is_logout(rq))
        return err_with_fields(err(ERR_USER_LOCKED, "This account has been locked"),
                               "\"soft_logout\":true");
    enum route_who who = rq->route->who;
    if (e->caller.is_guest && (who == WHO_USER || who == WHO_ADMIN))
        return err(ERR_GUEST_ACCESS_FORBIDDEN, "Guests may not do this");
    if (!e->caller.is_admin && who == WHO_ADMIN)
        return err(ERR_FORBIDDEN, "Only an administrator of the server may do this");
    return NULL;
}

static bool hash_of_token(const struct request *rq, struct token_hash *ret)
{
    const unsigned char *bearer = request_bearer_hash(rq);
    const char *token = bearer ? NULL : request_access_token(rq);
    if (bearer)
        memcpy(ret->bytes, bearer, sizeof ret->bytes);
    else if (token)
        *ret = token_hash(token);
    return bearer || token;
}

static const struct err *auth_authenticate(void *ctx, struct request *rq)
{
    struct auth *a = job_of(rq)->server->auth;
    struct token_hash hash;
    bool has_token = hash_of_token(rq, &hash);
    if (!has_token && rq->route->who == WHO_MAYBE_USER)
        return NULL;
    if (!has_token)
        return err(ERR_MISSING_TOKEN, "An access token is needed");
    int64_t now = now_ms();
    struct auth_entry e;
    TRY(auth_find(a, rq, &hash, now, &e));
    TRY(account_auth_check(rq, &e, now));
    if (e.unseen)
        note_seen(a, e.caller.device, rq, now);
    rq->caller = arena_memdup(rq->arena, &e.caller, sizeof e.caller);
    rq->caller_id = e.caller.user_id;
    return NULL;
}

/* A request with a token that is not in memory counts for its address, once. */
static enum source_knowledge find_source(void *ctx, const struct request *rq,
                                         char ret_name[SOURCE_NAME_MAX])
{
    struct running_node *n = ctx;
    const unsigned char *bearer = request_bearer_hash(rq);
    if (!bearer)
        return SOURCE_IS_ADDRESS;
    struct token_hash hash;
    memcpy(hash.bytes, bearer, sizeof hash.bytes);
    const char *user_id = auth_cache_user(n->node.server->auth->cache, &hash);
    if (!user_id)
        return SOURCE_IS_ADDRESS;
    snprintf(ret_name, SOURCE_NAME_MAX, "%s", user_id);
    return SOURCE_IS_KNOWN;
}

void auth_set_hooks(struct http_hooks *hooks)
{
    static const enum route_who ours[] = {WHO_MAYBE_USER, WHO_USER, WHO_GUEST_TOO, WHO_ADMIN};
    for (size_t i = 0; i < sizeof ours / sizeof *ours; i++) {
        hooks->authenticate[ours[i]] = auth_authenticate;
        hooks->source[ours[i]] = find_source;
    }
}

/* ---- life ---- */

static struct worker_kind *auth_start(struct auth *a, const struct worker_settings *s,
                                      int64_t first_ms)
{
    struct worker_kind *k = worker_kind_create(a->node->storage->background, s);
    worker_kind_start(k);
    worker_add_due(k, (struct worker_key){0}, mono_ms() + first_ms);
    return k;
}

struct auth *auth_create(struct node *node)
{
    struct auth *a = mem_zalloc(sizeof *a);
    a->node = node;
    a->cache = auth_cache_create(node->caches);
    lock_init(&a->lock, RANK_LEAF);
    a->sweeps = leases_add(node->storage->leases, &(struct lease_job_settings){.name = "sweep"});
    a->partings = leases_add(node->storage->leases,
                             &(struct lease_job_settings){
                                 .name = "parting", .of = a, .on_taken = auth_on_parting_taken});
    const struct worker_settings stores = {.name = "last seen", .of = a, .run = auth_store_notes},
                                 parts = {.name = "parting",
                                          .of = a,
                                          .run = auth_part,
                                          .may_run = auth_may_part},
                                 removes = {.name = "expired rows",
                                            .of = a,
                                            .run = auth_remove_expired,
                                            .may_run = auth_may_remove};
    a->stores = auth_start(a, &stores, FLUSH_MS);
    a->parts = auth_start(a, &parts, FLUSH_MS);
    a->removes = auth_start(a, &removes, HOUSE_FIRST_MS);
    return a;
}

void auth_destroy(struct auth *a)
{
    if (!a)
        return;
    worker_kind_destroy(a->stores);
    worker_kind_destroy(a->removes);
    worker_kind_destroy(a->parts);
    flush_notes(a);
    auth_cache_destroy(a->cache);
    lock_finish(&a->lock);
    free(a->notes);
    free(a);
}
