#include "federation/in/transaction_table.h"

#include "base/lock.h"
#include "base/map.h"
#include "base/mem.h"

enum {
    RUNNING_MAX = 4, /* of one server at once */
    KEPT_MAX = 1024  /* answers */
};

/* A server with transactions in progress or waiting. */
struct origin {
    char *name;
    char *running[RUNNING_MAX]; /* keys */
    size_t running_n, waiting_n;
    struct waiter waiters; /* head of a circular list */
};

struct answer {
    char *key;
    char *reply;
    size_t reply_n;
};

struct transaction_table {
    struct lock lock;
    struct map origins; /* name -> struct origin */
    struct map answers; /* key -> struct answer */
    struct answer ring[KEPT_MAX];
    size_t next, waiting_max;
};

struct transaction_table *transaction_table_create(size_t waiting_max)
{
    struct transaction_table *t = mem_zalloc(sizeof *t);
    t->waiting_max = waiting_max;
    lock_init(&t->lock, RANK_CACHE);
    return t;
}

void transaction_table_destroy(struct transaction_table *t)
{
    if (!t)
        return;
    for (size_t i = 0; i < KEPT_MAX; i++) {
        free(t->ring[i].key);
        free(t->ring[i].reply);
    }
    for (struct map_slot *s = NULL; (s = map_next(&t->origins, s));) {
        struct origin *o = s->value;
        for (size_t i = 0; i < o->running_n; i++)
            free(o->running[i]);
        free(o->name);
        free(o);
    }
    map_finish(&t->origins);
    map_finish(&t->answers);
    lock_finish(&t->lock);
    free(t);
}

/* The key includes the body: a server that lost its state may reuse transaction ids. */
static char *transaction_table_make_key(const char *origin, const char *txn, struct str body)
{
    buf_auto struct buf b = {0};
    size_t n;
    buf_printf(&b, "%s %llx %s", origin, (unsigned long long)hash_bytes(body.p, body.n), txn);
    return buf_steal(&b, &n);
}

/* ---- servers, the lock held ---- */

static struct origin *origin_locked(struct transaction_table *t, const char *name)
{
    struct origin *o = map_get(&t->origins, str_of(name));
    if (o)
        return o;
    o = mem_zalloc(sizeof *o);
    o->name = mem_strdup(name);
    o->waiters.next = o->waiters.prev = &o->waiters;
    map_put(&t->origins, str_of(o->name), o);
    return o;
}

static void drop_idle_locked(struct transaction_table *t, struct origin *o)
{
    if (o->running_n || o->waiting_n)
        return;
    map_remove(&t->origins, str_of(o->name));
    free(o->name);
    free(o);
}

static bool is_running_locked(const struct origin *o, const char *key)
{
    for (size_t i = 0; i < o->running_n; i++)
        if (strcmp(o->running[i], key) == 0)
            return true;
    return false;
}

/* ---- waiting ---- */

static void detach_locked(struct waiter *w)
{
    w->prev->next = w->next;
    w->next->prev = w->prev;
    w->prev = w->next = NULL;
}

/* Called by http/ when the request ends; it may have been woken already. */
static void transaction_table_leave(struct waiter *w)
{
    struct transaction_table *t = w->source;
    LOCKED(&t->lock);
    w->source = NULL;
    if (!w->next)
        return;
    /* The head of the list is part of its origin. */
    struct waiter *head = w->next;
    while (head->wake)
        head = head->next;
    struct origin *o = (struct origin *)((char *)head - offsetof(struct origin, waiters));
    detach_locked(w);
    o->waiting_n--;
    drop_idle_locked(t, o);
}

static void transaction_table_wait_locked(struct transaction_table *t, struct origin *o,
                                          struct waiter *w)
{
    w->source = t;
    w->leave = transaction_table_leave;
    w->next = &o->waiters;
    w->prev = o->waiters.prev;
    w->prev->next = w->next->prev = w;
    o->waiting_n++;
}

static void transaction_table_wake_all_locked(struct origin *o)
{
    while (o->waiting_n) {
        struct waiter *w = o->waiters.next;
        detach_locked(w);
        o->waiting_n--;
        w->wake(w);
    }
}

/* ---- transactions ---- */

static enum admission admit_locked(struct transaction_table *t, struct arena *a, struct origin *o,
                                   char **key, struct waiter *w, struct str *ret_reply)
{
    const struct answer *answer = map_get(&t->answers, str_of(*key));
    if (answer) {
        *ret_reply = (struct str){arena_memdup(a, answer->reply, answer->reply_n), answer->reply_n};
        return ADMIT_DONE;
    }
    if (o->running_n < RUNNING_MAX && !is_running_locked(o, *key)) {
        o->running[o->running_n++] = *key;
        *key = NULL;
        return ADMIT_RUN;
    }
    if (o->waiting_n >= t->waiting_max)
        return ADMIT_BUSY;
    transaction_table_wait_locked(t, o, w);
    return ADMIT_WAIT;
}

enum admission transaction_admit(struct transaction_table *t, struct arena *a, const char *origin,
                                 const char *txn, struct str body, struct waiter *w,
                                 struct str *ret_reply)
{
    char *key = transaction_table_make_key(origin, txn, body);
    if (w->source) /* it was woken, or timed out */
        w->leave(w);
    lock_take(&t->lock);
    struct origin *o = origin_locked(t, origin);
    enum admission admission = admit_locked(t, a, o, &key, w, ret_reply);
    drop_idle_locked(t, o);
    lock_release(&t->lock);
    free(key);
    return admission;
}

static void keep_answer_locked(struct transaction_table *t, char *owned_key, struct str reply)
{
    struct answer *a = &t->ring[t->next];
    if (a->key)
        map_remove(&t->answers, str_of(a->key));
    free(a->key);
    free(a->reply);
    *a = (struct answer){owned_key, mem_alloc(reply.n), reply.n};
    memcpy(a->reply, reply.p, reply.n);
    map_put(&t->answers, str_of(a->key), a);
    t->next = (t->next + 1) % KEPT_MAX;
}

void transaction_finish(struct transaction_table *t, const char *origin, const char *txn,
                        struct str body, struct str reply)
{
    char *key = transaction_table_make_key(origin, txn, body);
    lock_take(&t->lock);
    struct origin *o = origin_locked(t, origin);
    for (size_t i = 0; i < o->running_n; i++)
        if (strcmp(o->running[i], key) == 0) {
            free(o->running[i]);
            o->running[i] = o->running[--o->running_n];
            break;
        }
    if (reply.p) {
        keep_answer_locked(t, key, reply);
        key = NULL;
    }
    transaction_table_wake_all_locked(o);
    drop_idle_locked(t, o);
    lock_release(&t->lock);
    free(key);
}
