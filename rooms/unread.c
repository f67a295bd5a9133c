/* The cache of unread counts. What is kept are sums since a moment that does not matter: of a room,
 * and for each reader the sum up to where they have read; the difference is what is unread. So an
 * event costs one addition for the room, however many read it, and one for each whom it singles
 * out; a receipt costs a subtraction of what came after it, which the newest events of the room
 * (its ring) tell. Only where they do not reach is the database asked again. */
#include "rooms/unread.h"

#include "base/mem.h"
#include "rooms/receipts.h"
#include "rooms/unread_internal.h"
#include "storage/intern.h"
#include "storage/unread.h"

enum {
    RING = 32,              /* newest events of a room */
    EXCEPTIONS = 16,        /* newest events that single a reader out */
    THREADS_MAX = 2000,     /* of a room; with more it starts anew */
    THREADS_A_READER = 100, /* with something unread, counted from the newest */
    BYTES_A_READER = 512,
    SHARE = 16, /* of the memory for all caches */
    READERS_MIN = 1024,
    LOADS_MAX = 4 /* attempts while changes come in between */
};

/* The scope of a receipt besides the position of a thread's root. */
enum { EVERYTHING = 0, MAIN = RECEIPT_OF_MAIN };

struct newest_event {
    int64_t position, thread;
    struct tally adds;
};

/* Both kinds of thread lists are sorted by root. */
struct thread_sum {
    int64_t root;
    struct tally sum;
    char *root_id; /* NULL: not looked up yet */
};

struct thread_reader {
    int64_t root, read_up_to;
    struct tally read;
};

struct room_sums {
    int64_t room;
    struct tally main;
    struct thread_sum *threads;
    size_t threads_n;
    struct newest_event ring[RING];
    size_t ring_n;      /* ever added */
    int64_t ring_from;  /* the ring holds every event after this position */
    struct map readers; /* users.id -> struct reader */
};

struct reader {
    int64_t user;
    struct room_sums *room;
    bool loaded;
    uint64_t touched; /* changes that concerned this reader */
    int64_t read_up_to, main_read_up_to;
    struct tally main_read;
    struct thread_reader *threads; /* those missing here have been read to a sum of zero */
    size_t threads_n;
    struct newest_event exceptions[EXCEPTIONS]; /* what they add beyond the room's */
    size_t exceptions_n;
    int64_t exceptions_from; /* all after this position are here */
    struct reader *newer, *older;
};

struct unread_cache {
    struct lock lock;
    struct store *store;
    struct map rooms; /* rooms.id -> struct room_sums */
    struct reader *newest, *oldest;
    size_t readers_n, readers_max;
    int64_t applied; /* position up to which the log was followed */
    int64_t hits, loads;
};

static void add(struct tally *t, struct tally by)
{
    t->notify += by.notify;
    t->highlight += by.highlight;
}

static struct tally minus(struct tally a, struct tally b)
{
    return (struct tally){a.notify - b.notify, a.highlight - b.highlight};
}

/* ---- threads -----------------------------------------------------------------------------------
 */

static size_t thread_at(const struct room_sums *r, int64_t root)
{
    size_t i = r->threads_n;
    while (i > 0 && r->threads[i - 1].root >= root)
        i--;
    return i;
}

static struct thread_sum *thread_sum(struct room_sums *r, int64_t root)
{
    size_t i = thread_at(r, root);
    if (i < r->threads_n && r->threads[i].root == root)
        return &r->threads[i];
    r->threads = mem_realloc_array(r->threads, r->threads_n + 1, sizeof *r->threads);
    memmove(&r->threads[i + 1], &r->threads[i], (r->threads_n - i) * sizeof *r->threads);
    r->threads_n++;
    r->threads[i] = (struct thread_sum){.root = root};
    return &r->threads[i];
}

static struct thread_reader *find_thread(struct reader *x, int64_t root)
{
    for (size_t i = x->threads_n; i-- > 0 && x->threads[i].root >= root;)
        if (x->threads[i].root == root)
            return &x->threads[i];
    return NULL;
}

