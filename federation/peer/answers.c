#include "federation/peer/answers.h"

#include "base/cache.h"
#include "base/clock.h"
#include "base/mem.h"
#include "federation/federation.h"

enum {
    LARGEST_SHARE = 16,
    AT_ONCE = 8, /* requests to one server */
    RETRY_AFTER_MS = 2000,
    FORGOTTEN_MAX = 1000 /* servers */
};

struct answer {
    struct cache_entry entry;
    int64_t put_mono_ms, until_mono_ms;
    bool is_some;
    size_t key_n, n;
    char bytes[]; /* the key, then the answer */
};

/* Requests to one server. */
struct waiting {
    int n;
    char server[];
};

/* Answers of this server from before then are invalid. */
struct forgotten {
    int64_t at_mono_ms;
    char server[];
};

struct answers {
    struct cache cache;       /* its lock guards the rest, too */
    struct map forgotten;     /* server -> struct forgotten */
    int64_t all_forgotten_ms; /* all answers from before then are invalid */
    struct map waiting;       /* server -> struct waiting */
};

static void answers_destroy_entry(struct cache_entry *e)
{
    free(e);
}

static const struct cache_kind answers_kind = {
    .name = "answers", .rank = RANK_CACHE, .share = 16, .destroy = answers_destroy_entry};

static struct answer *answers_make(const char *key, struct str answer, int64_t keep_ms)
{
    size_t key_n = strlen(key), size = sizeof(struct answer) + key_n + answer.n;
    struct answer *e = mem_zalloc(size);
    *e = (struct answer){.entry = {.key = {e->bytes, key_n}, .bytes = size},
                         .put_mono_ms = mono_ms(),
                         .until_mono_ms = mono_ms() + keep_ms,
                         .is_some = answer.p != NULL,
                         .key_n = key_n,
                         .n = answer.n};
    memcpy(e->bytes, key, key_n);
    if (answer.n)
        memcpy(e->bytes + key_n, answer.p, answer.n);
    return e;
}

void answers_put(struct answers *a, const char *key, struct str answer, int64_t keep_ms)
{
    if (answer.n + strlen(key) > cache_bytes_max(&a->cache) / LARGEST_SHARE)
        return;
    struct answer *e = answers_make(key, answer, keep_ms);
    CACHE_LOCKED(&a->cache);
    cache_replace_locked(&a->cache, &e->entry);
}

/* ---- forgetting ---- */

static void drop_forgotten_locked(struct answers *a)
{
    for (struct map_slot *slot = NULL; (slot = map_next(&a->forgotten, slot));)
        free(slot->value);
    map_finish(&a->forgotten);
    a->forgotten = (struct map){0};
}

void answers_forget(struct answers *a, const char *server)
{
    size_t size = strlen(server) + 1;
    CACHE_LOCKED(&a->cache);
    struct forgotten *f = map_get(&a->forgotten, str_of(server));
    if (!f && a->forgotten.n == FORGOTTEN_MAX) {
        drop_forgotten_locked(a);
        a->all_forgotten_ms = mono_ms();
        return;
    }
    if (!f) {
        f = mem_zalloc(sizeof *f + size);
        memcpy(f->server, server, size);
        map_put(&a->forgotten, str_of(f->server), f);
    }
    f->at_mono_ms = mono_ms();
}

static bool is_forgotten_locked(struct answers *a, const struct answer *e)
{
    struct str key = e->entry.key;
    if (e->put_mono_ms <= a->all_forgotten_ms)
        return true;
    for (size_t i = 0, word = 0; a->forgotten.n && i <= key.n; i++) {
        if (i < key.n && key.p[i] != ' ')
            continue;
        const struct forgotten *f = map_get(&a->forgotten, (struct str){key.p + word, i - word});
        if (f && e->put_mono_ms <= f->at_mono_ms)
            return true;
        word = i + 1;
    }
    return false;
}

bool answers_get(struct answers *a, struct arena *arena, const char *key, struct str *ret)
{
    CACHE_LOCKED(&a->cache);
    struct answer *e = cache_peek_locked(&a->cache, str_of(key));
    bool is_valid = e && e->until_mono_ms >= mono_ms() && !is_forgotten_locked(a, e);
    cache_count_locked(&a->cache, is_valid ? &e->entry : NULL);
    if (!is_valid)
        return false;
    *ret = (struct str){0};
    if (e->is_some)
        *ret = (struct str){arena_memdup(arena, e->bytes + e->key_n, e->n), e->n};
    return true;
}

/* ---- questions ---- */

static bool answers_begin(struct answers *a, const char *server)
{
    CACHE_LOCKED(&a->cache);
    struct waiting *w = map_get(&a->waiting, str_of(server));
    if (!w) {
        size_t size = strlen(server) + 1;
        w = mem_zalloc(sizeof *w + size);
        memcpy(w->server, server, size);
        map_put(&a->waiting, str_of(w->server), w);
    }
    if (w->n == AT_ONCE)
        return false;
    w->n++;
    return true;
}

static void answers_end(struct answers *a, const char *server)
{
    CACHE_LOCKED(&a->cache);
    struct waiting *w = map_get(&a->waiting, str_of(server));
    if (--w->n > 0)
        return;
    map_remove(&a->waiting, str_of(w->server));
    free(w);
}

const struct err *federation_question_begin(struct job *job, const char *server)
{
    return answers_begin(job->federation->answers, server)
               ? NULL
               : err_unavailable(RETRY_AFTER_MS, "too many questions wait for %s", server);
}

void federation_question_end(struct job *job, const char *server)
{
    answers_end(job->federation->answers, server);
}

const struct err *federation_question(struct job *job, const struct fed_request *r,
                                      struct fed_reply *ret)
{
    TRY(federation_question_begin(job, r->server));
    const struct err *e = federation_request(job, r, ret);
    federation_question_end(job, r->server);
    return e;
}

/* ---- life ---- */

struct answers *answers_create(struct cache_budget *b)
{
    struct answers *a = mem_zalloc(sizeof *a);
    cache_init(&a->cache, b, &answers_kind, NULL);
    return a;
}

void answers_destroy(struct answers *a)
{
    if (!a)
        return;
    cache_finish(&a->cache);
    drop_forgotten_locked(a);
    map_finish(&a->waiting);
    free(a);
}
