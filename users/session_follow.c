#include "users/session_internal.h"

#include "base/clock.h"
#include "base/mem.h"
#include "base/worker/worker.h"
#include "storage/db/intern.h"

#include <assert.h>

enum {
    SOON_MS = 400, /* how often the sessions of SOON are woken */
    CROWD = 32     /* sessions that watch one room */
};

/* ---- who watches which room ---- */

static void session_follow_list_add(struct session_list *l, struct session *s)
{
    if (l->n == l->cap) {
        l->cap = l->cap ? l->cap * 2 : 4;
        l->sessions = mem_realloc_array(l->sessions, l->cap, sizeof *l->sessions);
    }
    l->sessions[l->n++] = s;
}

static void list_remove(struct session_list *l, struct session *s)
{
    for (size_t i = 0; i < l->n; i++)
        if (l->sessions[i] == s) {
            l->sessions[i] = l->sessions[--l->n];
            return;
        }
}

static void session_follow_put(struct map *lists, int64_t room, struct session *s)
{
    struct session_list *w = map_get_int(lists, room);
    if (!w) {
        w = mem_zalloc(sizeof *w);
        map_put_int(lists, room, w);
    }
    for (size_t i = 0; i < w->n; i++)
        if (w->sessions[i] == s)
            return;
    session_follow_list_add(w, s);
}

static void session_follow_drop(struct map *lists, int64_t room, struct session *s)
{
    struct session_list *w = map_get_int(lists, room);
    if (w)
        list_remove(w, s);
    if (w && w->n == 0) {
        map_remove_int(lists, room);
        free(w->sessions);
        free(w);
    }
}

void session_watch_locked(struct session_table *t, int64_t room, struct session *s)
{
    session_follow_put(&t->watched, room, s);
}

void session_unwatch_locked(struct session_table *t, int64_t room, struct session *s)
{
    session_follow_drop(&t->watched, room, s);
}

void session_await_locked(struct session_table *t, int64_t room, struct session *s)
{
    session_follow_put(&t->awaited, room, s);
}

void session_unawait_locked(struct session_table *t, int64_t room, struct session *s)
{
    session_follow_drop(&t->awaited, room, s);
}

/* ---- sessions to wake ---- */

static void wake_later_locked(struct session_table *t, struct session *s, enum urgency urgency)
{
    struct session_list *w = &t->pending[urgency];
    if (s->listed[urgency])
        return;
    session_follow_list_add(w, s);
    s->listed[urgency] = true;
}

void session_forget_wake_locked(struct session_table *t, struct session *s)
{
    for (enum urgency u = 0; u < URGENCIES; u++) {
        if (s->listed[u])
            list_remove(&t->pending[u], s);
        s->listed[u] = false;
    }
}

/* ---- following the log ---- */

static void note_locked(struct session *s, int64_t room, int64_t position)
{
    assert(position > 0); /* readers go back through the ring as long as positions are newer */
    if (!s->recent)
        s->recent = mem_zalloc(SESSION_RECENT * sizeof *s->recent);
    struct recent *r = &s->recent[s->recent_n % SESSION_RECENT];
    if (s->recent_n >= SESSION_RECENT)
        s->recent_from = r->position;
    *r = (struct recent){room, position};
    s->recent_n++;
}

/* Sessions are woken once the feed has settled: a reader that is woken now would find nothing. */
static void note_and_wake_later_locked(struct session_table *t, struct session *s, int64_t room,
                                       int64_t position, enum urgency urgency)
{
    LOCKED(&s->lock);
    if (room)
        note_locked(s, room, position);
    wake_later_locked(t, s, urgency);
}

static void wake_room_locked(struct session_table *t, int64_t room, int64_t position,
                             enum urgency crowd_urgency)
{
    const struct session_list *w = map_get_int(&t->watched, room);
    enum urgency urgency = w && w->n > CROWD ? crowd_urgency : AT_ONCE;
    for (size_t i = 0; w && i < w->n; i++)
        note_and_wake_later_locked(t, w->sessions[i], room, position, urgency);
}

/* Wakes sessions that await the room without being in it; the room is not noted as changed for
 * them. */
static void wake_lookers_locked(struct session_table *t, int64_t room)
{
    const struct session_list *w = t->awaited.n ? map_get_int(&t->awaited, room) : NULL;
    for (size_t i = 0; w && i < w->n; i++)
        wake_later_locked(t, w->sessions[i], AT_ONCE);
}

/* For a change of a user, not of the room: the room is not noted as changed. */
static void wake_audience_locked(struct session_table *t, int64_t room)
{
    const struct session_list *w = map_get_int(&t->watched, room);
    enum urgency urgency = w && w->n > CROWD ? SOON : AT_ONCE;
    for (size_t i = 0; w && i < w->n; i++)
        note_and_wake_later_locked(t, w->sessions[i], 0, 0, urgency);
}

static void wake_user_locked(struct session_table *t, int64_t user, int64_t room, int64_t position)
{
    struct session *s = map_get_int(&t->sessions, user);
    if (s)
        note_and_wake_later_locked(t, s, room, position, AT_ONCE);
}

/* The user's other devices clear their counts with the receipt, so they are woken at once. */
static void wake_for_receipt_locked(struct session_table *t, const struct change *c)
{
    wake_room_locked(t, c->room, c->position, SOON);
    wake_user_locked(t, c->user, c->room, c->position);
}