static struct thread_reader *thread_reader(struct reader *x, int64_t root)
{
    struct thread_reader *found = find_thread(x, root);
    if (found)
        return found;
    size_t i = x->threads_n;
    while (i > 0 && x->threads[i - 1].root >= root)
        i--;
    x->threads = mem_realloc_array(x->threads, x->threads_n + 1, sizeof *x->threads);
    memmove(&x->threads[i + 1], &x->threads[i], (x->threads_n - i) * sizeof *x->threads);
    x->threads_n++;
    x->threads[i] = (struct thread_reader){.root = root, .read_up_to = x->read_up_to};
    return &x->threads[i];
}

/* ---- rooms and readers -------------------------------------------------------------------------
 */

static void unlink_locked(struct unread_cache *c, struct reader *x)
{
    *(x->newer ? &x->newer->older : &c->newest) = x->older;
    *(x->older ? &x->older->newer : &c->oldest) = x->newer;
}

static void link_newest_locked(struct unread_cache *c, struct reader *x)
{
    x->newer = NULL;
    x->older = c->newest;
    *(c->newest ? &c->newest->newer : &c->oldest) = x;
    c->newest = x;
}

/* A room goes with its last reader. */
static void drop_locked(struct unread_cache *c, struct reader *x)
{
    struct room_sums *r = x->room;
    unlink_locked(c, x);
    c->readers_n--;
    map_remove_int(&r->readers, x->user);
    free(x->threads);
    free(x);
    if (r->readers.n)
        return;
    map_remove_int(&c->rooms, r->room);
    for (size_t i = 0; i < r->threads_n; i++)
        free(r->threads[i].root_id);
    free(r->threads);
    map_finish(&r->readers);
    free(r);
}

static void drop_room_locked(struct unread_cache *c, struct room_sums *r)
{
    for (size_t left = r->readers.n; left > 0; left--)
        drop_locked(c, map_next(&r->readers, NULL)->value);
}

static struct reader *find_locked(struct unread_cache *c, int64_t room, int64_t user)
{
    const struct room_sums *r = map_get_int(&c->rooms, room);
    return r ? map_get_int(&r->readers, user) : NULL;
}

static struct reader *make_locked(struct unread_cache *c, int64_t room, int64_t user)
{
    if (c->readers_n >= c->readers_max)
        drop_locked(c, c->oldest);
    struct room_sums *r = map_get_int(&c->rooms, room);
    if (!r) {
        r = mem_zalloc(sizeof *r);
        r->room = room;
        r->ring_from = c->applied;
        map_put_int(&c->rooms, room, r);
    }
    struct reader *x = mem_zalloc(sizeof *x);
    x->user = user;
    x->room = r;
    map_put_int(&r->readers, user, x);
    link_newest_locked(c, x);
    c->readers_n++;
    return x;
}

/* ---- how far somebody has read -----------------------------------------------------------------
 */

/* What the room's newest events after a position add in one scope. */
static struct tally after(const struct room_sums *r, int64_t thread, int64_t position)
{
    struct tally t = {0};
    for (size_t i = r->ring_n; i-- > 0 && i + RING >= r->ring_n;) {
        const struct newest_event *e = &r->ring[i % RING];
        if (e->position <= position)
            break;
        if (e->thread == thread)
            add(&t, e->adds);
    }
    return t;
}

static struct tally exceptions_after(const struct reader *x, int64_t thread, int64_t position)
{
    struct tally t = {0};
    for (size_t i = 0; i < x->exceptions_n; i++)
        if (x->exceptions[i].position > position && x->exceptions[i].thread == thread)
            add(&t, x->exceptions[i].adds);
    return t;
}

/* The sum up to a position: the sum now without what came after it. */
static struct tally sum_at(const struct reader *x, struct tally now, int64_t thread,
                           int64_t position)
{
    return minus(minus(now, after(x->room, thread, position)),
                 exceptions_after(x, thread, position));
}

static void read_main(struct reader *x, int64_t position)
{
    if (position <= x->main_read_up_to)
        return;
    x->main_read_up_to = position;
    x->main_read = sum_at(x, x->room->main, 0, position);
}

static void read_thread(struct reader *x, const struct thread_sum *t, int64_t position)
{
    struct thread_reader *tr = thread_reader(x, t->root);
    if (position <= tr->read_up_to)
        return;
    tr->read_up_to = position;
    tr->read = sum_at(x, t->sum, t->root, position);
}

