#include "users/unread_sums.h"

#include "base/mem.h"
#include "rooms/account_cache.h"

enum { SENDER_BYTES = 48 /* approximate size of a user id in the ring */ };

static void unread_sums_add(struct unread_tally *t, struct unread_tally by)
{
    t->notify += by.notify;
    t->highlight += by.highlight;
}

static struct unread_tally minus(struct unread_tally a, struct unread_tally b)
{
    return (struct unread_tally){a.notify - b.notify, a.highlight - b.highlight};
}

static bool is_zero(struct unread_tally t)
{
    return !t.notify && !t.highlight;
}

/* ---- threads ---- */

static size_t thread_at(const struct room_sums *r, int64_t root)
{
    size_t i = r->threads_n;
    while (i > 0 && r->threads[i - 1].root >= root)
        i--;
    return i;
}

struct thread_sum *room_sums_thread(struct room_sums *r, int64_t root)
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

static struct thread_reader *unread_sums_find_thread(struct reader_sums *x, int64_t root)
{
    for (size_t i = x->threads_n; i-- > 0 && x->threads[i].root >= root;)
        if (x->threads[i].root == root)
            return &x->threads[i];
    return NULL;
}

static struct thread_reader *thread_reader(struct reader_sums *x, int64_t root)
{
    struct thread_reader *found = unread_sums_find_thread(x, root);
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

struct room_sums *room_sums_create(int64_t room, int64_t applied)
{
    struct room_sums *r = mem_zalloc(sizeof *r);
    r->room = room;
    r->ring_from = applied;
    return r;
}

void room_sums_destroy(struct room_sums *r)
{
    for (size_t i = 0; i < r->threads_n; i++)
        free(r->threads[i].root_id);
    free(r->threads);
    for (size_t i = 0; i < UNREAD_RING; i++)
        free(r->ring[i].sender);
    map_finish(&r->readers);
    free(r);
}

struct thread_sum *room_sums_find_thread(struct room_sums *r, int64_t root)
{
    size_t i = thread_at(r, root);
    return i < r->threads_n && r->threads[i].root == root ? &r->threads[i] : NULL;
}

struct reader_sums *reader_create(struct room_sums *r, int64_t user)
{
    struct reader_sums *x = mem_zalloc(sizeof *x);
    x->user = user;
    x->room = r;
    map_put_int(&r->readers, user, x);
    return x;
}

void reader_leave(struct reader_sums *x)
{
    map_remove_int(&x->room->readers, x->user);
    x->room = NULL;
}

size_t reader_bytes(const struct reader_sums *x)
{
    const struct room_sums *r = x->room;
    size_t room = sizeof *r + UNREAD_RING * SENDER_BYTES + r->threads_n * sizeof *r->threads;
    return sizeof *x + x->threads_n * sizeof *x->threads + room / r->readers.n;
}

void reader_destroy(struct reader_sums *x)
{
    if (x->room)
        reader_leave(x);
    ignored_list_unref(x->ignored);
    free(x->threads);
    free(x);
}

void room_sums_add_event(struct room_sums *r, const struct newest_event *e, const char *sender)
{
    if (!e->thread)
        unread_sums_add(&r->main, e->adds);
    else if (!is_zero(e->adds))
        unread_sums_add(&room_sums_thread(r, e->thread)->sum, e->adds);
    struct ring_event *slot = &r->ring[r->ring_n % UNREAD_RING];
    if (r->ring_n >= UNREAD_RING)
        r->ring_from = slot->e.position;
    free(slot->sender);
    *slot = (struct ring_event){*e, sender ? mem_strdup(sender) : NULL};
    r->ring_n++;
}

/* ---- reading positions ---- */

/* What the room's newest events after a position add in one scope. */
static struct unread_tally unread_sums_after(const struct room_sums *r, int64_t thread,
                                             int64_t position)
{
    struct unread_tally t = {0};
    for (size_t i = r->ring_n; i-- > 0 && i + UNREAD_RING >= r->ring_n;) {
        const struct newest_event *e = &r->ring[i % UNREAD_RING].e;
        if (e->position <= position)
            break;
        if (e->thread == thread)
            unread_sums_add(&t, e->adds);
    }
    return t;
}

static struct unread_tally exceptions_after(const struct reader_sums *x, int64_t thread,
                                            int64_t position)
{
    struct unread_tally t = {0};
    for (size_t i = 0; i < x->exceptions_n; i++)
        if (x->exceptions[i].position > position && x->exceptions[i].thread == thread)
            unread_sums_add(&t, x->exceptions[i].adds);
    return t;
}

/* The sum up to a position: the sum now without what came after it. */
static struct unread_tally sum_at(const struct reader_sums *x, struct unread_tally now,
                                  int64_t thread, int64_t position)
{
    return minus(minus(now, unread_sums_after(x->room, thread, position)),
                 exceptions_after(x, thread, position));
}

static void read_main(struct reader_sums *x, int64_t position)
{
    if (position <= x->main_read_up_to)
        return;
    x->main_read_up_to = position;
    x->main_read = sum_at(x, x->room->main, 0, position);
}

static void unread_sums_read_thread(struct reader_sums *x, const struct thread_sum *t,
                                    int64_t position)
{
    struct thread_reader *tr = thread_reader(x, t->root);
    if (position <= tr->read_up_to)
        return;
    tr->read_up_to = position;
    tr->read = sum_at(x, t->sum, t->root, position);
}

static void read_everything(struct reader_sums *x, int64_t position)
{
    if (position <= x->read_up_to)
        return;
    read_main(x, position);
    for (size_t i = 0; i < x->room->threads_n; i++)
        unread_sums_read_thread(x, &x->room->threads[i], position);
    x->read_up_to = position;
}

bool reader_read(struct reader_sums *x, int64_t scope, int64_t position)
{
    x->touched++;
    if (!x->loaded)
        return true;
    if (!reader_catch_up(x) || position < x->room->ring_from || position < x->exceptions_from)
        return false;
    if (scope == READ_EVERYTHING)
        read_everything(x, position);
    else if (scope == READ_MAIN)
        read_main(x, position);
    else
        unread_sums_read_thread(x, room_sums_thread(x->room, scope), position);
    return true;
}

/* All of a ring's events after a position, oldest first; returns the number of events before them.
 */
static size_t ring_after(const struct room_sums *r, int64_t position)
{
    size_t i = r->ring_n;
    while (i > 0 && i + UNREAD_RING > r->ring_n &&
           r->ring[(i - 1) % UNREAD_RING].e.position > position)
        i--;
    return i;
}

static void add_exception(struct reader_sums *x, const struct newest_event *e)
{
    if (e->thread)
        room_sums_thread(x->room, e->thread);
    struct unread_tally *read = e->thread ? &thread_reader(x, e->thread)->read : &x->main_read;
    *read = minus(*read, e->adds);
    if (x->exceptions_n == UNREAD_EXCEPTIONS) {
        x->exceptions_from = x->exceptions[0].position;
        memmove(x->exceptions, x->exceptions + 1, sizeof *x->exceptions * --x->exceptions_n);
    }
    x->exceptions[x->exceptions_n++] = *e;
}

void reader_add_exception(struct reader_sums *x, const struct newest_event *e)
{
    x->touched++;
    if (x->loaded && reader_catch_up(x)) /* exceptions are in the order of the log */
        add_exception(x, e);
}

/* ---- users that a reader ignores ---- */

bool reader_ignores(const struct reader_sums *x, const char *sender)
{
    return sender && ignored_list_has(x->ignored, sender);
}

void reader_set_ignored(struct reader_sums *x, struct ignored_list *ignored)
{
    ignored_list_ref(ignored);
    ignored_list_unref(x->ignored);
    x->ignored = ignored;
}

bool reader_catch_up(struct reader_sums *x)
{
    const struct room_sums *r = x->room;
    if (!x->ignored)
        return true;
    if (x->caught_up < r->ring_from) {
        x->loaded = false;
        return false;
    }
    for (size_t i = ring_after(r, x->caught_up); i < r->ring_n; i++) {
        const struct ring_event *at = &r->ring[i % UNREAD_RING];
        struct newest_event e = at->e;
        x->caught_up = e.position;
        if (is_zero(e.adds) || !reader_ignores(x, at->sender))
            continue;
        e.adds = minus((struct unread_tally){0}, e.adds);
        add_exception(x, &e);
    }
    return true;
}

/* ---- from and to a standing ---- */

static const struct thread_standing *standing_of(const struct standing *s, int64_t root)
{
    for (size_t i = 0; i < s->threads_n; i++)
        if (s->threads[i].root == root)
            return &s->threads[i];
    return NULL;
}

/* Makes the room know every thread with something unread. */
static void add_threads(struct room_sums *r, const struct standing *s)
{
    int n = 0;
    for (size_t i = 0; i < s->threads_n && n < UNREAD_THREADS_A_READER; i++) {
        const struct thread_standing *t = &s->threads[i];
        if (is_zero(t->unread))
            continue;
        struct thread_sum *sum = room_sums_thread(r, t->root);
        if (!sum->root_id)
            sum->root_id = mem_strdup(t->root_id);
        n++;
    }
}

bool reader_install(struct reader_sums *x, const struct standing *s, struct ignored_list *ignored,
                    int64_t until)
{
    struct room_sums *r = x->room;
    if (until < r->ring_from)
        return false;
    add_threads(r, s);
    reader_set_ignored(x, ignored);
    x->caught_up = until;
    x->loaded = true;
    x->exceptions_n = 0;
    x->exceptions_from = until;
    x->read_up_to = s->read_up_to;
    x->main_read_up_to = s->main_read_up_to;
    x->main_read = minus(minus(r->main, unread_sums_after(r, 0, until)), s->main);
    x->threads_n = 0;
    for (size_t i = 0; i < r->threads_n; i++) {
        const struct thread_sum *sum = &r->threads[i];
        const struct thread_standing *t = standing_of(s, sum->root);
        if (is_zero(sum->sum) && !t)
            continue;
        struct thread_reader *tr = thread_reader(x, sum->root);
        tr->read = minus(sum->sum, unread_sums_after(r, sum->root, until));
        if (t) {
            tr->read = minus(tr->read, t->unread);
            tr->read_up_to = t->read_up_to;
        }
    }
    return true;
}

void reader_standing(struct arena *a, const struct reader_sums *x, struct standing *ret)
{
    const struct room_sums *r = x->room;
    *ret = (struct standing){.main = minus(r->main, x->main_read)};
    if (!r->threads_n)
        return;
    ret->threads = arena_alloc_array(a, r->threads_n, sizeof *ret->threads);
    for (size_t i = 0, k = 0; i < r->threads_n; i++) {
        while (k < x->threads_n && x->threads[k].root < r->threads[i].root)
            k++;
        bool known = k < x->threads_n && x->threads[k].root == r->threads[i].root;
        struct unread_tally unread =
            minus(r->threads[i].sum, known ? x->threads[k].read : (struct unread_tally){0});
        if (!is_zero(unread))
            ret->threads[ret->threads_n++] =
                (struct thread_standing){.root = r->threads[i].root,
                                         .root_id = arena_strdup(a, r->threads[i].root_id),
                                         .unread = unread};
    }
}
