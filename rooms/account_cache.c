#include "rooms/account_cache.h"

#include "base/lock.h"
#include "base/map.h"
#include "base/mem.h"
#include "matrix/push_rules.h"
#include "rooms/read/visibility.h"
#include "storage/users/account_data.h"
#include "storage/users/users.h"

#include <stdatomic.h>

enum kind { IGNORED, RULES, KINDS };

static const char *const kind_types[KINDS] = {"m.ignored_user_list", "m.push_rules"};

/* Approximate size of a ruleset as a tree; the budget is a share of all caches. */
enum { BYTES_A_RULESET = 16 * 1024, SHARE = 8, BYTES_MIN = 4 * 1024 * 1024 };

struct ignored_list {
    struct arena *arena; /* holds everything, this struct as well */
    struct map users;    /* not empty */
    atomic_int refs;
};

struct entry {
    int64_t user;
    enum kind kind;
    struct arena *arena;          /* holds everything, this struct as well */
    struct ignored_list *ignored; /* NULL: no user */
    struct user_rules rules;
    struct entry *newer, *older;
    size_t bytes;
    bool is_stored; /* the user has account data of this type */
    int refs;       /* of jobs that use it, and of the cache while it contains it */
};

struct account_cache {
    struct lock lock;
    struct map entries[KINDS]; /* users.id -> struct entry */
    struct entry *newest, *oldest;
    size_t bytes, bytes_max;
    uint64_t epoch; /* grows when an entry is dropped because of a change */
};

/* ---- ignored users ---- */

struct ignored_list *ignored_list_create(const json_t *content)
{
    const char *user_id;
    json_t *users = json_object_get(content, "ignored_users"), *v;
    if (!json_object_size(users))
        return NULL;
    struct arena *a = arena_create();
    struct ignored_list *l = arena_alloc(a, sizeof *l);
    *l = (struct ignored_list){.arena = a, .refs = 1};
    json_object_foreach (users, user_id, v) {
        char *key = arena_strdup(a, user_id);
        map_put(&l->users, str_of(key), key);
    }
    return l;
}

struct ignored_list *ignored_list_ref(struct ignored_list *l)
{
    if (l)
        l->refs++;
    return l;
}

void ignored_list_unref(struct ignored_list *l)
{
    if (!l || --l->refs)
        return;
    map_finish(&l->users);
    arena_destroy(l->arena);
}

const struct map *ignored_list_users(const struct ignored_list *l)
{
    return l ? &l->users : NULL;
}

bool ignored_list_has(const struct ignored_list *l, const char *user_id)
{
    return l && map_get(&l->users, str_of(user_id));
}

bool ignored_list_same(const struct ignored_list *a, const struct ignored_list *b)
{
    if (a == b)
        return true;
    if (!a || !b || a->users.n != b->users.n)
        return false;
    for (struct map_slot *s = NULL; (s = map_next(&a->users, s));)
        if (!map_get(&b->users, s->key))
            return false;
    return true;
}

/* ---- the cache ---- */

static void account_cache_unref_locked(struct entry *e)
{
    if (--e->refs == 0)
        arena_destroy(e->arena);
}

static void account_cache_unlink_locked(struct account_cache *c, struct entry *e)
{
    *(e->newer ? &e->newer->older : &c->newest) = e->older;
    *(e->older ? &e->older->newer : &c->oldest) = e->newer;
}

static void account_cache_link_newest_locked(struct account_cache *c, struct entry *e)
{
    e->newer = NULL;
    e->older = c->newest;
    *(c->newest ? &c->newest->newer : &c->oldest) = e;
    c->newest = e;
}

static void account_cache_drop_locked(struct account_cache *c, struct entry *e)
{
    account_cache_unlink_locked(c, e);
    map_remove_int(&c->entries[e->kind], e->user);
    c->bytes -= e->bytes;
    account_cache_unref_locked(e);
}

struct held {
    struct account_cache *cache;
    struct entry *entry;
};

static void account_cache_release(void *what)
{
    struct held *h = what;
    LOCKED(&h->cache->lock);
    account_cache_unref_locked(h->entry);
}

