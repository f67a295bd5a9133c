#include "users/typing.h"
#include "users/users.h"

#include "base/clock.h"
#include "base/mem.h"
#include "base/worker/worker.h"
#include "users/session.h"

enum {
    ROOMS_MAX = 65536,          /* those with the newest changes */
    TYPERS_MAX = 100,           /* of one room */
    NOTIFY_AGAIN_MS = 40 * 1000 /* other servers let it expire after a minute */
};

struct typer {
    int64_t user, until_mono_ms, notified_mono_ms;
    char *user_id;
};

struct typing_room {
    int64_t room, serial;
    struct typer *typers;
    size_t n;
    struct typing_room *newer, *older; /* by serial */
};

struct typing {
    struct lock lock;
    struct node *node;
    struct map rooms; /* rooms.id -> struct typing_room */
    struct typing_room *newest, *oldest;
    int64_t serial;
    struct worker_kind *ends;
    int64_t next_end_mono_ms; /* of the first user to time out; INT64_MAX: no user types */
    typing_listener *listener;
    void *listener_ctx;
};

/* ---- rooms, newest change first ---- */

static void typing_unlink_locked(struct typing *t, struct typing_room *r)
{
    *(r->newer ? &r->newer->older : &t->newest) = r->older;
    *(r->older ? &r->older->newer : &t->oldest) = r->newer;
}

static void typing_link_newest_locked(struct typing *t, struct typing_room *r)
{
    r->newer = NULL;
    r->older = t->newest;
    *(t->newest ? &t->newest->newer : &t->oldest) = r;
    t->newest = r;
}

static void typing_drop_locked(struct typing *t, struct typing_room *r)
{
    typing_unlink_locked(t, r);
    map_remove_int(&t->rooms, r->room);
    for (size_t i = 0; i < r->n; i++)
        free(r->typers[i].user_id);
    free(r->typers);
    free(r);
}

static struct typing_room *room_locked(struct typing *t, int64_t room)
{
    struct typing_room *r = map_get_int(&t->rooms, room);
    if (r)
        return r;
    if (t->rooms.n >= ROOMS_MAX)
        typing_drop_locked(t, t->oldest);
    r = mem_zalloc(sizeof *r);
    r->room = room;
    map_put_int(&t->rooms, room, r);
    typing_link_newest_locked(t, r);
    return r;
}

static void changed_locked(struct typing *t, struct typing_room *r)
{
    r->serial = ++t->serial;
    typing_unlink_locked(t, r);
    typing_link_newest_locked(t, r);
}

/* ---- who types ---- */

static struct typer *users_typing_find_locked(struct typing_room *r, int64_t user)
{
    for (size_t i = 0; i < r->n; i++)
        if (r->typers[i].user == user)
            return &r->typers[i];
    return NULL;
}

static void users_typing_remove_locked(struct typing_room *r, struct typer *who)
{
    free(who->user_id);
    *who = r->typers[--r->n];
}

/* True if the list of typing users changed. ret_notify: other servers must be notified (again). */
static bool typing_start_locked(struct typing *t, int64_t room, int64_t user, const char *user_id,
                                int64_t until, bool *ret_notify)
{
    struct typing_room *r = room_locked(t, room);
    struct typer *who = users_typing_find_locked(r, user);
    int64_t now = mono_ms();
    bool is_new = !who;
    if (is_new) {
        if (r->n >= TYPERS_MAX)
            return false;
        r->typers = mem_realloc_array(r->typers, r->n + 1, sizeof *r->typers);
        who = &r->typers[r->n++];
        *who = (struct typer){.user = user, .user_id = mem_strdup(user_id)};
        changed_locked(t, r);
    }
    who->until_mono_ms = until;
    *ret_notify = is_new || now - who->notified_mono_ms >= NOTIFY_AGAIN_MS;
    if (*ret_notify)
        who->notified_mono_ms = now;
    if (until < t->next_end_mono_ms) {
        t->next_end_mono_ms = until;
        worker_add_due(t->ends, (struct worker_key){0}, until);
    }
    return is_new;
}

static bool stop_locked(struct typing *t, int64_t room, int64_t user)
{
    struct typing_room *r = map_get_int(&t->rooms, room);
    struct typer *who = r ? users_typing_find_locked(r, user) : NULL;
    if (!who)
        return false;
    users_typing_remove_locked(r, who);
    changed_locked(t, r);
    return true;
}

void typing_listen(struct typing *t, typing_listener *fn, void *ctx)
{
    LOCKED(&t->lock);
    t->listener = fn;
    t->listener_ctx = ctx;
}

static void typing_notify(struct typing *t, int64_t room, const char *user_id, bool typing)
{
    if (t->listener)
        t->listener(t->listener_ctx, room, user_id, typing);
}

void typing_set(struct typing *t, int64_t room, int64_t user, const char *user_id, int timeout_ms)
{
    bool changed, must_notify = false, starts = timeout_ms > 0;
    lock_take(&t->lock);
    if (starts)
        changed = typing_start_locked(t, room, user, user_id, mono_ms() + timeout_ms, &must_notify);
    else
        must_notify = changed = stop_locked(t, room, user);
    lock_release(&t->lock);
    if (changed)
        session_wake_room(t->node->users->sessions, room);
    if (must_notify)
        typing_notify(t, room, user_id, starts);
}

/* ---- reading ---- */

int64_t typing_serial(struct typing *t)
{
    LOCKED(&t->lock);
    return t->serial;
}

int64_t typing_room_serial(struct typing *t, int64_t room)
{
    LOCKED(&t->lock);
    const struct typing_room *r = map_get_int(&t->rooms, room);
    return r ? r->serial : 0;
}

