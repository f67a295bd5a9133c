#include "users/session_internal.h"
#include "users/users.h"

#include "base/clock.h"
#include "base/mem.h"
#include "storage/db/intern.h"

#include <assert.h>

enum { SENT_SETS = 128, SENT_OF_A_SET = 8, SENT_MAX = 32, SWEEP_EVERY = 256 };

/* Which member events a recipient was sent: sets by hash, each with the newest. What a full set
 * drops is sent twice. */
struct sent_members {
    int64_t recipient;
    int64_t since; /* of the newest reply that had any */
    struct sent_members *next;
    uint64_t sets[SENT_SETS][SENT_OF_A_SET];
};

/* ---- making and dropping ---- */

static struct session *session_create(struct session_table *t, int64_t user)
{
    struct session *s = mem_zalloc(sizeof *s);
    lock_init(&s->lock, RANK_SESSION);
    s->table = t;
    s->user = user;
    s->waiters.next = s->waiters.prev = &s->waiters;
    s->loading = true;
    return s;
}

static void session_destroy(struct session *s)
{
    assert(s->waiters.next == &s->waiters);
    for (struct map_slot *slot = NULL; (slot = map_next(&s->rooms, slot));)
        free(slot->value);
    map_finish(&s->rooms);
    for (struct sent_members *m = s->sent, *next; m; m = next) {
        next = m->next;
        free(m);
    }
    free(s->recent);
    lock_finish(&s->lock);
    free(s);
}

/* Removes the session from the table; it is freed once no job holds it. */
static void session_drop_locked(struct session_table *t, struct session *s)
{
    map_remove_int(&t->sessions, s->user);
    for (struct map_slot *slot = NULL; (slot = map_next(&s->rooms, slot));)
        session_unwatch_locked(t, ((struct session_room *)slot->value)->room, s);
    session_forget_wake_locked(t, s);
    s->dropped = true;
    if (s->refs == 0)
        session_destroy(s);
}

static void sweep_locked(struct session_table *t)
{
    int64_t idle_since = mono_ms() - SESSION_IDLE_MS;
    struct session *idle[SWEEP_EVERY];
    size_t n = 0;
    for (struct map_slot *slot = NULL; n < SWEEP_EVERY && (slot = map_next(&t->sessions, slot));) {
        struct session *s = slot->value;
        if (s->refs == 0 && s->used_mono_ms < idle_since)
            idle[n++] = s;
    }
    for (size_t i = 0; i < n; i++)
        session_drop_locked(t, idle[i]);
}

struct held {
    struct session_table *table;
    struct session *session;
};

static void session_release(void *what)
{
    struct held *h = what;
    LOCKED(&h->table->lock);
    if (--h->session->refs == 0 && h->session->dropped)
        session_destroy(h->session);
}

/* ---- loading ---- */

void session_put_room_locked(struct session *s, int64_t room, enum membership m, int64_t position,
                             int64_t event)
{
    struct session_room *r = map_get_int(&s->rooms, room);
    if (r && r->position > position)
        return;
    if (!r) {
        r = mem_zalloc(sizeof *r);
        map_put_int(&s->rooms, room, r);
    }
    *r = (struct session_room){.room = room, .membership = m, .position = position, .event = event};
}

static void clear_rooms_locked(struct session_table *t, struct session *s)
{
    for (struct map_slot *slot = NULL; (slot = map_next(&s->rooms, slot));) {
        session_unwatch_locked(t, ((struct session_room *)slot->value)->room, s);
        free(slot->value);
    }
    map_finish(&s->rooms);
}

/* Installs what was read unless another job has; false if a change was applied since, and the rooms
 * must be read again. moves: as before the reading. */
static bool install(struct session_table *t, struct session *s, const struct member_row *rows,
                    size_t n, uint64_t moves)
{
    LOCKED(&t->lock);
    LOCKED(&s->lock);
    if (!s->loading)
        return true;
    if (s->moves != moves)
        return false;
    clear_rooms_locked(t, s);
    for (size_t i = 0; i < n; i++) {
        session_put_room_locked(s, rows[i].room, rows[i].membership, rows[i].since, rows[i].event);
        ((struct session_room *)map_get_int(&s->rooms, rows[i].room))->forgotten =
            rows[i].forgotten;
        if (rows[i].membership == MEMBERSHIP_JOIN && !s->dropped)
            session_watch_locked(t, rows[i].room, s);
    }
    s->recent_n = 0;
    s->recent_from = feed_newest(t->node->storage->feed);
    s->loading = false;
    return true;
}