static void read_everything(struct reader *x, int64_t position)
{
    if (position <= x->read_up_to)
        return;
    read_main(x, position);
    for (size_t i = 0; i < x->room->threads_n; i++)
        read_thread(x, &x->room->threads[i], position);
    x->read_up_to = position;
}

/* Somebody has read up to a position, by a receipt or by sending an event. */
static void apply_read_locked(struct unread_cache *c, struct reader *x, int64_t scope,
                              int64_t position)
{
    x->touched++;
    if (!x->loaded)
        return;
    if (position < x->room->ring_from || position < x->exceptions_from) {
        drop_locked(c, x); /* too far back: to be read from the database */
        return;
    }
    if (scope == EVERYTHING)
        read_everything(x, position);
    else if (scope == MAIN)
        read_main(x, position);
    else
        read_thread(x, thread_sum(x->room, scope), position);
}

/* ---- keeping step with the log -----------------------------------------------------------------
 */

static void remember(struct room_sums *r, const struct newest_event *e)
{
    struct newest_event *slot = &r->ring[r->ring_n % RING];
    if (r->ring_n >= RING)
        r->ring_from = slot->position;
    *slot = *e;
    r->ring_n++;
}

static void apply_exception(struct reader *x, const struct newest_event *e)
{
    x->touched++;
    if (!x->loaded)
        return;
    struct tally *read = e->thread ? &thread_reader(x, e->thread)->read : &x->main_read;
    *read = minus(*read, e->adds);
    if (x->exceptions_n == EXCEPTIONS) {
        x->exceptions_from = x->exceptions[0].position;
        memmove(x->exceptions, x->exceptions + 1, sizeof *x->exceptions * --x->exceptions_n);
    }
    x->exceptions[x->exceptions_n++] = *e;
}

static void apply_exceptions(struct room_sums *r, const struct change *change)
{
    if (change->thread && change->actions_n)
        thread_sum(r, change->thread);
    for (size_t i = 0; i < change->actions_n; i++) {
        const struct push_action *a = &change->actions[i];
        struct reader *x = map_get_int(&r->readers, a->user);
        if (x)
            apply_exception(x, &(struct newest_event){
                                   change->position, change->thread, {a->notify, a->highlight}});
    }
}

/* Who leaves and comes back starts anew; their own joining is looked up then. */
static void apply_member_locked(struct unread_cache *c, struct room_sums *r, const struct event *e)
{
    int64_t user = 0;
    const char *membership = json_text(event_content(e), "membership");
    if (membership && strcmp(membership, "join") == 0)
        return;
    if (intern_find(c->store->intern, INTERN_USER, e->state_key, &user) || !user)
        return;
    struct reader *x = map_get_int(&r->readers, user);
    if (x)
        drop_locked(c, x);
}

static void apply_event_locked(struct unread_cache *c, struct room_sums *r,
                               const struct change *change)
{
    struct tally adds = {change->notify, change->highlight};
    bool is_member = change->event->state_key && strcmp(change->event->type, "m.room.member") == 0;
    if (r->threads_n > THREADS_MAX) {
        drop_room_locked(c, r);
        return;
    }
    if (!change->thread)
        add(&r->main, adds);
    else if (adds.notify || adds.highlight)
        add(&thread_sum(r, change->thread)->sum, adds);
    remember(r, &(struct newest_event){change->position, change->thread, adds});
    apply_exceptions(r, change);
    struct reader *sender = map_get_int(&r->readers, change->user);
    if (is_member)
        apply_member_locked(c, r, change->event);
    else if (sender)
        apply_read_locked(c, sender, change->thread ? change->thread : MAIN, change->position);
}

static void apply_locked(struct unread_cache *c, const struct change *change)
{
    c->applied = change->position;
    struct room_sums *r = change->room ? map_get_int(&c->rooms, change->room) : NULL;
    if (!r)
        return;
    if (change->kind == CHANGE_EVENT) {
        apply_event_locked(c, r, change);
    } else if (change->kind == CHANGE_RECEIPT) {
        struct reader *x = map_get_int(&r->readers, change->user);
        if (x)
            apply_read_locked(c, x, change->thread, change->parent);
    }
}