static void account_cache_hold_locked(struct job *job, struct account_cache *c, struct entry *e)
{
    e->refs++;
    struct held *h = arena_alloc(job->arena, sizeof *h);
    *h = (struct held){c, e};
    arena_defer(job->arena, account_cache_release, h);
}

static struct entry *account_cache_find(struct job *job, enum kind kind, int64_t user,
                                        uint64_t *ret_epoch)
{
    struct account_cache *c = job->node->account_cache;
    LOCKED(&c->lock);
    *ret_epoch = c->epoch;
    struct entry *e = map_get_int(&c->entries[kind], user);
    if (!e)
        return NULL;
    if (c->newest != e) {
        account_cache_unlink_locked(c, e);
        account_cache_link_newest_locked(c, e);
    }
    account_cache_hold_locked(job, c, e);
    return e;
}

/* Data that were read before a change are not cached, but only used by the job that read them. */
static struct entry *account_cache_put(struct job *job, struct entry *e, uint64_t epoch)
{
    struct account_cache *c = job->node->account_cache;
    LOCKED(&c->lock);
    struct entry *there = map_get_int(&c->entries[e->kind], e->user);
    if (there) {
        arena_destroy(e->arena);
        e = there;
    } else if (c->epoch == epoch) {
        while (c->oldest && c->bytes + e->bytes > c->bytes_max)
            account_cache_drop_locked(c, c->oldest);
        e->refs = 1;
        map_put_int(&c->entries[e->kind], e->user, e);
        account_cache_link_newest_locked(c, e);
        c->bytes += e->bytes;
    }
    account_cache_hold_locked(job, c, e);
    return e;
}

static void forget_user_locked(struct account_cache *c, int64_t user)
{
    c->epoch++;
    for (enum kind k = 0; k < KINDS; k++) {
        struct entry *e = map_get_int(&c->entries[k], user);
        if (e)
            account_cache_drop_locked(c, e);
    }
}

static void account_cache_on_changes(void *ctx, const struct change *changes, size_t n)
{
    struct account_cache *c = ctx;
    LOCKED(&c->lock);
    if (n == 0) {
        c->epoch++;
        while (c->oldest)
            account_cache_drop_locked(c, c->oldest);
    }
    for (size_t i = 0; i < n; i++)
        if (changes[i].kind == CHANGE_ACCOUNT_DATA && !changes[i].room)
            forget_user_locked(c, changes[i].user);
}

struct account_cache *account_cache_create(struct node *node)
{
    struct account_cache *c = mem_zalloc(sizeof *c);
    lock_init(&c->lock, RANK_CACHE);
    int64_t bytes = node->config->cache_size / SHARE;
    c->bytes_max = (size_t)(bytes > BYTES_MIN ? bytes : BYTES_MIN);
    feed_listen(node->feed, account_cache_on_changes, c);
    return c;
}

void account_cache_destroy(struct account_cache *c)
{
    if (!c)
        return;
    while (c->oldest)
        account_cache_drop_locked(c, c->oldest);
    for (enum kind k = 0; k < KINDS; k++)
        map_finish(&c->entries[k]);
    lock_finish(&c->lock);
    free(c);
}

/* ---- loading ---- */

static void unref_ignored(void *list)
{
    ignored_list_unref(list);
}

static void fill_ignored(struct entry *e, const json_t *content)
{
    e->ignored = ignored_list_create(content);
    arena_defer(e->arena, unref_ignored, e->ignored);
}

static const char *const *ids_of_rules(struct arena *a, const json_t *rules, size_t *ret_n)
{
    const json_t *rule;
    size_t i;
    const char **ids = arena_alloc_array(a, json_array_size(rules) + 1, sizeof *ids);
    *ret_n = 0;
    json_array_foreach (rules, i, rule) {
        const char *id = json_text(rule, "rule_id");
        if (id)
            ids[(*ret_n)++] = id;
    }
    return ids;
}