static bool must_load(struct session *s, uint64_t *ret_moves)
{
    LOCKED(&s->lock);
    *ret_moves = s->moves;
    return s->loading;
}

static const struct err *session_load(struct job *job, struct session *s)
{
    for (uint64_t moves; must_load(s, &moves);) {
        const struct member_row *rows;
        size_t n;
        TRY(members_of_user_and_forgotten(job_tx(job), s->user, &rows, &n));
        if (install(job->users->sessions, s, rows, n, moves))
            break;
    }
    return NULL;
}

/* Until the job's arena is reset. */
static void hold_locked(struct job *job, struct session_table *t, struct session *s)
{
    s->refs++;
    s->used_mono_ms = mono_ms();
    struct held *h = arena_alloc(job->arena, sizeof *h);
    *h = (struct held){t, s};
    arena_defer(job->arena, session_release, h);
}

const struct err *session_open(struct job *job, int64_t user, const char *user_id,
                               struct session **ret)
{
    struct session_table *t = job->users->sessions;
    lock_take(&t->lock);
    struct session *s = map_get_int(&t->sessions, user);
    bool is_new = !s;
    if (is_new) {
        /* Lets the feed listener find the user by id without the database. */
        intern_remember(t->node->storage->intern, INTERN_USER, user_id, user);
        s = session_create(t, user);
        map_put_int(&t->sessions, user, s);
    }
    hold_locked(job, t, s);
    if (is_new && ++t->opened % SWEEP_EVERY == 0)
        sweep_locked(t);
    lock_release(&t->lock);
    TRY(session_load(job, s));
    *ret = s;
    return NULL;
}

const struct err *session_find(struct job *job, int64_t user, struct session **ret)
{
    struct session_table *t = job->users->sessions;
    lock_take(&t->lock);
    struct session *s = map_get_int(&t->sessions, user);
    if (s)
        hold_locked(job, t, s);
    lock_release(&t->lock);
    if (s)
        TRY(session_load(job, s));
    *ret = s;
    return NULL;
}

/* ---- waiting ---- */

static void unlink_waiter_locked(struct session *s, struct waiter *w)
{
    w->prev->next = w->next;
    w->next->prev = w->prev;
    s->waiters_n--;
}

/* Its client gets an empty reply, as after a timeout. */
static void displace_oldest_locked(struct session *s)
{
    struct waiter *oldest = s->waiters.prev;
    unlink_waiter_locked(s, oldest);
    oldest->is_displaced = true;
    oldest->wake(oldest);
}

void session_await_room(struct session *s, struct waiter *w, int64_t room)
{
    LOCKED(&s->table->lock);
    if (w->source != s || w->about)
        return;
    w->about = room;
    session_await_locked(s->table, room, s);
}

static bool is_awaited(struct session *s, int64_t room)
{
    LOCKED(&s->lock);
    for (struct waiter *w = s->waiters.next; w != &s->waiters; w = w->next)
        if (w->about == room)
            return true;
    return false;
}

/* Stops awaiting the room unless another waiter of the session awaits it too. */
static void stop_awaiting(struct session *s, int64_t room)
{
    LOCKED(&s->table->lock);
    if (!is_awaited(s, room))
        session_unawait_locked(s->table, room, s);
}

/* A waiter outlives the job that subscribed it, so it has its own reference to the session. */
static void session_leave(struct waiter *w)
{
    struct session *s = w->source;
    int64_t about = w->about;
    lock_take(&s->lock);
    if (!w->is_displaced)
        unlink_waiter_locked(s, w);
    w->source = NULL;
    w->about = 0;
    lock_release(&s->lock);
    if (about)
        stop_awaiting(s, about);
    session_release(&(struct held){s->table, s});
}

void session_subscribe(struct session *s, struct waiter *w)
{
    if (w->source == s || w->is_displaced) /* a displaced waiter must answer now */
        return;
    if (w->source)
        w->leave(w);
    {
        LOCKED(&s->table->lock);
        s->refs++;
        s->used_mono_ms = mono_ms();
    }
    LOCKED(&s->lock);
    w->source = s;
    w->leave = session_leave;
    w->next = s->waiters.next;
    w->prev = &s->waiters;
    w->next->prev = w;
    s->waiters.next = w;
    if (++s->waiters_n > SESSION_WAITERS_MAX)
        displace_oldest_locked(s);
}

int64_t session_user(const struct session *s)
{
    return s->user;
}

/* ---- reading ---- */