static void on_changes(void *ctx, const struct change *changes, size_t n)
{
    struct unread_cache *c = ctx;
    LOCKED(&c->lock);
    for (size_t i = 0; i < n; i++)
        apply_locked(c, &changes[i]);
    if (n)
        return;
    while (c->oldest)
        drop_locked(c, c->oldest);
    c->applied = feed_newest(c->store->feed);
}

/* ---- loading -----------------------------------------------------------------------------------
 */

static const struct thread_standing *standing_of(const struct standing *s, int64_t root)
{
    for (size_t i = 0; i < s->threads_n; i++)
        if (s->threads[i].root == root)
            return &s->threads[i];
    return NULL;
}

static bool is_zero(struct tally t)
{
    return !t.notify && !t.highlight;
}

/* The room must know every thread in which something is unread. */
static void add_threads(struct room_sums *r, const struct standing *s)
{
    int n = 0;
    for (size_t i = 0; i < s->threads_n && n < THREADS_A_READER; i++) {
        const struct thread_standing *t = &s->threads[i];
        if (is_zero(t->unread))
            continue;
        struct thread_sum *sum = thread_sum(r, t->root);
        if (!sum->root_id)
            sum->root_id = mem_strdup(t->root_id);
        n++;
    }
}

/* What was read from the database as of position `until` becomes the reader's. */
static void install_locked(struct reader *x, const struct standing *s, int64_t until)
{
    struct room_sums *r = x->room;
    add_threads(r, s);
    x->loaded = true;
    x->exceptions_n = 0;
    x->exceptions_from = until;
    x->read_up_to = s->read_up_to;
    x->main_read_up_to = s->main_read_up_to;
    x->main_read = minus(minus(r->main, after(r, 0, until)), s->main);
    x->threads_n = 0;
    for (size_t i = 0; i < r->threads_n; i++) {
        const struct thread_sum *sum = &r->threads[i];
        const struct thread_standing *t = standing_of(s, sum->root);
        if (is_zero(sum->sum) && !t)
            continue;
        struct thread_reader *tr = thread_reader(x, sum->root);
        tr->read = minus(sum->sum, after(r, sum->root, until));
        if (t) {
            tr->read = minus(tr->read, t->unread);
            tr->read_up_to = t->read_up_to;
        }
    }
}

/* A reader's standing as it is now, from sums: only what is unread. */
static void standing_locked(struct arena *a, struct reader *x, struct standing *ret)
{
    struct room_sums *r = x->room;
    *ret = (struct standing){.main = minus(r->main, x->main_read)};
    if (!r->threads_n)
        return;
    ret->threads = arena_alloc_array(a, r->threads_n, sizeof *ret->threads);
    for (size_t i = 0, k = 0; i < r->threads_n; i++) {
        while (k < x->threads_n && x->threads[k].root < r->threads[i].root)
            k++;
        bool known = k < x->threads_n && x->threads[k].root == r->threads[i].root;
        struct tally unread =
            minus(r->threads[i].sum, known ? x->threads[k].read : (struct tally){0});
        if (!is_zero(unread))
            ret->threads[ret->threads_n++] =
                (struct thread_standing){.root = r->threads[i].root,
                                         .root_id = arena_strdup(a, r->threads[i].root_id),
                                         .unread = unread};
    }
}

static bool look_up(struct job *job, int64_t room, int64_t user, struct standing *ret)
{
    struct unread_cache *c = job->store->unread;
    LOCKED(&c->lock);
    struct reader *x = find_locked(c, room, user);
    if (!x || !x->loaded)
        return false;
    c->hits++;
    if (c->newest != x) {
        unlink_locked(c, x);
        link_newest_locked(c, x);
    }
    standing_locked(job->arena, x, ret);
    return true;
}

