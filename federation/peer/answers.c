#include "federation/peer/answers.h"

#include "base/clock.h"
#include "base/lock.h"
#include "base/map.h"
#include "base/mem.h"
#include "federation/federation.h"

enum {
    LARGEST_SHARE = 16,
    AT_ONCE = 8, /* requests to one server */
    RETRY_AFTER_MS = 2000,
    FORGOTTEN_MAX = 1000 /* servers */
};

struct answer {
    struct answer *newer; /* in the order of arrival */
    int64_t put_mono_ms, until_mono_ms;
    bool is_some, is_replaced; /* replaced: not in the map any more */
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
    struct lock lock;
    struct map forgotten;     /* server -> struct forgotten */
    int64_t all_forgotten_ms; /* all answers from before then are invalid */
    struct map waiting;       /* server -> struct waiting */
    struct map by_key;
    struct answer *oldest, *newest;
    size_t bytes, bytes_max;
};

static size_t size_of(const struct answer *e)
{
    return sizeof *e + e->key_n + e->n;
}

static struct str answers_key_of(const struct answer *e)
{
    return (struct str){e->bytes, e->key_n};
}

static void answers_drop_oldest_locked(struct answers *a)
{
    struct answer *e = a->oldest;
    a->oldest = e->newer;
    if (!a->oldest)
        a->newest = NULL;
    if (!e->is_replaced)
        map_remove(&a->by_key, answers_key_of(e));
    a->bytes -= size_of(e);
    free(e);
}

static struct answer *answers_make(const char *key, struct str answer, int64_t keep_ms)
{
    size_t key_n = strlen(key);
    struct answer *e = mem_zalloc(sizeof *e + key_n + answer.n);
    *e = (struct answer){.put_mono_ms = mono_ms(),
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
    if (answer.n + strlen(key) > a->bytes_max / LARGEST_SHARE)
        return;
    struct answer *e = answers_make(key, answer, keep_ms);
    LOCKED(&a->lock);
    struct answer *before = map_remove(&a->by_key, answers_key_of(e));
    if (before)
        before->is_replaced = true;
    map_put(&a->by_key, answers_key_of(e), e);
    if (a->newest)
        a->newest->newer = e;
    else
        a->oldest = e;
    a->newest = e;
    a->bytes += size_of(e);
    while (a->bytes > a->bytes_max)
        answers_drop_oldest_locked(a);
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
    LOCKED(&a->lock);
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
    struct str key = answers_key_of(e);
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
    LOCKED(&a->lock);
    const struct answer *e = map_get(&a->by_key, str_of(key));
    if (!e || e->until_mono_ms < mono_ms() || is_forgotten_locked(a, e))
        return false;
    *ret = (struct str){0};
    if (e->is_some)
        *ret = (struct str){arena_memdup(arena, e->bytes + e->key_n, e->n), e->n};
    return true;
}

/* ---- questions ---- */

static bool answers_begin(struct answers *a, const char *server)
{
    LOCKED(&a->lock);
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
    LOCKED(&a->lock);
    struct waiting *w = map_get(&a->waiting, str_of(server));
    if (--w->n > 0)
        return;
    map_remove(&a->waiting, str_of(w->server));
    free(w);
}

const struct err *federation_question_begin(struct job *job, const char *server)
{
    return answers_begin(job->node->federation->answers, server)
               ? NULL
               : err_unavailable(RETRY_AFTER_MS, "too many questions wait for %s", server);
}

void federation_question_end(struct job *job, const char *server)
{
    answers_end(job->node->federation->answers, server);
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

struct answers *answers_create(size_t bytes_max)
{
    struct answers *a = mem_zalloc(sizeof *a);
    lock_init(&a->lock, RANK_CACHE);
    a->bytes_max = bytes_max;
    return a;
}

void answers_destroy(struct answers *a)
{
    if (!a)
        return;
    while (a->oldest)
        answers_drop_oldest_locked(a);
    drop_forgotten_locked(a);
    map_finish(&a->by_key);
    map_finish(&a->waiting);
    lock_finish(&a->lock);
    free(a);
}