size_t typing_changed_since(struct typing *t, int64_t serial, int64_t *ret_rooms, size_t max)
{
    LOCKED(&t->lock);
    size_t n = 0;
    for (struct typing_room *r = t->newest; r && n < max && r->serial > serial; r = r->older)
        ret_rooms[n++] = r->room;
    return n;
}

void typing_list(struct typing *t, struct arena *a, int64_t room, const struct map *without,
                 const char *const **ret, size_t *ret_n)
{
    size_t n = 0;
    LOCKED(&t->lock);
    const struct typing_room *r = map_get_int(&t->rooms, room);
    const char **list = arena_alloc_array(a, (r ? r->n : 0) + 1, sizeof *list);
    for (size_t i = 0; r && i < r->n; i++)
        if (!without || !map_get(without, str_of(r->typers[i].user_id)))
            list[n++] = arena_strdup(a, r->typers[i].user_id);
    *ret = list;
    *ret_n = n;
}

void typing_add_event(const char *const *users, size_t n, const char *room_id, struct buf *out)
{
    BUF_LIT(out, "{\"type\":\"m.typing\",");
    if (room_id) {
        BUF_LIT(out, "\"room_id\":");
        buf_add_json_string(out, str_of(room_id));
        buf_add_char(out, ',');
    }
    BUF_LIT(out, "\"content\":{\"user_ids\":[");
    for (size_t i = 0; i < n; i++) {
        buf_add_json_comma(out);
        buf_add_json_string(out, str_of(users[i]));
    }
    BUF_LIT(out, "]}}");
}

/* ---- ending ---- */

enum { ENDED_MAX = 256 };

struct ended {
    int64_t room;
    char *user_id; /* owned */
};

/* Ends what has timed out in one room, as far as ret has space, and notes the earliest end of the
 * rest for the next check. */
static size_t end_overdue_locked(struct typing *t, struct typing_room *r, int64_t now,
                                 struct ended *ret, size_t max)
{
    size_t n = 0;
    for (size_t i = r->n; i-- > 0;) {
        if (r->typers[i].until_mono_ms > now || n == max) {
            if (r->typers[i].until_mono_ms < t->next_end_mono_ms)
                t->next_end_mono_ms = r->typers[i].until_mono_ms;
            continue;
        }
        ret[n++] = (struct ended){r->room, mem_strdup(r->typers[i].user_id)};
        users_typing_remove_locked(r, &r->typers[i]);
    }
    if (n)
        changed_locked(t, r);
    return n;
}

/* Users whose time is up, at most ENDED_MAX; the next check finds the others. */
static size_t end_all_overdue_locked(struct typing *t, struct ended *ret)
{
    size_t n = 0;
    int64_t now = mono_ms();
    t->next_end_mono_ms = INT64_MAX;
    for (struct map_slot *s = NULL; n < ENDED_MAX && (s = map_next(&t->rooms, s));)
        n += end_overdue_locked(t, s->value, now, ret + n, ENDED_MAX - n);
    if (n == ENDED_MAX)
        t->next_end_mono_ms = now;
    return n;
}

static void notify_ended(struct typing *t, struct ended *list, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        if (i == 0 || list[i].room != list[i - 1].room)
            session_wake_room(t->node->users->sessions, list[i].room);
        typing_notify(t, list[i].room, list[i].user_id, false);
        free(list[i].user_id);
    }
}

/* Due when the first user times out. */
static enum worker_outcome typing_end_overdue(void *of, void *thread, struct worker_item *item)
{
    struct typing *t = of;
    struct ended ended[ENDED_MAX];
    lock_take(&t->lock);
    size_t n = end_all_overdue_locked(t, ended);
    int64_t next = t->next_end_mono_ms;
    lock_release(&t->lock);
    notify_ended(t, ended, n);
    int64_t wait = next - mono_ms();
    item->wait_ms = wait > 0 ? wait : 0;
    return next == INT64_MAX ? WORKER_DONE : WORKER_WAIT;
}

/* A user who leaves a room stops typing there; clients learn that from the member event. */
void typing_on_changes(void *ctx, const struct change *changes, size_t n)
{
    struct typing *t = ctx;
    LOCKED(&t->lock);
    for (size_t i = 0; i < n; i++) {
        const struct change *c = &changes[i];
        const struct event *e = c->kind == CHANGE_EVENT ? c->event.event : NULL;
        if (!e || !e->state_key || strcmp(e->type, "m.room.member") != 0)
            continue;
        struct typing_room *r = map_get_int(&t->rooms, c->room);
        if (!r || event_membership(e) == MEMBERSHIP_JOIN)
            continue;
        for (size_t k = r->n; k-- > 0;)
            if (strcmp(r->typers[k].user_id, e->state_key) == 0) {
                users_typing_remove_locked(r, &r->typers[k]);
                changed_locked(t, r);
            }
    }
}

struct typing *typing_create(struct node *node)
{
    struct typing *t = mem_zalloc(sizeof *t);
    lock_init(&t->lock, RANK_TYPING);
    t->node = node;
    t->serial = now_ms();
    t->next_end_mono_ms = INT64_MAX;
    t->ends = worker_kind_create(
        node->storage->timers,
        &(struct worker_settings){.name = "typing", .of = t, .run = typing_end_overdue});
    worker_kind_start(t->ends);
    return t;
}

void typing_destroy(struct typing *t)
{
    if (!t)
        return;
    worker_kind_destroy(t->ends);
    while (t->newest)
        typing_drop_locked(t, t->newest);
    map_finish(&t->rooms);
    lock_finish(&t->lock);
    free(t);
}
