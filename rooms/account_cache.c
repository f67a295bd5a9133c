#include "rooms/account_cache.h"
#include "rooms/rooms.h"

#include "base/cache.h"
#include "base/mem.h"
#include "matrix/push_rules.h"
#include "rooms/read/visibility.h"
#include "storage/users/account_data.h"
#include "storage/users/users.h"

#include <stdatomic.h>

enum kind { IGNORED, RULES, KINDS };

static const char *const kind_types[KINDS] = {"m.ignored_user_list", "m.push_rules"};

enum { BYTES_A_RULESET = 16 * 1024 /* approximate size of a ruleset as a tree */ };

struct ignored_list {
    struct arena *arena; /* holds everything, this struct as well */
    struct map users;    /* not empty */
    atomic_int refs;
};

struct account_entry {
    struct cache_entry entry;
    struct account_key {
        int64_t user, kind;
    } key;
    struct arena *arena;          /* holds everything, this struct as well */
    struct ignored_list *ignored; /* NULL: no user */
    struct user_rules rules;
    bool is_stored; /* the user has account data of this type */
};

struct account_cache {
    struct cache cache;
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

static void account_cache_destroy_entry(struct cache_entry *e)
{
    arena_destroy(((struct account_entry *)e)->arena);
}

static const struct cache_kind account_kind = {
    .name = "account_data", .rank = RANK_CACHE, .share = 8, .destroy = account_cache_destroy_entry};

static struct str account_cache_key(const struct account_key *k)
{
    return (struct str){(const char *)k, sizeof *k};
}

void account_cache_on_changes(void *ctx, const struct change *changes, size_t n)
{
    struct account_cache *c = ctx;
    CACHE_LOCKED(&c->cache);
    if (n == 0)
        cache_forget_all_locked(&c->cache);
    for (size_t i = 0; i < n; i++)
        if (changes[i].kind == CHANGE_ACCOUNT_DATA && !changes[i].room)
            for (enum kind k = 0; k < KINDS; k++)
                cache_forget_locked(&c->cache,
                                    account_cache_key(&(struct account_key){changes[i].user, k}));
}

struct account_cache *account_cache_create(struct node *node)
{
    struct account_cache *c = mem_zalloc(sizeof *c);
    cache_init(&c->cache, node->caches, &account_kind, NULL);
    return c;
}

void account_cache_destroy(struct account_cache *c)
{
    if (!c)
        return;
    cache_finish(&c->cache);
    free(c);
}

/* ---- loading ---- */

static void unref_ignored(void *list)
{
    ignored_list_unref(list);
}

static void fill_ignored(struct account_entry *e, const json_t *content)
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

static void fill_rules(struct account_entry *e, const char *user_id, const json_t *stored)
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

static const struct err *account_cache_fill(struct job *job, struct account_entry *e,
                                            const char *user_id)
{
    struct str content;
    json_t *tree = NULL;
    TRY(account_data_get(job_tx(job), e->key.user, 0, kind_types[e->key.kind], &content));
    e->is_stored = content.p != NULL;
    if (e->is_stored)
        TRY(json_read_to_keep(e->arena, content, &tree));
    if (e->key.kind == IGNORED)
        fill_ignored(e, tree);
    else
        fill_rules(e, user_id, tree);
    return NULL;
}

static void destroy_arena(void *arena)
{
    arena_destroy(arena);
}

static const struct err *account_cache_read(struct job *job, const struct account_key *key,
                                            const char *user_id, struct account_entry **ret)
{
    struct arena *own = arena_create();
    struct account_entry *e = arena_alloc(own, sizeof *e);
    *e = (struct account_entry){.key = *key, .arena = own};
    const struct err *bad = account_cache_fill(job, e, user_id);
    if (bad) {
        arena_destroy(own);
        return bad;
    }
    e->entry.key = account_cache_key(&e->key);
    e->entry.bytes = arena_bytes(own) + (key->kind == RULES ? BYTES_A_RULESET : 0) +
                     (e->ignored ? arena_bytes(e->ignored->arena) : 0);
    *ret = e;
    return NULL;
}

static const struct err *account_cache_get(struct job *job, enum kind kind, int64_t user,
                                           const char *user_id, const struct account_entry **ret)
{
    struct cache *c = &job->rooms->account_cache->cache;
    const struct account_key key = {user, kind};
    uint64_t epoch;
    struct account_entry *e = cache_get(c, job->arena, account_cache_key(&key), &epoch);
    if (!e) {
        TRY(account_cache_read(job, &key, user_id, &e));
        if (kind == RULES && !e->is_stored) /* rarely needed: not worth its memory */
            arena_defer(job->arena, destroy_arena, e->arena);
        else
            e = cache_put(c, job->arena, &e->entry, epoch);
    }
    *ret = e;
    return NULL;
}

const struct err *ignored_list_get(struct job *job, int64_t user, struct ignored_list **ret)
{
    const struct account_entry *e;
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
    const struct account_entry *e;
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
