#include "federation/in/late_receipts.h"

#include "base/clock.h"
#include "base/lock.h"
#include "base/mem.h"
#include "rooms/room_cache.h"
#include "users/receipts.h"

enum { KEPT_MAX = 500, KEEP_MS = 30 * 1000 };

struct late {
    int64_t room, since; /* mono_ms */
    struct receipt receipt;
    char *user_id, *event_id, *thread; /* owned; the receipt's */
};

struct late_receipts {
    struct lock lock;
    struct late kept[KEPT_MAX];
    size_t n;
};

struct late_receipts *late_receipts_create(void)
{
    struct late_receipts *l = mem_zalloc(sizeof *l);
    lock_init(&l->lock, RANK_LEAF);
    return l;
}

static void late_receipts_forget(struct late *one)
{
    free(one->user_id);
    free(one->event_id);
    free(one->thread);
}

void late_receipts_destroy(struct late_receipts *l)
{
    if (!l)
        return;
    for (size_t i = 0; i < l->n; i++)
        late_receipts_forget(&l->kept[i]);
    lock_finish(&l->lock);
    free(l);
}

static void late_receipts_put(struct late_receipts *l, const struct late *one)
{
    LOCKED(&l->lock);
    if (l->n == KEPT_MAX) {
        late_receipts_forget((struct late *)one);
        return;
    }
    l->kept[l->n++] = *one;
}

void late_receipts_keep(struct late_receipts *l, int64_t room, const struct receipt *r)
{
    struct late one = {.room = room,
                       .since = mono_ms(),
                       .receipt = *r,
                       .user_id = mem_strdup(r->user_id),
                       .event_id = mem_strdup(r->event_id),
                       .thread = mem_strdup(r->thread)};
    one.receipt.user_id = one.user_id;
    one.receipt.event_id = one.event_id;
    one.receipt.thread = one.thread;
    late_receipts_put(l, &one);
}

static size_t late_receipts_take_all(struct late_receipts *l, struct arena *a, struct late **ret)
{
    LOCKED(&l->lock);
    size_t n = l->n;
    *ret = arena_alloc_array(a, n + 1, sizeof **ret);
    memcpy(*ret, l->kept, n * sizeof **ret);
    l->n = 0;
    return n;
}

/* Skipped if the user has left meanwhile. */
static const struct err *late_receipts_set(struct job *job, struct late *one)
{
    struct room *room;
    TRY(room_get_by_id(job, one->room, &room));
    if (!room || room_membership(room, one->receipt.user) != MEMBERSHIP_JOIN)
        return NULL;
    return receipts_set_remote(job, room, &one->receipt, 1);
}

const struct err *late_receipts_retry(struct late_receipts *l, struct job *job)
{
    struct late *list;
    size_t n = late_receipts_take_all(l, job->arena, &list);
    const struct err *e = NULL;
    for (size_t i = 0; i < n; i++) {
        if (!e)
            e = late_receipts_set(job, &list[i]);
        if (!list[i].receipt.event && mono_ms() - list[i].since < KEEP_MS)
            late_receipts_put(l, &list[i]);
        else
            late_receipts_forget(&list[i]);
    }
    return e;
}
