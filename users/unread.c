/* The cache of unread counts (unread_sums.c does the arithmetic): its readers, the changes of the
 * log that it applies to them, and loading them from the database. */
#include "users/unread.h"
#include "users/users.h"

#include "base/mem.h"
#include "rooms/account_cache.h"
#include "storage/db/intern.h"
#include "storage/users/unread.h"
#include "users/unread_sums.h"

enum { LOADS_MAX = 4 /* attempts while changes interfere */ };

struct unread_cache {
    struct cache cache; /* of readers, without keys: found by room and user */
    struct node *node;
    struct map rooms; /* rooms.id -> struct room_sums */
    int64_t applied;  /* position up to which the log was followed */
};

/* ---- rooms and readers ---- */

/* A room is dropped with its last reader. */
static void unread_left(void *cache, struct cache_entry *x)
{
    struct unread_cache *c = cache;
    struct room_sums *r = ((struct reader_sums *)x)->room;
    reader_leave((struct reader_sums *)x);
    if (r->readers.n)
        return;
    map_remove_int(&c->rooms, r->room);
    room_sums_destroy(r);
}

static void unread_destroy_reader(struct cache_entry *x)
{
    reader_destroy((struct reader_sums *)x);
}

static const struct cache_kind unread_kind = {.name = "unread",
                                              .rank = RANK_CACHE,
                                              .share = 4,
                                              .left = unread_left,
                                              .destroy = unread_destroy_reader};

static void unread_drop_locked(struct unread_cache *c, struct reader_sums *x)
{
    cache_drop_locked(&c->cache, &x->entry);
}

static void drop_room_locked(struct unread_cache *c, struct room_sums *r)
{
    for (size_t left = r->readers.n; left > 0; left--)
        unread_drop_locked(c, map_next(&r->readers, NULL)->value);
}

static struct reader_sums *unread_find_locked(struct unread_cache *c, int64_t room, int64_t user)
{
    const struct room_sums *r = map_get_int(&c->rooms, room);
    return r ? map_get_int(&r->readers, user) : NULL;
}

static struct reader_sums *unread_make_locked(struct unread_cache *c, int64_t room, int64_t user)
{
    struct room_sums *r = map_get_int(&c->rooms, room);
    if (!r) {
        r = room_sums_create(room, c->applied);
        map_put_int(&c->rooms, room, r);
    }
    struct reader_sums *x = reader_create(r, user);
    x->entry.bytes = reader_bytes(x);
    cache_add_locked(&c->cache, &x->entry);
    return x;
}

/* ---- following the log ---- */

/* A reader that cannot be followed from memory is dropped, to be loaded again. */
static void apply_read_locked(struct unread_cache *c, struct reader_sums *x, int64_t scope,
                              int64_t position)
{
    if (!reader_read(x, scope, position))
        unread_drop_locked(c, x);
}

/* Events of an ignored user count for nothing, highlights included. */
static void apply_exceptions(struct room_sums *r, const struct change *change, const char *sender)
{
    for (size_t i = 0; i < change->local.actions_n; i++) {
        const struct push_action *a = &change->local.actions[i];
        struct reader_sums *x = map_get_int(&r->readers, a->user);
        if (x && !reader_ignores(x, sender))
            reader_add_exception(x, &(struct newest_event){change->position,
                                                           change->event.thread,
                                                           {a->notify, a->highlight}});
    }
}

/* A user who leaves and rejoins starts with nothing unread; their new join is then looked up. */
static void unread_apply_member_locked(struct unread_cache *c, struct room_sums *r,
                                       const struct event *e)
{
    int64_t user = 0;
    if (event_membership(e) == MEMBERSHIP_JOIN)
        return;
    if (intern_find(c->node->storage->intern, INTERN_USER, e->state_key, &user) || !user)
        return;
    struct reader_sums *x = map_get_int(&r->readers, user);
    if (x)
        unread_drop_locked(c, x);
}

static void unread_apply_event_locked(struct unread_cache *u, struct room_sums *r,
                                      const struct change *change)
{
    const struct change_event *c = change_as_event(change);
    bool is_member = c->event->state_key && strcmp(c->event->type, "m.room.member") == 0;
    if (r->threads_n > UNREAD_THREADS_MAX) {
        drop_room_locked(u, r);
        return;
    }
    /* State events count even if their sender is ignored. */
    bool is_state = c->event->state_key && !c->is_lost;
    const char *sender = is_state ? NULL : c->event->sender;
    room_sums_add_event(
        r, &(struct newest_event){change->position, c->thread, {c->notify, c->highlight}}, sender);
    apply_exceptions(r, change, sender);
    struct reader_sums *author = map_get_int(&r->readers, change->user);
    if (is_member)
        unread_apply_member_locked(u, r, c->event);
    else if (author && !event_is_dummy(c->event))
        apply_read_locked(u, author, c->thread ? c->thread : READ_MAIN, change->position);
}

static void unread_apply_locked(struct unread_cache *c, const struct change *change)
{
    c->applied = change->position;
    struct room_sums *r = change->room ? map_get_int(&c->rooms, change->room) : NULL;
    if (!r)
        return;
    if (change->kind == CHANGE_EVENT) {
        unread_apply_event_locked(c, r, change);
    } else if (change->kind == CHANGE_RECEIPT) {
        struct reader_sums *x = map_get_int(&r->readers, change->user);
        if (x)
            apply_read_locked(c, x, change->receipt.thread, change->receipt.event);
    }
}

