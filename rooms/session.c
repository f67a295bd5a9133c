#include "rooms/session.h"

#include "base/clock.h"
#include "base/mem.h"
#include "matrix/id.h"
#include "storage/intern.h"

#include <assert.h>

enum { RECENT = 128, SENT_SLOTS = 1024, SWEEP_EVERY = 256 };

/* Which member events a device was sent: a lossy table, a collision only means sending one twice.
 */
struct sent_members {
    int64_t device;
    int64_t since; /* of the newest reply that had any */
    struct sent_members *next;
    uint64_t slots[SENT_SLOTS];
};

struct recent {
    int64_t room, position;
};

/* Messages are told at once. In a crowd everybody's receipt for every message would wake everybody:
 * there receipts are told together, a few times a second. */
enum urgency { AT_ONCE, SOON, URGENCIES };
enum { SOON_MS = 400, CROWD = 32 };

struct session {
    struct session_table *table;
    struct lock lock;
    int64_t user;
    const char *user_id;   /* interned */
    struct map rooms;      /* rooms.id -> struct session_room */
    struct recent *recent; /* a ring of the newest changes in rooms; NULL before the first */
    size_t recent_n;       /* ever added */
    int64_t recent_from;   /* the ring is complete for changes after this position */
    struct waiter waiters; /* head of a circular list */
    struct sent_members *sent;
    bool loading;   /* rooms must be read from the database */
    uint64_t moves; /* counts what makes a reading of the rooms out of date */
    /* Under the table's lock: */
    int refs;
    int64_t used_mono_ms;
    bool dropped;
    bool listed[URGENCIES]; /* stands in the table's lists of whom to wake */
};

/* Who must be told of what happens in a room: the active sessions of its joined members. */
struct watched {
    struct session **sessions;
    size_t n, room;
};

struct session_table {
    struct lock lock;
    struct store *store;
    struct map sessions;            /* users.id -> struct session */
    struct map watched;             /* rooms.id -> struct watched */
    unsigned opened;                /* since the last sweep */
    struct watched news[URGENCIES]; /* sessions to wake */
    pthread_t thread;               /* wakes those who have time */
    pthread_cond_t stop;
    bool stopping;
    bool settling; /* changes are being listened to: who is woken now would not find them */
};

/* ---- who watches which room ---- */

static void watch_locked(struct session_table *t, int64_t room, struct session *s)
{
    struct watched *w = map_get_int(&t->watched, room);
    if (!w) {
        w = mem_zalloc(sizeof *w);
        map_put_int(&t->watched, room, w);
    }
    for (size_t i = 0; i < w->n; i++)
        if (w->sessions[i] == s)
            return;
    if (w->n == w->room) {
        w->room = w->room ? w->room * 2 : 4;
        w->sessions = mem_realloc_array(w->sessions, w->room, sizeof *w->sessions);
    }
    w->sessions[w->n++] = s;
}

static void unwatch_locked(struct session_table *t, int64_t room, struct session *s)
{
    struct watched *w = map_get_int(&t->watched, room);
    for (size_t i = 0; w && i < w->n; i++)
        if (w->sessions[i] == s)
            w->sessions[i] = w->sessions[--w->n];
    if (w && w->n == 0) {
        map_remove_int(&t->watched, room);
        free(w->sessions);
        free(w);
    }
}

/* ---- sessions with news ---- */

static void add_news_locked(struct session_table *t, struct session *s, enum urgency urgency)
{
    struct watched *w = &t->news[urgency];
    if (s->listed[urgency])
        return;
    if (w->n == w->room) {
        w->room = w->room ? w->room * 2 : 64;
        w->sessions = mem_realloc_array(w->sessions, w->room, sizeof *w->sessions);
    }
    w->sessions[w->n++] = s;
    s->listed[urgency] = true;
}

static void remove_news_locked(struct session_table *t, struct session *s)
{
    for (enum urgency u = 0; u < URGENCIES; u++) {
        struct watched *w = &t->news[u];
        for (size_t i = 0; s->listed[u] && i < w->n; i++)
            if (w->sessions[i] == s)
                w->sessions[i] = w->sessions[--w->n];
        s->listed[u] = false;
    }
}

/* ---- making and dropping ---- */