static const struct err *load(struct job *job, struct room *room, int64_t user, const char *user_id,
                              struct standing *ret)
{
    struct unread_cache *c = job->store->unread;
    for (int i = 0; i < LOADS_MAX; i++) {
        lock_take(&c->lock);
        struct reader *x = find_locked(c, room->id, user);
        if (!x)
            x = make_locked(c, room->id, user);
        int64_t until = c->applied;
        uint64_t touched = x->touched;
        c->loads++;
        lock_release(&c->lock);

        TRY(unread_load(job, room, user, user_id, until, ret));
        LOCKED(&c->lock);
        x = find_locked(c, room->id, user);
        if (!x)
            return NULL;
        if (x->touched == touched && until >= x->room->ring_from) {
            install_locked(x, ret, until);
            standing_locked(job->arena, x, ret);
            return NULL;
        }
    }
    return NULL; /* a busy moment: true as of then, and not kept */
}

/* Threads that began while the room was in the cache: the event ids of their roots. */
static const struct err *name_threads(struct job *job, struct room *room, struct standing *s)
{
    struct unread_cache *c = job->store->unread;
    for (size_t i = 0; i < s->threads_n; i++) {
        struct thread_standing *t = &s->threads[i];
        struct str id;
        if (t->root_id)
            continue;
        TRY(unread_event_ids(job_tx(job), &t->root, 1, &id));
        if (!id.p)
            continue;
        t->root_id = event_id_from_bytes(job->arena, room->version, id);
        LOCKED(&c->lock);
        struct room_sums *r = map_get_int(&c->rooms, room->id);
        size_t at = r ? thread_at(r, t->root) : 0;
        if (r && at < r->threads_n && r->threads[at].root == t->root && !r->threads[at].root_id)
            r->threads[at].root_id = mem_strdup(t->root_id);
    }
    return NULL;
}

/* ---- what others ask for -----------------------------------------------------------------------
 */

static int64_t not_negative(int64_t v)
{
    return v > 0 ? v : 0;
}

static void fill(struct arena *a, const struct standing *s, bool by_thread,
                 struct unread_counts *ret)
{
    struct tally main = s->main;
    *ret = (struct unread_counts){0};
    if (by_thread && s->threads_n) {
        struct thread_counts *list = arena_alloc_array(a, s->threads_n, sizeof *list);
        for (size_t i = 0; i < s->threads_n; i++)
            if (s->threads[i].root_id)
                list[ret->threads_n++] = (struct thread_counts){
                    s->threads[i].root_id, not_negative(s->threads[i].unread.notify),
                    not_negative(s->threads[i].unread.highlight)};
        ret->threads = list;
    }
    for (size_t i = 0; !by_thread && i < s->threads_n; i++)
        add(&main, s->threads[i].unread);
    ret->notify = not_negative(main.notify);
    ret->highlight = not_negative(main.highlight);
}

const struct err *unread_get(struct job *job, struct room *room, int64_t user, const char *user_id,
                             bool by_thread, struct unread_counts *ret)
{
    struct standing s;
    if (!look_up(job, room->id, user, &s))
        TRY(load(job, room, user, user_id, &s));
    if (by_thread)
        TRY(name_threads(job, room, &s));
    fill(job->arena, &s, by_thread, ret);
    return NULL;
}

struct unread_cache *unread_cache_create(struct store *store)
{
    struct unread_cache *c = mem_zalloc(sizeof *c);
    lock_init(&c->lock, RANK_CACHE);
    c->store = store;
    c->applied = feed_newest(store->feed);
    int64_t readers = store->config->cache_size / SHARE / BYTES_A_READER;
    c->readers_max = (size_t)(readers > READERS_MIN ? readers : READERS_MIN);
    feed_listen(store->feed, on_changes, c);
    return c;
}

void unread_cache_destroy(struct unread_cache *c)
{
    if (!c)
        return;
    while (c->oldest)
        drop_locked(c, c->oldest);
    map_finish(&c->rooms);
    lock_finish(&c->lock);
    free(c);
}

void unread_cache_add_metrics(struct unread_cache *c, struct buf *out)
{
    LOCKED(&c->lock);
    buf_printf(out,
               "# TYPE concorde_unread_cache_readers gauge\nconcorde_unread_cache_readers %zu\n"
               "# TYPE concorde_unread_cache_hits_total counter\n"
               "concorde_unread_cache_hits_total %lld\n"
               "# TYPE concorde_unread_cache_loads_total counter\n"
               "concorde_unread_cache_loads_total %lld\n",
               c->readers_n, (long long)c->hits, (long long)c->loads);
}
