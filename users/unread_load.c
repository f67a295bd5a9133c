#include "matrix/json_scan.h"
#include "rooms/account_cache.h"
#include "storage/rooms/events.h"
#include "storage/users/unread.h"
#include "users/unread_internal.h"

/* What was read to compute a standing. */
struct loading {
    struct job *job;
    struct room *room;
    const struct ignored_list *ignored;
    int64_t joined; /* position */
    struct unread_marks marks;
    struct unread_range range;
};

static int64_t later(int64_t a, int64_t b)
{
    return a > b ? a : b;
}

/* How far the receipts for one thread go; both types count ("Private read receipts"). */
static int64_t receipt_at(const struct loading *l, const char *thread)
{
    for (size_t i = 0; i < l->marks.receipts_n; i++)
        if (strcmp(l->marks.receipts[i].thread, thread) == 0)
            return l->marks.receipts[i].event;
    return 0;
}

/* A user who sends an event has read up to it ("Marking notifications as read"). */
static int64_t own_event_at(const struct loading *l, int64_t thread)
{
    for (size_t i = 0; i < l->range.own_n; i++)
        if (l->range.own[i].thread == thread)
            return l->range.own[i].position;
    return 0;
}

/* Events from before the user joined are not unread. Later changes of the member event, e.g. of the
 * display name, do not count: the join is the oldest of the newest run of them. */
static int64_t joined_at(const struct unread_marks *m)
{
    int64_t joined = 0;
    for (size_t i = 0; i < m->member_events_n; i++) {
        struct str raw = json_scan_path(m->member_events[i].json, "content", "membership", NULL);
        if (membership_parse_raw(raw) != MEMBERSHIP_JOIN)
            break;
        joined = m->member_events[i].position;
    }
    return joined;
}

static void unread_load_add(struct unread_tally *t, const struct unread_row *row, int sign)
{
    t->notify += sign * row->notify;
    t->highlight += sign * row->highlight;
}

static const struct err *count_main(struct loading *l, struct standing *s)
{
    const struct unread_range *r = &l->range;
    struct unread_row then;
    TRY(unread_totals_at(job_tx(l->job), l->room->id, s->main_read_up_to, &then));
    unread_load_add(&s->main, &l->marks.newest, 1);
    unread_load_add(&s->main, &then, -1);
    for (size_t i = 0; i < r->in_threads_n; i++)
        if (r->in_threads[i].position > s->main_read_up_to)
            unread_load_add(&s->main, &r->in_threads[i], -1);
    for (size_t i = 0; i < r->exceptions_n; i++)
        if (!r->exceptions[i].thread && r->exceptions[i].position > s->main_read_up_to)
            unread_load_add(&s->main, &r->exceptions[i], 1);
    for (size_t i = 0; i < r->ignored_n; i++)
        if (!r->ignored[i].thread && r->ignored[i].position > s->main_read_up_to)
            unread_load_add(&s->main, &r->ignored[i], -1);
    return NULL;
}

static struct thread_standing *unread_load_find_thread(const struct standing *s, int64_t root)
{
    for (size_t i = 0; i < s->threads_n; i++)
        if (s->threads[i].root == root)
            return &s->threads[i];
    return NULL;
}

static const struct err *unread_load_name_threads(struct loading *l, struct standing *s)
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
    const struct unread_range *r = &l->range;
    s->threads = arena_alloc_array(l->job->arena, r->in_threads_n, sizeof *s->threads);
    for (size_t i = 0; i < r->in_threads_n; i++)
        if (!unread_load_find_thread(s, r->in_threads[i].thread))
            s->threads[s->threads_n++].root = r->in_threads[i].thread;
    TRY(unread_load_name_threads(l, s));
    for (size_t i = 0; i < s->threads_n; i++) {
        struct thread_standing *t = &s->threads[i];
        int64_t receipt = t->root_id ? receipt_at(l, t->root_id) : 0;
        t->read_up_to = later(s->read_up_to, later(receipt, own_event_at(l, t->root)));
    }
    for (size_t i = 0; i < r->in_threads_n; i++) {
        struct thread_standing *t = unread_load_find_thread(s, r->in_threads[i].thread);
        if (r->in_threads[i].position > t->read_up_to)
            unread_load_add(&t->unread, &r->in_threads[i], 1);
    }
    for (size_t i = 0; i < r->exceptions_n; i++) {
        struct thread_standing *t = unread_load_find_thread(s, r->exceptions[i].thread);
        if (t && r->exceptions[i].position > t->read_up_to)
            unread_load_add(&t->unread, &r->exceptions[i], 1);
    }
    for (size_t i = 0; i < r->ignored_n; i++) {
        struct thread_standing *t = unread_load_find_thread(s, r->ignored[i].thread);
        if (t && r->ignored[i].position > t->read_up_to)
            unread_load_add(&t->unread, &r->ignored[i], -1);
    }
    return NULL;
}

static const struct err *unread_load_load(struct loading *l, int64_t user, const char *user_id,
                                          int64_t until, struct standing *ret)
{
    struct tx *tx = job_tx(l->job);
    struct standing s = {0};
    TRY(unread_read_marks(tx, l->room->id, user, user_id, until, &l->marks));
    l->joined = joined_at(&l->marks);
    s.read_up_to = s.main_read_up_to = later(receipt_at(l, ""), l->joined);
    if (s.read_up_to != l->marks.newest.position) { /* else all is read: the usual case */
        struct unread_reader reader = {.room = l->room->id, .user = user};
        TRY(ignored_list_ids(l->job, l->ignored, &reader.ignored, &reader.ignored_n));
        TRY(unread_read_range(tx, &reader, s.read_up_to, until, &l->range));
        s.main_read_up_to = later(s.read_up_to, later(receipt_at(l, "main"), own_event_at(l, 0)));
        TRY(count_main(l, &s));
        if (l->range.in_threads_n)
            TRY(count_threads(l, &s));
    }
    *ret = s;
    return NULL;
}

const struct err *unread_load(struct job *job, struct room *room, int64_t user, const char *user_id,
                              const struct ignored_list *ignored, int64_t until,
                              struct standing *ret)
{
    struct loading l = {.job = job, .room = room, .ignored = ignored};
    return unread_load_load(&l, user, user_id, until, ret);
}

const struct err *unread_is_read(struct job *job, struct room *room, int64_t user,
                                 const char *user_id, const struct stored_event *e,
                                 bool *ret_was_there, bool *ret_is_read)
{
    struct loading l = {.job = job, .room = room};
    struct standing s;
    TRY(unread_load_load(&l, user, user_id, feed_position(job->storage->feed), &s));
    const struct thread_standing *t = e->thread ? unread_load_find_thread(&s, e->thread) : NULL;
    int64_t in_scope = t ? t->read_up_to : e->thread ? 0 : s.main_read_up_to;
    *ret_was_there = e->position > l.joined;
    *ret_is_read = e->position <= later(s.read_up_to, in_scope);
    return NULL;
}