static struct session *session_create(struct session_table *t, int64_t user, const char *user_id)
{
    struct session *s = mem_zalloc(sizeof *s);
    lock_init(&s->lock, RANK_SESSION);
    s->table = t;
    s->user = user;
    s->user_id = user_id;
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

/* Out of the table; freed when nobody holds it any more. */
static void drop_locked(struct session_table *t, struct session *s)
{
    map_remove_int(&t->sessions, s->user);
    for (struct map_slot *slot = NULL; (slot = map_next(&s->rooms, slot));)
        unwatch_locked(t, ((struct session_room *)slot->value)->room, s);
    remove_news_locked(t, s);
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
        drop_locked(t, idle[i]);
}

struct held {
    struct session_table *table;
    struct session *session;
};

static void release(void *what)
{
    struct held *h = what;
    LOCKED(&h->table->lock);
    if (--h->session->refs == 0 && h->session->dropped)
        session_destroy(h->session);
}

/* ---- loading ---- */

static void put_room_locked(struct session *s, int64_t room, enum membership m, int64_t position)
{
    struct session_room *r = map_get_int(&s->rooms, room);
    if (r && r->position > position)
        return;
    if (!r) {
        r = mem_zalloc(sizeof *r);
        map_put_int(&s->rooms, room, r);
    }
    *r = (struct session_room){room, m, position};
}

static void clear_rooms_locked(struct session_table *t, struct session *s)
{
    for (struct map_slot *slot = NULL; (slot = map_next(&s->rooms, slot));) {
        unwatch_locked(t, ((struct session_room *)slot->value)->room, s);
        free(slot->value);
    }
    map_finish(&s->rooms);
}

/* Puts what was read into place, unless somebody else has; false when a change came meanwhile and
 * it must be read again. moves: before the reading. */
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
        put_room_locked(s, rows[i].room, rows[i].membership, rows[i].event);
        if (rows[i].membership == MEMBERSHIP_JOIN && !s->dropped)
            watch_locked(t, rows[i].room, s);
    }
    s->recent_n = 0;
    s->recent_from = feed_newest(t->store->feed);
    s->loading = false;
    return true;
}

static bool must_load(struct session *s, uint64_t *ret_moves)
{
    LOCKED(&s->lock);
    *ret_moves = s->moves;
    return s->loading;
}

static const struct err *load(struct job *job, struct session *s)
{
    for (uint64_t moves; must_load(s, &moves);) {
        const struct member_row *rows;
        size_t n;
        TRY(members_of_user(job_tx(job), s->user, &rows, &n));
        if (install(job->store->sessions, s, rows, n, moves))
            break;
    }
    return NULL;
}

const struct err *session_open(struct job *job, int64_t user, const char *user_id,
                               struct session **ret)
{
    struct session_table *t = job->store->sessions;
    const char *interned;
    TRY(intern_name(job->store->intern, INTERN_USER, user, &interned));
    lock_take(&t->lock);
    struct session *s = map_get_int(&t->sessions, user);
    bool is_new = !s;
    if (is_new) {
        s = session_create(t, user, interned);
        map_put_int(&t->sessions, user, s);
    }
    s->refs++;
    s->used_mono_ms = mono_ms();
    if (is_new && ++t->opened % SWEEP_EVERY == 0)
        sweep_locked(t);
    lock_release(&t->lock);
    struct held *h = arena_alloc(job->arena, sizeof *h);
    *h = (struct held){t, s};
    arena_defer(job->arena, release, h);
    TRY(load(job, s));
    *ret = s;
    return NULL;
}

/* ---- waiting ---- */

/* A waiter outlives the job that subscribed it, so it holds its session by itself. */
static void leave(struct waiter *w)
{
    struct session *s = w->source;
    lock_take(&s->lock);
    w->prev->next = w->next;
    w->next->prev = w->prev;
    w->source = NULL;
    lock_release(&s->lock);
    release(&(struct held){s->table, s});
}

void session_subscribe(struct session *s, struct waiter *w)
{
    if (w->source == s)
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
    w->leave = leave;
    w->next = s->waiters.next;
    w->prev = &s->waiters;
    w->next->prev = w;
    s->waiters.next = w;
}

