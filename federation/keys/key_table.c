#include "federation/keys/key_table.h"

#include "base/mem.h"

enum {
    AGAIN_MS = 30 * 1000,       /* after an answer: how soon a new key is found */
    RETRY_FIRST_MS = 10 * 1000, /* after a failure; doubled each time */
    DOUBLINGS_MAX = 6,
    RETRY_URGENT_MS = 5 * 1000,
    KEYS_MAX = 200, /* of one server */
};

static void key_table_destroy_server(struct cache_entry *e)
{
    struct key_server *s = (struct key_server *)e;
    for (size_t i = 0; i < s->n; i++) {
        free(s->keys[i].id);
        free(s->keys[i].public_key);
    }
    free(s->keys);
    free(s->missing_id);
    free(s->name);
    free(s);
}

static const struct cache_kind key_kind = {
    .name = "server_keys", .rank = RANK_CACHE, .share = 16, .destroy = key_table_destroy_server};

void key_table_init(struct key_table *t, struct cache_budget *b)
{
    cache_init(&t->servers, b, &key_kind, NULL);
}

void key_table_finish(struct key_table *t)
{
    cache_finish(&t->servers);
}

struct key_server *key_table_find(const struct key_table *t, const char *server)
{
    return cache_peek_locked(&t->servers, str_of(server));
}

struct key_server *key_table_use(struct key_table *t, const char *server)
{
    struct key_server *s = key_table_find(t, server);
    if (s) {
        cache_use_locked(&t->servers, &s->entry);
    } else {
        s = mem_zalloc(sizeof *s);
        s->table = t;
        s->name = mem_strdup(server);
        s->entry.key = str_of(s->name);
        s->entry.bytes = sizeof *s + s->entry.key.n;
        cache_add_locked(&t->servers, &s->entry);
    }
    return s;
}

static struct known_key *key_table_find_id(const struct key_server *s, const char *key_id)
{
    for (size_t i = 0; i < s->n; i++)
        if (strcmp(s->keys[i].id, key_id) == 0)
            return &s->keys[i];
    return NULL;
}

void key_server_put(struct key_server *s, const struct server_key *key, enum key_source source)
{
    struct known_key *k = key_table_find_id(s, key->key_id);
    bool same = k && strcmp(k->public_key, key->public_key) == 0;
    if (k && (source == KEY_SOURCE_OLDER || (source == KEY_SOURCE_NEWER && !same)))
        return;
    if (!k && s->n == KEYS_MAX)
        return;
    if (!k) {
        s->keys = mem_realloc_array(s->keys, s->n + 1, sizeof *s->keys);
        k = &s->keys[s->n++];
        *k = (struct known_key){.id = mem_strdup(key->key_id)};
        size_t more = sizeof *k + strlen(key->key_id) + strlen(key->public_key);
        cache_resize_locked(&s->table->servers, &s->entry, s->entry.bytes + more);
    }
    free(k->public_key);
    k->public_key = mem_strdup(key->public_key);
    k->valid_until_ts = key->valid_until_ts;
}

const struct known_key *key_server_find(const struct key_server *s, const char *key_id,
                                        int64_t valid_at_ms)
{
    const struct known_key *k = key_table_find_id(s, key_id);
    return k && valid_at_ms <= k->valid_until_ts ? k : NULL;
}

void key_server_dropped(struct key_server *s)
{
    s->entry.pinned = s->is_asked = s->notaries_asked = false;
    free(s->missing_id);
    s->missing_id = NULL;
}

void key_server_asked(struct key_server *s, bool answered, int64_t wait_ms, int64_t now_mono)
{
    int64_t wait = wait_ms ? wait_ms : AGAIN_MS;
    if (!answered && !wait_ms) {
        int doublings = s->failures < DOUBLINGS_MAX ? s->failures : DOUBLINGS_MAX;
        wait = (int64_t)RETRY_FIRST_MS << doublings;
    }
    s->failures = answered ? 0 : s->failures + !wait_ms;
    s->asked_mono = now_mono;
    s->retry_mono = now_mono + wait;
    key_server_dropped(s);
}

bool key_server_is_due(const struct key_server *s, bool urgent, int64_t now_mono)
{
    if (urgent && s->failures)
        return s->asked_mono + RETRY_URGENT_MS <= now_mono;
    return s->retry_mono <= now_mono;
}
