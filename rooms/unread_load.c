#include "matrix/json_scan.h"
#include "rooms/unread_internal.h"
#include "storage/events.h"
#include "storage/receipts.h"
#include "storage/unread.h"

/* What is read while a standing is worked out. */
struct loading {
    struct job *job;
    struct room *room;
    int64_t user, until;
    const struct receipt *receipts;
    size_t receipts_n;
    const struct unread_row *own, *in_threads, *exceptions;
    size_t own_n, in_threads_n, exceptions_n;
};

static int64_t later(int64_t a, int64_t b)
{
    return a > b ? a : b;
}

/* How far the receipts of one kind go; both types count ("Private read receipts"). */
static int64_t receipt_at(const struct loading *l, const char *thread)
{
    int64_t at = 0;
    for (size_t i = 0; i < l->receipts_n; i++)
        if (strcmp(l->receipts[i].thread, thread) == 0)
            at = later(at, l->receipts[i].event);
    return at;
}

static int64_t own_event_at(const struct loading *l, int64_t thread)
{
    for (size_t i = 0; i < l->own_n; i++)
        if (l->own[i].thread == thread)
            return l->own[i].position;
    return 0;
}

/* What was sent before the user came is not unread. Later changes of the member event, as of the
 * display name, do not count: the join is the oldest of the newest run of them. */
static const struct err *joined_at(struct loading *l, const char *user_id, int64_t *ret)
{
    const struct member_event *events;
    size_t n;
    TRY(unread_member_events(job_tx(l->job), l->room->id, user_id, &events, &n));
    *ret = 0;
    for (size_t i = 0; i < n; i++) {
        struct str membership = json_scan_path(events[i].json, "content", "membership", NULL);
        if (!json_scan_string_is(membership, "join"))
            break;
        *ret = events[i].position;
    }
    return NULL;
}

static const struct err *find_read_up_to(struct loading *l, const char *user_id, int64_t *ret)
{
    int64_t joined = 0, receipt = receipt_at(l, "");
    if (receipt < room_member(l->room, l->user).position)
        TRY(joined_at(l, user_id, &joined));
    *ret = later(receipt, joined);
    return NULL;
}

static void add(struct tally *t, const struct unread_row *row, int sign)
{
    t->notify += sign * row->notify;
    t->highlight += sign * row->highlight;
}

static const struct err *count_main(struct loading *l, struct standing *s)
{
    struct unread_row now, then;
    TRY(unread_totals(job_tx(l->job), l->room->id, l->until, s->main_read_up_to, &now, &then));
    add(&s->main, &now, 1);
    add(&s->main, &then, -1);
    for (size_t i = 0; i < l->in_threads_n; i++)
        if (l->in_threads[i].position > s->main_read_up_to)
            add(&s->main, &l->in_threads[i], -1);
    for (size_t i = 0; i < l->exceptions_n; i++)
        if (!l->exceptions[i].thread && l->exceptions[i].position > s->main_read_up_to)
            add(&s->main, &l->exceptions[i], 1);
    return NULL;
}

static struct thread_standing *find_thread(const struct standing *s, int64_t root)
{
    for (size_t i = 0; i < s->threads_n; i++)
        if (s->threads[i].root == root)
            return &s->threads[i];
    return NULL;
}

static const struct err *name_threads(struct loading *l, struct standing *s)
{
    struct arena *a = l->job->arena;
    int64_t *roots = arena_alloc_array(a, s->threads_n, sizeof *roots);
    struct str *ids = arena_alloc_array(a, s->threads_n, sizeof *ids);
    for (size_t i = 0; i < s->threads_n; i++)
        roots[i] = s->threads[i].root;
    TRY(unread_event_ids(job_tx(l->job), roots, s->threads_n, ids));
    for (size_t i = 0; i < s->threads_n; i++)
        s->threads[i].root_id = ids[i].p ? event_id_from_bytes(a, l->room->version, ids[i]) : NULL;
    return NULL;
}

static const struct err *count_threads(struct loading *l, struct standing *s)
{
    s->threads = arena_alloc_array(l->job->arena, l->in_threads_n, sizeof *s->threads);
    for (size_t i = 0; i < l->in_threads_n; i++)
        if (!find_thread(s, l->in_threads[i].thread))
            s->threads[s->threads_n++].root = l->in_threads[i].thread;
    TRY(name_threads(l, s));
    for (size_t i = 0; i < s->threads_n; i++) {
        struct thread_standing *t = &s->threads[i];
        int64_t receipt = t->root_id ? receipt_at(l, t->root_id) : 0;
        t->read_up_to = later(s->read_up_to, later(receipt, own_event_at(l, t->root)));
    }
    for (size_t i = 0; i < l->in_threads_n; i++) {
        struct thread_standing *t = find_thread(s, l->in_threads[i].thread);
        if (l->in_threads[i].position > t->read_up_to)
            add(&t->unread, &l->in_threads[i], 1);
    }
    for (size_t i = 0; i < l->exceptions_n; i++) {
        struct thread_standing *t = find_thread(s, l->exceptions[i].thread);
        if (t && l->exceptions[i].position > t->read_up_to)
            add(&t->unread, &l->exceptions[i], 1);
    }
    return NULL;
}

const struct err *unread_load(struct job *job, struct room *room, int64_t user, const char *user_id,
                              int64_t until, struct standing *ret)
{
    struct tx *tx = job_tx(job);
    struct loading l = {.job = job, .room = room, .user = user, .until = until};
    struct standing s = {0};
    TRY(receipts_of_user(tx, room->id, user, &l.receipts, &l.receipts_n));
    TRY(find_read_up_to(&l, user_id, &s.read_up_to));
    TRY(unread_own_events(tx, room->id, user, s.read_up_to, until, &l.own, &l.own_n));
    TRY(unread_in_threads(tx, room->id, s.read_up_to, until, &l.in_threads, &l.in_threads_n));
    TRY(unread_exceptions(tx, room->id, user, s.read_up_to, until, &l.exceptions, &l.exceptions_n));
    s.main_read_up_to = later(s.read_up_to, later(receipt_at(&l, "main"), own_event_at(&l, 0)));
    TRY(count_main(&l, &s));
    if (l.in_threads_n)
        TRY(count_threads(&l, &s));
    *ret = s;
    return NULL;
}

const struct err *unread_is_read(struct job *job, struct room *room, int64_t user,
                                 const char *user_id, const struct stored_event *e,
                                 bool *ret_was_there, bool *ret_is_read)
{
    struct loading l = {.job = job, .room = room, .user = user};
    struct standing s;
    int64_t joined, read_up_to;
    TRY(joined_at(&l, user_id, &joined));
    TRY(unread_load(job, room, user, user_id, feed_position(job->store->feed), &s));
    const struct thread_standing *t = e->thread ? find_thread(&s, e->thread) : NULL;
    read_up_to = later(s.read_up_to, t ? t->read_up_to : e->thread ? 0 : s.main_read_up_to);
    *ret_was_there = e->position > joined;
    *ret_is_read = e->position <= read_up_to;
    return NULL;
}