static void wake_locked(struct session *s)
{
    for (struct waiter *w = s->waiters.next; w != &s->waiters; w = w->next)
        w->wake(w);
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

static bool is_listed(const struct session_room *list, size_t n, int64_t room)
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
    struct session_room *list = arena_alloc_array(job->arena, RECENT, sizeof *list);
    size_t n = 0;
    for (size_t i = s->recent_n; i-- > 0 && i + RECENT >= s->recent_n;) {
        const struct recent *r = &s->recent[i % RECENT];
        if (r->position <= since)
            break;
        const struct session_room *room = map_get_int(&s->rooms, r->room);
        if (room && !is_listed(list, n, r->room))
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

static struct sent_members *sent_of_locked(struct session *s, int64_t device)
{
    struct sent_members *m = s->sent;
    while (m && m->device != device)
        m = m->next;
    if (m)
        return m;
    m = mem_zalloc(sizeof *m);
    m->device = device;
    m->next = s->sent;
    s->sent = m;
    return m;
}

bool session_member_is_new(struct session *s, int64_t device, int64_t since, int64_t room,
                           int64_t member, int64_t position)
{
    int64_t key[] = {room, member, position};
    uint64_t hash = hash_bytes(key, sizeof key) | 1;
    LOCKED(&s->lock);
    struct sent_members *sent = sent_of_locked(s, device);
    uint64_t *slot = &sent->slots[hash / 2 % SENT_SLOTS];
    bool is_new = *slot != hash;
    *slot = hash;
    sent->since = since;
    return is_new;
}

void session_begin_reply(struct session *s, int64_t device, int64_t since)
{
    LOCKED(&s->lock);
    for (struct sent_members *m = s->sent; m; m = m->next)
        if (m->device == device && since <= m->since)
            memset(m->slots, 0, sizeof m->slots);
}

/* ---- keeping step with the log ---- */

static void note_locked(struct session *s, int64_t room, int64_t position)
{
    assert(position > 0); /* readers go back through the ring as long as positions are newer */
    if (!s->recent)
        s->recent = mem_zalloc(RECENT * sizeof *s->recent);
    struct recent *r = &s->recent[s->recent_n % RECENT];
    if (s->recent_n >= RECENT)
        s->recent_from = r->position;
    *r = (struct recent){room, position};
    s->recent_n++;
}

/* Wakes come later, when the feed has settled: whoever is woken now would find nothing. */
static void tell_locked(struct session_table *t, struct session *s, int64_t room, int64_t position,
                        enum urgency urgency)
{
    LOCKED(&s->lock);
    if (room)
        note_locked(s, room, position);
    add_news_locked(t, s, urgency);
}

static void tell_room_locked(struct session_table *t, int64_t room, int64_t position,
                             enum urgency crowd_urgency)
{
    const struct watched *w = map_get_int(&t->watched, room);
    enum urgency urgency = w && w->n > CROWD ? crowd_urgency : AT_ONCE;
    for (size_t i = 0; w && i < w->n; i++)
        tell_locked(t, w->sessions[i], room, position, urgency);
}

/* Of what is told of a user, not of the room: the room itself has no news. */
static void tell_audience_locked(struct session_table *t, int64_t room)
{
    const struct watched *w = map_get_int(&t->watched, room);
    enum urgency urgency = w && w->n > CROWD ? SOON : AT_ONCE;
    for (size_t i = 0; w && i < w->n; i++)
        tell_locked(t, w->sessions[i], 0, 0, urgency);
}

static void tell_user_locked(struct session_table *t, int64_t user, int64_t room, int64_t position)
{
    struct session *s = map_get_int(&t->sessions, user);
    if (s)
        tell_locked(t, s, room, position, AT_ONCE);
}

/* Whose receipt it is has other devices, which clear their counts by it: at once. */
static void tell_receipt_locked(struct session_table *t, const struct change *c)
{
    tell_room_locked(t, c->room, c->position, SOON);
    tell_user_locked(t, c->user, c->room, c->position);
}

static void apply_membership_locked(struct session_table *t, const struct change *c)
{
    int64_t user = 0;
    if (intern_find(t->store->intern, INTERN_USER, c->event->state_key, &user) || !user)
        return;
    struct session *s = map_get_int(&t->sessions, user);
    if (!s)
        return;
    enum membership m = membership_parse(json_text(event_content(c->event), "membership"));
    lock_take(&s->lock);
    s->moves++;
    const struct session_room *before = map_get_int(&s->rooms, c->room);
    bool was_joined = before && before->membership == MEMBERSHIP_JOIN;
    put_room_locked(s, c->room, m, c->position);
    lock_release(&s->lock);
    if (m == MEMBERSHIP_JOIN)
        watch_locked(t, c->room, s);
    else if (!was_joined)
        tell_locked(t, s, c->room, c->position,
                    AT_ONCE); /* invited, knocking, or an invite withdrawn */
}

/* Whoever was joined is still told of their own leaving; only then they stop watching. */
static void end_watch_locked(struct session_table *t, const struct change *c)
{
    int64_t user = 0;
    if (intern_find(t->store->intern, INTERN_USER, c->event->state_key, &user) || !user)
        return;
    struct session *s = map_get_int(&t->sessions, user);
    if (s && !session_is_joined(s, c->room))
        unwatch_locked(t, c->room, s);
}

static void apply_event_locked(struct session_table *t, const struct change *c)
{
    bool is_member = c->event->state_key && strcmp(c->event->type, "m.room.member") == 0;
    if (is_member)
        apply_membership_locked(t, c);
    tell_room_locked(t, c->room, c->position, AT_ONCE);
    if (is_member)
        end_watch_locked(t, c);
}

static void apply_locked(struct session_table *t, const struct change *c)
{
    switch (c->kind) {
    case CHANGE_EVENT:
        apply_event_locked(t, c);
        return;
    case CHANGE_RECEIPT:
        if (!c->private_to_user)
            tell_receipt_locked(t, c);
        else
            tell_user_locked(t, c->user, c->room, c->position);
        return;
    case CHANGE_DEVICE_KEYS:
        return; /* told with the next thing that happens */
    default:
        tell_user_locked(t, c->user, c->room, c->position);
        for (size_t i = 0; i < c->audience_n; i++)
            tell_audience_locked(t, c->audience[i]);
    }
}

static void wake_all_locked(struct session_table *t)
{
    for (struct map_slot *slot = NULL; (slot = map_next(&t->sessions, slot));) {
        struct session *s = slot->value;
        LOCKED(&s->lock);
        s->loading = true; /* changes were missed: the next opening reads the rooms anew */
        s->moves++;
        add_news_locked(t, s, AT_ONCE);
    }
}

static void on_changes(void *ctx, const struct change *changes, size_t n)
{
    struct session_table *t = ctx;
    LOCKED(&t->lock);
    t->settling = true;
    if (n == 0)
        wake_all_locked(t);
    for (size_t i = 0; i < n; i++)
        apply_locked(t, &changes[i]);
}

static void wake(struct session *s)
{
    LOCKED(&s->lock);
    wake_locked(s);
}

static void wake_listed_locked(struct session_table *t, enum urgency urgency)
{
    struct watched *w = &t->news[urgency];
    for (size_t i = 0; i < w->n; i++) {
        w->sessions[i]->listed[urgency] = false;
        wake(w->sessions[i]);
    }
    w->n = 0;
}

static void on_settled(void *ctx)
{
    struct session_table *t = ctx;
    LOCKED(&t->lock);
    t->settling = false;
    wake_listed_locked(t, AT_ONCE);
}

static void *wake_now_and_then(void *arg)
{
    struct session_table *t = arg;
    LOCKED(&t->lock);
    while (!t->stopping) {
        lock_wait_until(&t->lock, &t->stop, mono_ms() + SOON_MS);
        if (!t->settling)
            wake_listed_locked(t, SOON);
    }
    return NULL;
}

void session_forget_room(struct session_table *t, int64_t user, int64_t room)
{
    LOCKED(&t->lock);
    struct session *s = map_get_int(&t->sessions, user);
    if (!s)
        return;
    LOCKED(&s->lock);
    struct session_room *r = map_get_int(&s->rooms, room);
    if (r && (r->membership == MEMBERSHIP_LEAVE || r->membership == MEMBERSHIP_BAN)) {
        map_remove_int(&s->rooms, room);
        free(r);
    }
}

void session_wake_room(struct session_table *t, int64_t room)
{
    LOCKED(&t->lock);
    const struct watched *w = map_get_int(&t->watched, room);
    for (size_t i = 0; w && i < w->n; i++)
        wake(w->sessions[i]);
}

const struct err *session_fill_audience(struct job *job, struct change *change)
{
    const struct member_row *rows;
    size_t n;
    TRY(members_of_user(job_tx(job), change->user, &rows, &n));
    int64_t *rooms = arena_alloc_array(job->arena, n + 1, sizeof *rooms);
    size_t joined = 0;
    for (size_t i = 0; i < n; i++)
        if (rows[i].membership == MEMBERSHIP_JOIN)
            rooms[joined++] = rows[i].room;
    change->audience = rooms;
    change->audience_n = joined;
    return NULL;
}

/* ---- the table ---- */

struct session_table *session_table_create(struct store *store)
{
    struct session_table *t = mem_zalloc(sizeof *t);
    lock_init(&t->lock, RANK_SESSION_TABLE);
    t->store = store;
    feed_listen(store->feed, on_changes, t);
    feed_listen_settled(store->feed, on_settled, t);
    cond_init(&t->stop);
    pthread_create(&t->thread, NULL, wake_now_and_then, t);
    return t;
}

void session_table_destroy(struct session_table *t)
{
    if (!t)
        return;
    lock_take(&t->lock);
    t->stopping = true;
    pthread_cond_signal(&t->stop);
    lock_release(&t->lock);
    pthread_join(t->thread, NULL);
    pthread_cond_destroy(&t->stop);
    for (struct map_slot *slot; (slot = map_next(&t->sessions, NULL));)
        drop_locked(t, slot->value);
    map_finish(&t->sessions);
    map_finish(&t->watched);
    for (enum urgency u = 0; u < URGENCIES; u++)
        free(t->news[u].sessions);
    lock_finish(&t->lock);
    free(t);
}

void session_table_add_metrics(struct session_table *t, struct buf *out)
{
    LOCKED(&t->lock);
    buf_printf(out, "# TYPE concorde_active_users gauge\nconcorde_active_users %zu\n",
               t->sessions.n);
}