void session_rooms(struct job *job, struct session *s, const struct session_room **ret,
                   size_t *ret_n)
{
    LOCKED(&s->lock);
    struct session_room *list = arena_alloc_array(job->arena, s->rooms.n + 1, sizeof *list);
    size_t n = 0;
    for (struct map_slot *slot = NULL; (slot = map_next(&s->rooms, slot));)
        list[n++] = *(const struct session_room *)slot->value;
    *ret = list;
    *ret_n = n;
}

static bool session_is_listed(const struct session_room *list, size_t n, int64_t room)
{
    for (size_t i = 0; i < n; i++)
        if (list[i].room == room)
            return true;
    return false;
}

bool session_rooms_changed_since(struct job *job, struct session *s, int64_t since,
                                 const struct session_room **ret, size_t *ret_n)
{
    LOCKED(&s->lock);
    if (since < s->recent_from)
        return false;
    struct session_room *list = arena_alloc_array(job->arena, SESSION_RECENT, sizeof *list);
    size_t n = 0;
    for (size_t i = s->recent_n; i-- > 0 && i + SESSION_RECENT >= s->recent_n;) {
        const struct recent *r = &s->recent[i % SESSION_RECENT];
        if (r->position <= since)
            break;
        const struct session_room *room = map_get_int(&s->rooms, r->room);
        if (room && !session_is_listed(list, n, r->room))
            list[n++] = *room;
    }
    *ret = list;
    *ret_n = n;
    return true;
}

bool session_get_room(struct session *s, int64_t room, struct session_room *ret)
{
    LOCKED(&s->lock);
    const struct session_room *r = map_get_int(&s->rooms, room);
    if (r)
        *ret = *r;
    return r;
}

bool session_is_joined(struct session *s, int64_t room)
{
    struct session_room r;
    return session_get_room(s, room, &r) && r.membership == MEMBERSHIP_JOIN;
}

/* The one used last comes first, and the last gives way to a new one. */
static struct sent_members *sent_of_locked(struct session *s, int64_t recipient)
{
    struct sent_members **at = &s->sent, *m = NULL;
    for (size_t i = 1; *at && !m; i++) {
        if ((*at)->recipient == recipient || i == SENT_MAX) {
            m = *at;
            *at = m->next;
        } else {
            at = &(*at)->next;
        }
    }
    if (!m)
        m = mem_zalloc(sizeof *m);
    if (m->recipient != recipient)
        *m = (struct sent_members){.recipient = recipient};
    m->next = s->sent;
    s->sent = m;
    return m;
}

/* Puts it first in its set; false if it was there. */
static bool sent_note_locked(struct sent_members *sent, uint64_t hash)
{
    uint64_t *set = sent->sets[hash / 2 % SENT_SETS];
    size_t i = 0;
    while (i < SENT_OF_A_SET - 1 && set[i] != hash)
        i++;
    bool is_new = set[i] != hash;
    memmove(set + 1, set, i * sizeof *set);
    set[0] = hash;
    return is_new;
}

bool session_member_is_new(struct session *s, int64_t recipient, int64_t since, int64_t room,
                           int64_t member, int64_t position)
{
    int64_t key[] = {room, member, position};
    uint64_t hash = hash_bytes(key, sizeof key) | 1;
    LOCKED(&s->lock);
    struct sent_members *sent = sent_of_locked(s, recipient);
    sent->since = since;
    return sent_note_locked(sent, hash);
}

void session_begin_reply(struct session *s, int64_t recipient, int64_t since)
{
    LOCKED(&s->lock);
    for (struct sent_members *m = s->sent; m; m = m->next)
        if (m->recipient == recipient && since <= m->since)
            memset(m->sets, 0, sizeof m->sets);
}

/* ---- the table ---- */

struct session_table *session_table_create(struct node *node)
{
    struct session_table *t = mem_zalloc(sizeof *t);
    lock_init(&t->lock, RANK_SESSION_TABLE);
    t->node = node;
    session_follow_start(t);
    return t;
}

void session_table_destroy(struct session_table *t)
{
    if (!t)
        return;
    session_follow_stop(t);
    for (struct map_slot *slot; (slot = map_next(&t->sessions, NULL));)
        session_drop_locked(t, slot->value);
    map_finish(&t->sessions);
    map_finish(&t->watched);
    map_finish(&t->awaited);
    for (enum urgency u = 0; u < URGENCIES; u++)
        free(t->pending[u].sessions);
    lock_finish(&t->lock);
    free(t);
}

void session_table_add_metrics(struct session_table *t, struct buf *out)
{
    LOCKED(&t->lock);
    buf_printf(out,
               "# HELP concorde_active_users Users whose state for /sync is in memory.\n"
               "# TYPE concorde_active_users gauge\nconcorde_active_users %zu\n",
               t->sessions.n);
}