static void fill_rules(struct entry *e, const char *user_id, const json_t *stored)
{
    struct user_rules *r = &e->rules;
    const json_t *own = json_object_get(stored, "rules");
    r->ruleset = json_keep(e->arena, push_rules_merge(user_id, stored));
    r->differs = stored && push_rules_changed(stored);
    r->anything = json_object_size(json_object_get(stored, "predefined")) > 0;
    for (enum push_kind k = 0; k < PUSH_KINDS; k++)
        if (k != PUSH_ROOM && k != PUSH_SENDER)
            r->anything |= json_array_size(json_object_get(own, push_kind_names[k])) > 0;
    r->rooms = ids_of_rules(e->arena, json_object_get(own, "room"), &r->rooms_n);
    r->senders = ids_of_rules(e->arena, json_object_get(own, "sender"), &r->senders_n);
}

static const struct err *account_cache_fill(struct job *job, struct entry *e, const char *user_id)
{
    struct str content;
    json_t *tree = NULL;
    TRY(account_data_get(job_tx(job), e->user, 0, kind_types[e->kind], &content));
    e->is_stored = content.p != NULL;
    if (e->is_stored)
        TRY(json_read_to_keep(e->arena, content, &tree));
    if (e->kind == IGNORED)
        fill_ignored(e, tree);
    else
        fill_rules(e, user_id, tree);
    return NULL;
}

static void destroy_arena(void *arena)
{
    arena_destroy(arena);
}

static const struct err *account_cache_get(struct job *job, enum kind kind, int64_t user,
                                           const char *user_id, const struct entry **ret)
{
    uint64_t epoch;
    struct entry *e = account_cache_find(job, kind, user, &epoch);
    if (!e) {
        struct arena *own = arena_create();
        e = arena_alloc(own, sizeof *e);
        *e = (struct entry){.user = user, .kind = kind, .arena = own};
        const struct err *bad = account_cache_fill(job, e, user_id);
        if (bad) {
            arena_destroy(own);
            return bad;
        }
        e->bytes = arena_bytes(own) + (kind == RULES ? BYTES_A_RULESET : 0) +
                   (e->ignored ? arena_bytes(e->ignored->arena) : 0);
        if (kind == RULES && !e->is_stored) /* rarely needed: not worth its memory */
            arena_defer(job->arena, destroy_arena, own);
        else
            e = account_cache_put(job, e, epoch);
    }
    *ret = e;
    return NULL;
}

const struct err *ignored_list_get(struct job *job, int64_t user, struct ignored_list **ret)
{
    const struct entry *e;
    TRY(account_cache_get(job, IGNORED, user, NULL, &e));
    *ret = e->ignored;
    return NULL;
}

const struct err *ignored_users(struct job *job, int64_t user, const struct map **ret)
{
    struct ignored_list *list;
    TRY(ignored_list_get(job, user, &list));
    *ret = ignored_list_users(list);
    return NULL;
}

const struct err *ignored_list_ids(struct job *job, const struct ignored_list *l,
                                   const int64_t **ret, size_t *ret_n)
{
    size_t n = 0;
    *ret_n = 0;
    if (!l)
        return NULL;
    const char **names = arena_alloc_array(job->arena, l->users.n, sizeof *names);
    for (struct map_slot *s = NULL; (s = map_next(&l->users, s));)
        names[n++] = s->value;
    return users_find_ids(job_tx(job), names, n, ret, ret_n);
}

const struct err *ignored_user_ids(struct job *job, int64_t user, const int64_t **ret,
                                   size_t *ret_n)
{
    struct ignored_list *list;
    TRY(ignored_list_get(job, user, &list));
    return ignored_list_ids(job, list, ret, ret_n);
}

const struct err *user_rules_get(struct job *job, int64_t user, const char *user_id,
                                 const struct user_rules **ret)
{
    const struct entry *e;
    TRY(account_cache_get(job, RULES, user, user_id, &e));
    *ret = &e->rules;
    return NULL;
}

static bool account_cache_is_listed(const char *const *ids, size_t n, const char *id)
{
    for (size_t i = 0; i < n; i++)
        if (strcmp(ids[i], id) == 0)
            return true;
    return false;
}

bool user_rules_concern(const struct user_rules *r, const char *room_id, const char *sender)
{
    return r->anything || account_cache_is_listed(r->rooms, r->rooms_n, room_id) ||
           account_cache_is_listed(r->senders, r->senders_n, sender);
}