static void apply_membership_locked(struct session_table *t, const struct change *c)
{
    const struct event *e = change_state_event(c);
    int64_t user = 0;
    if (intern_find(t->node->storage->intern, INTERN_USER, e->state_key, &user) || !user)
        return;
    struct session *s = map_get_int(&t->sessions, user);
    if (!s)
        return;
    enum membership m = change_ends_state(c) ? MEMBERSHIP_NONE : event_membership(e);
    lock_take(&s->lock);
    s->moves++;
    const struct session_room *before = map_get_int(&s->rooms, c->room);
    bool was_joined = before && before->membership == MEMBERSHIP_JOIN;
    session_put_room_locked(s, c->room, m, c->position, change_state_position(c));
    lock_release(&s->lock);
    if (m == MEMBERSHIP_JOIN)
        session_watch_locked(t, c->room, s);
    else if (!was_joined)
        note_and_wake_later_locked(t, s, c->room, c->position,
                                   AT_ONCE); /* invited, knocking, or an invite withdrawn */
}

/* Users who were joined are still sent their own leave; after it they no longer watch the room. */
static void end_watch_locked(struct session_table *t, const struct change *c)
{
    const struct event *e = change_state_event(c);
    int64_t user = 0;
    if (intern_find(t->node->storage->intern, INTERN_USER, e->state_key, &user) || !user)
        return;
    struct session *s = map_get_int(&t->sessions, user);
    if (s && !session_is_joined(s, c->room))
        session_unwatch_locked(t, c->room, s);
}

static void session_follow_apply_event_locked(struct session_table *t, const struct change *c)
{
    const struct event *e = change_state_event(c);
    bool is_member = e && strcmp(e->type, "m.room.member") == 0;
    if (is_member)
        apply_membership_locked(t, c);
    wake_room_locked(t, c->room, c->position, AT_ONCE);
    wake_lookers_locked(t, c->room);
    if (is_member)
        end_watch_locked(t, c);
}

/* The room's membership is that at this position, as for the row. */
static void session_follow_forget_locked(struct session_table *t, const struct change *c)
{
    struct session *s = map_get_int(&t->sessions, c->user);
    if (!s)
        return;
    LOCKED(&s->lock);
    s->moves++;
    struct session_room *r = map_get_int(&s->rooms, c->room);
    if (r && (r->membership == MEMBERSHIP_LEAVE || r->membership == MEMBERSHIP_BAN))
        r->forgotten = true;
}

static void session_follow_apply_locked(struct session_table *t, const struct change *c)
{
    switch (c->kind) {
    case CHANGE_EVENT:
    case CHANGE_STATE:
        session_follow_apply_event_locked(t, c);
        return;
    case CHANGE_RECEIPT:
        if (!c->receipt.is_private)
            wake_for_receipt_locked(t, c);
        else
            wake_user_locked(t, c->user, c->room, c->position);
        return;
    case CHANGE_FORGET:
        session_follow_forget_locked(t, c);
        return;
    case CHANGE_DEVICE_KEYS:
        return;           /* sent with the next change */
    case CHANGE_PRESENCE: /* users/presence.c wakes the rooms, each once for many users */
        wake_user_locked(t, c->user, c->room, c->position);
        return;
    case CHANGE_TYPING:
        if (!c->typing.is_repeated)
            wake_room_locked(t, c->room, c->position, AT_ONCE);
        return;
    default:
        wake_user_locked(t, c->user, c->room, c->position);
        for (size_t i = 0; i < c->local.audience_n; i++)
            wake_audience_locked(t, c->local.audience[i]);
    }
}

static void session_follow_wake_all_locked(struct session_table *t)
{
    for (struct map_slot *slot = NULL; (slot = map_next(&t->sessions, slot));) {
        struct session *s = slot->value;
        LOCKED(&s->lock);
        s->loading = true; /* changes were missed: session_open loads the rooms again */
        s->moves++;
        wake_later_locked(t, s, AT_ONCE);
    }
}

void session_table_on_changes(void *ctx, const struct change *changes, size_t n)
{
    struct session_table *t = ctx;
    LOCKED(&t->lock);
    t->settling = true;
    if (n == 0)
        session_follow_wake_all_locked(t);
    for (size_t i = 0; i < n; i++)
        session_follow_apply_locked(t, &changes[i]);
}

static void wake(struct session *s)
{
    LOCKED(&s->lock);
    for (struct waiter *w = s->waiters.next; w != &s->waiters; w = w->next)
        w->wake(w);
}

static void wake_listed_locked(struct session_table *t, enum urgency urgency)
{
    struct session_list *w = &t->pending[urgency];
    for (size_t i = 0; i < w->n; i++) {
        w->sessions[i]->listed[urgency] = false;
        wake(w->sessions[i]);
    }
    w->n = 0;
}

void session_table_on_settled(void *ctx)
{
    struct session_table *t = ctx;
    LOCKED(&t->lock);
    t->settling = false;
    wake_listed_locked(t, AT_ONCE);
}

static enum worker_outcome wake_now_and_then(void *of, void *thread, struct worker_item *item)
{
    struct session_table *t = of;
    LOCKED(&t->lock);
    if (!t->settling)
        wake_listed_locked(t, SOON);
    item->wait_ms = SOON_MS;
    return WORKER_WAIT;
}

void session_wake_room(struct session_table *t, int64_t room)
{
    LOCKED(&t->lock);
    const struct session_list *w = map_get_int(&t->watched, room);
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
    change->local.audience = rooms;
    change->local.audience_n = joined;
    return NULL;
}

void session_follow_start(struct session_table *t)
{
    t->wakes = worker_kind_create(
        t->node->storage->timers,
        &(struct worker_settings){.name = "session wakes", .of = t, .run = wake_now_and_then});
    worker_kind_start(t->wakes);
    worker_add(t->wakes, (struct worker_key){0});
}

void session_follow_stop(struct session_table *t)
{
    worker_kind_destroy(t->wakes);
}