void unread_cache_on_changes(void *ctx, const struct change *changes, size_t n)
{
    struct unread_cache *c = ctx;
    CACHE_LOCKED(&c->cache);
    for (size_t i = 0; i < n; i++)
        unread_apply_locked(c, &changes[i]);
    if (n)
        return;
    cache_forget_all_locked(&c->cache);
    c->applied = feed_newest(c->node->storage->feed);
}

/* ---- loading ---- */

/* True if the reader ignores the same users as when it was loaded, and has caught up. */
static bool is_true(struct reader_sums *x, struct ignored_list *ignored)
{
    if (!x->loaded || !ignored_list_same(x->ignored, ignored))
        return false;
    reader_set_ignored(x, ignored);
    return reader_catch_up(x);
}

static bool unread_look_up(struct job *job, int64_t room, int64_t user,
                           struct ignored_list *ignored, struct standing *ret)
{
    struct unread_cache *c = job->users->unread;
    CACHE_LOCKED(&c->cache);
    struct reader_sums *x = unread_find_locked(c, room, user);
    bool is_known = x && is_true(x, ignored);
    cache_count_locked(&c->cache, is_known ? &x->entry : NULL);
    if (!is_known)
        return false;
    reader_standing(job->arena, x, ret);
    return true;
}

static const struct err *users_unread_load(struct job *job, struct room *room, int64_t user,
                                           const char *user_id, struct ignored_list *ignored,
                                           struct standing *ret)
{
    struct unread_cache *c = job->users->unread;
    for (int i = 0; i < LOADS_MAX; i++) {
        cache_lock(&c->cache);
        struct reader_sums *x = unread_find_locked(c, room->id, user);
        if (!x)
            x = unread_make_locked(c, room->id, user);
        int64_t until = c->applied;
        uint64_t touched = x->touched;
        cache_unlock(&c->cache);

        TRY(unread_load(job, room, user, user_id, ignored, until, ret));
        CACHE_LOCKED(&c->cache);
        x = unread_find_locked(c, room->id, user);
        if (!x)
            return NULL;
        if (x->touched == touched && reader_install(x, ret, ignored, until) && reader_catch_up(x)) {
            reader_standing(job->arena, x, ret);
            cache_resize_locked(&c->cache, &x->entry, reader_bytes(x));
            return NULL;
        }
    }
    return NULL; /* changes kept interfering: true at `until`, but not cached */
}

/* The event ids of the roots of threads that began while the room was in the cache. */
static const struct err *unread_name_threads(struct job *job, struct room *room, struct standing *s)
{
    struct unread_cache *c = job->users->unread;
    for (size_t i = 0; i < s->threads_n; i++) {
        struct thread_standing *t = &s->threads[i];
        struct str id;
        if (t->root_id)
            continue;
        TRY(unread_event_ids(job_tx(job), &t->root, 1, &id));
        if (!id.p)
            continue;
        t->root_id = event_id_from_bytes(job->arena, room->version, id);
        CACHE_LOCKED(&c->cache);
        struct room_sums *r = map_get_int(&c->rooms, room->id);
        struct thread_sum *sum = r ? room_sums_find_thread(r, t->root) : NULL;
        if (sum && !sum->root_id)
            sum->root_id = mem_strdup(t->root_id);
    }
    return NULL;
}

/* ---- counts ---- */

static int64_t not_negative(int64_t v)
{
    return v > 0 ? v : 0;
}

static void unread_fill(struct arena *a, const struct standing *s, bool by_thread,
                        struct unread_counts *ret)
{
    struct unread_tally main = s->main;
    *ret = (struct unread_counts){0};
    if (by_thread && s->threads_n) {
        struct thread_counts *list = arena_alloc_array(a, s->threads_n, sizeof *list);
        for (size_t i = 0; i < s->threads_n; i++)
            if (s->threads[i].root_id &&
                (s->threads[i].unread.notify > 0 || s->threads[i].unread.highlight > 0))
                list[ret->threads_n++] = (struct thread_counts){
                    s->threads[i].root_id, not_negative(s->threads[i].unread.notify),
                    not_negative(s->threads[i].unread.highlight)};
        ret->threads = list;
    }
    for (size_t i = 0; !by_thread && i < s->threads_n; i++) {
        main.notify += s->threads[i].unread.notify;
        main.highlight += s->threads[i].unread.highlight;
    }
    ret->notify = not_negative(main.notify);
    ret->highlight = not_negative(main.highlight);
}

const struct err *unread_get(struct job *job, struct room *room, int64_t user, const char *user_id,
                             bool by_thread, struct unread_counts *ret)
{
    struct standing s;
    struct ignored_list *ignored;
    TRY(ignored_list_get(job, user, &ignored));
    if (!unread_look_up(job, room->id, user, ignored, &s))
        TRY(users_unread_load(job, room, user, user_id, ignored, &s));
    if (by_thread)
        TRY(unread_name_threads(job, room, &s));
    unread_fill(job->arena, &s, by_thread, ret);
    return NULL;
}

struct unread_cache *unread_cache_create(struct node *node)
{
    struct unread_cache *c = mem_zalloc(sizeof *c);
    cache_init(&c->cache, node->caches, &unread_kind, c);
    c->node = node;
    c->applied = feed_newest(node->storage->feed);
    return c;
}

void unread_cache_destroy(struct unread_cache *c)
{
    if (!c)
        return;
    cache_finish(&c->cache);
    map_finish(&c->rooms);
    free(c);
}
