#include "users/typing_internal.h"
#include "users/users.h"

#include "base/clock.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/worker/worker.h"
#include "storage/db/committer.h"
#include "users/session.h"

enum {
    NOTIFY_AGAIN_MS = 40 * 1000, /* other servers let it expire after a minute */
    LONGEST_MS = 5 * 60 * 1000,  /* a later end is of a clock that was wrong */
    CLOSE_MS = 2000,             /* in which a change may reach the other nodes too late */
    CLOCKS_DIFFER_MS = 60 * 1000,
    SHARED_MAX = 4096, /* users who are written at once; the others when they type on */
    SHARE_AGAIN_MS = 1000
};

static bool typing_has_others(const struct typing *t)
{
    struct committer *c = t->node->storage->committer;
    return c && committer_view(c)->has_others;
}

static bool typing_is_over(int64_t until_ms, int64_t now)
{
    return until_ms <= now || until_ms - now > LONGEST_MS;
}

/* ---- serials ---- */

/* The serial of a change that is not in the log. */
static int64_t typing_next_serial_locked(struct typing *t)
{
    int64_t now = now_ms();
    t->serial++;
    if (t->serials_by_clock && now > t->serial)
        t->serial = now;
    return t->serial;
}

/* By the clock, all that ended up to a serial is seen with it. So it stays before an end that was
 * not noticed yet. */
static int64_t typing_serial_locked(struct typing *t)
{
    int64_t now = now_ms();
    t->serials_by_clock |= typing_has_others(t);
    if (now >= t->next_end_ms)
        now = t->next_end_ms - 1;
    if (t->serials_by_clock && now > t->serial)
        t->serial = now;
    return t->serial;
}

int64_t typing_serial(struct typing *t)
{
    LOCKED(&t->lock);
    return typing_serial_locked(t);
}

int64_t typing_serial_after(struct typing *t, int64_t seen)
{
    LOCKED(&t->lock);
    int64_t own = typing_serial_locked(t);
    bool is_ahead = t->serials_by_clock && seen > own && seen - own < CLOCKS_DIFFER_MS;
    return is_ahead ? seen : own;
}

/* ---- other servers ---- */

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

static bool typing_must_notify_locked(struct typer *who, bool is_new)
{
    int64_t now = mono_ms();
    bool must = is_new || now - who->notified_mono_ms >= NOTIFY_AGAIN_MS;
    if (must)
        who->notified_mono_ms = now;
    return must;
}

/* ---- a node alone ---- */

/* True if the list of typing users changed. ret_notify: other servers must be notified (again). */
static bool typing_start_locked(struct typing *t, int64_t room, int64_t user, const char *user_id,
                                int64_t until, bool *ret_notify)
{
    struct typing_room *r = typing_room_locked(t, room);
    bool is_new;
    struct typer *who = typing_put_user_locked(t, r, user, user_id, until, &is_new);
    if (!who)
        return false;
    who->is_shared = false;
    who->is_own = true;
    *ret_notify = typing_must_notify_locked(who, is_new);
    if (is_new)
        typing_move_locked(t, r, BY_SERIAL, typing_next_serial_locked(t));
    return is_new;
}

static bool typing_stop_locked(struct typing *t, int64_t room, int64_t user)
{
    struct typing_room *r = map_get_int(&t->rooms, room);
    struct typer *who = r ? typing_find_user_locked(r, user) : NULL;
    if (!who)
        return false;
    typing_remove_user_locked(r, who);
    typing_move_locked(t, r, BY_SERIAL, typing_next_serial_locked(t));
    return true;
}

/* False, and nothing is done: other nodes live. */
static bool typing_set_alone(struct typing *t, int64_t room, int64_t user, const char *user_id,
                             int timeout_ms)
{
    bool changed, must_notify = false, starts = timeout_ms > 0;
    {
        LOCKED(&t->lock);
        if (typing_has_others(t))
            return false;
        if (starts)
            changed =
                typing_start_locked(t, room, user, user_id, now_ms() + timeout_ms, &must_notify);
        else
            must_notify = changed = typing_stop_locked(t, room, user);
    }
    if (changed)
        session_wake_room(t->node->users->sessions, room);
    if (must_notify)
        typing_notify(t, room, user_id, starts);
    return true;
}

/* ---- through the log ---- */

/* What has to be written; false: nothing. */
static bool typing_plan(struct typing *t, int64_t timeout_ms, struct change *c)
{
    LOCKED(&t->lock);
    struct typing_room *r = map_get_int(&t->rooms, c->room);
    const struct typer *who = r ? typing_find_user_locked(r, c->user) : NULL;
    int64_t now = now_ms(), until = now + timeout_ms;
    if (timeout_ms <= 0)
        return who != NULL;
    c->typing.until_ms = until;
    if (!who || !who->is_shared)
        return who || !r || r->n < TYPING_USERS_MAX;
    c->typing.is_repeated = who->until_ms - now > CLOSE_MS;
    bool is_later = until > who->until_ms - CLOSE_MS;
    if (is_later)
        c->typing.until_ms += TYPING_EXTRA_MS;
    return is_later || until < who->until_ms - TYPING_EXTRA_MS;
}

const struct err *typing_set(struct job *job, int64_t room, int64_t user, const char *user_id,
                             int timeout_ms)
{
    struct typing *t = job->users->typing;
    struct change c = {.kind = CHANGE_TYPING, .room = room, .user = user, .typing = {user_id}};
    if (typing_set_alone(t, room, user, user_id, timeout_ms) || !typing_plan(t, timeout_ms, &c))
        return NULL;
    struct write *w = write_begin(job);
    write_change(w, &c);
    return write_commit(job, w, NULL);
}

/* ret_notify: of a user who types. The change may come when its end is over: then it is one of
 * those that are seen with a later serial. */
static void typing_apply_locked(struct typing *t, const struct change *c, bool *ret_notify)
{
    int64_t until = c->typing.until_ms;
    struct typing_room *r = typing_room_locked(t, c->room);
    struct typer *who = typing_find_user_locked(r, c->user);
    bool types = !typing_is_over(until, now_ms()), is_new = false, changed = !c->typing.is_repeated;
    t->serials_by_clock = true;
    if (types) {
        who = typing_put_user_locked(t, r, c->user, c->typing.user_id, until, &is_new);
        changed |= is_new;
    } else if (who) {
        typing_remove_user_locked(r, who);
        changed = true;
    }
    if (types && who) {
        who->is_shared = true;
        who->is_own = !c->local.is_foreign;
        *ret_notify = typing_must_notify_locked(who, is_new);
    }
    if (until && until <= now_ms())
        typing_move_locked(t, r, BY_SERIAL, until);
    if (changed || !r->order[BY_POSITION].at)
        typing_move_locked(t, r, BY_POSITION, c->position);
}

static void typing_apply(struct typing *t, const struct change *c)
{
    bool must_notify = !c->typing.until_ms;
    lock_take(&t->lock);
    typing_apply_locked(t, c, &must_notify);
    lock_release(&t->lock);
    if (must_notify)
        typing_notify(t, c->room, c->typing.user_id, c->typing.until_ms != 0);
}

/* A user who leaves a room stops typing there; clients learn that from the member event. */
static void typing_apply_member(struct typing *t, const struct change *c)
{
    const struct event *e = c->event.event;
    if (!e->state_key || strcmp(e->type, "m.room.member") != 0 ||
        event_membership(e) == MEMBERSHIP_JOIN)
        return;
    LOCKED(&t->lock);
    struct typing_room *r = map_get_int(&t->rooms, c->room);
    for (size_t k = r ? r->n : 0; k-- > 0;)
        if (strcmp(r->typers[k].user_id, e->state_key) == 0) {
            typing_remove_user_locked(r, &r->typers[k]);
            typing_move_locked(t, r, BY_POSITION, c->position);
        }
}

/* Changes were missed: who of those in the log stopped is not known. */
static void typing_forget_shared(struct typing *t)
{
    int64_t position = feed_newest(t->node->storage->feed);
    LOCKED(&t->lock);
    for (struct map_slot *s = NULL; (s = map_next(&t->rooms, s));) {
        struct typing_room *r = s->value;
        for (size_t i = r->n; i-- > 0;)
            if (r->typers[i].is_shared) {
                typing_remove_user_locked(r, &r->typers[i]);
                typing_move_locked(t, r, BY_POSITION, position);
            }
    }
}

void typing_on_changes(void *ctx, const struct change *changes, size_t n)
{
    struct typing *t = ctx;
    if (!n)
        typing_forget_shared(t);
    for (size_t i = 0; i < n; i++)
        if (changes[i].kind == CHANGE_TYPING)
            typing_apply(t, &changes[i]);
        else if (changes[i].kind == CHANGE_EVENT)
            typing_apply_member(t, &changes[i]);
}

/* ---- nodes that come ---- */

static size_t typing_add_own_locked(struct job *job, struct typing_room *r, struct write *w)
{
    size_t n = 0;
    for (size_t i = 0; i < r->n; i++) {
        const struct typer *who = &r->typers[i];
        if (!who->is_own || typing_is_over(who->until_ms, now_ms()))
            continue;
        write_change(w, &(struct change){.kind = CHANGE_TYPING,
                                         .room = r->room,
                                         .user = who->user,
                                         .typing = {arena_strdup(job->arena, who->user_id),
                                                    who->until_ms, who->is_shared}});
        n++;
    }
    return n;
}

static enum worker_outcome typing_share_own(void *of, void *thread, struct worker_item *item)
{
    struct typing *t = of;
    struct job *job = thread;
    if (!typing_has_others(t))
        return WORKER_DONE;
    struct write *w = write_begin(job);
    size_t n = 0;
    lock_take(&t->lock);
    for (struct map_slot *s = NULL; n < SHARED_MAX && (s = map_next(&t->rooms, s));)
        n += typing_add_own_locked(job, s->value, w);
    lock_release(&t->lock);
    if (!n) {
        write_abandon(w);
        return WORKER_DONE;
    }
    const struct err *e = write_commit(job, w, NULL);
    if (e)
        log_err(LOG_INFO, "other nodes do not know who types; it will be retried", e);
    item->wait_ms = SHARE_AGAIN_MS;
    return e ? WORKER_WAIT : WORKER_DONE;
}

void typing_share(struct typing *t)
{
    worker_add(t->shares, (struct worker_key){0});
}

/* ---- reading ---- */

static bool typing_is_between(int64_t at, int64_t seen, int64_t until)
{
    return at > seen && at <= until;
}

bool typing_has_changed(struct typing *t, int64_t room, const struct typing_place *seen,
                        const struct typing_place *until)
{
    LOCKED(&t->lock);
    const struct typing_room *r = map_get_int(&t->rooms, room);
    return r && (typing_is_between(r->order[BY_SERIAL].at, seen->serial, until->serial) ||
                 typing_is_between(r->order[BY_POSITION].at, seen->position, until->position));
}

size_t typing_changed_since(struct typing *t, const struct typing_place *seen, int64_t *ret_rooms,
                            size_t max)
{
    LOCKED(&t->lock);
    size_t n = 0;
    for (const struct typing_room *r = t->order[BY_SERIAL].newest;
         r && n < max && r->order[BY_SERIAL].at > seen->serial; r = r->order[BY_SERIAL].older)
        ret_rooms[n++] = r->room;
    for (const struct typing_room *r = t->order[BY_POSITION].newest;
         r && n < max && r->order[BY_POSITION].at > seen->position; r = r->order[BY_POSITION].older)
        if (r->order[BY_SERIAL].at <= seen->serial)
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

static void typing_end_locked(struct typing *t, struct typing_room *r, struct typer *who)
{
    int64_t serial = r->order[BY_SERIAL].at;
    if (!who->is_shared || who->until_ms <= t->serial || who->until_ms > now_ms())
        serial = typing_next_serial_locked(t);
    else if (who->until_ms > serial)
        serial = who->until_ms;
    typing_remove_user_locked(r, who);
    typing_move_locked(t, r, BY_SERIAL, serial);
}

/* Ends what has timed out in one room, as far as ret has space, and notes the earliest end of the
 * rest for the next check. */
static size_t end_overdue_locked(struct typing *t, struct typing_room *r, int64_t now,
                                 struct ended *ret, size_t max)
{
    size_t n = 0;
    for (size_t i = r->n; i-- > 0;) {
        if (!typing_is_over(r->typers[i].until_ms, now) || n == max) {
            if (r->typers[i].until_ms < t->next_end_ms)
                t->next_end_ms = r->typers[i].until_ms;
            continue;
        }
        ret[n++] = (struct ended){r->room, mem_strdup(r->typers[i].user_id)};
        typing_end_locked(t, r, &r->typers[i]);
    }
    return n;
}

/* Users whose time is up, at most ENDED_MAX; the next check finds the others. */
static size_t end_all_overdue_locked(struct typing *t, struct ended *ret)
{
    size_t n = 0;
    int64_t now = now_ms();
    t->next_end_ms = INT64_MAX;
    for (struct map_slot *s = NULL; n < ENDED_MAX && (s = map_next(&t->rooms, s));)
        n += end_overdue_locked(t, s->value, now, ret + n, ENDED_MAX - n);
    if (n == ENDED_MAX)
        t->next_end_ms = now;
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
    int64_t next = t->next_end_ms;
    lock_release(&t->lock);
    notify_ended(t, ended, n);
    int64_t wait = next - now_ms();
    item->wait_ms = wait > 0 ? wait : 0;
    return next == INT64_MAX ? WORKER_DONE : WORKER_WAIT;
}

/* ---- life ---- */

struct typing *typing_create(struct node *node)
{
    struct typing *t = mem_zalloc(sizeof *t);
    lock_init(&t->lock, RANK_TYPING);
    t->node = node;
    t->serial = now_ms();
    t->next_end_ms = INT64_MAX;
    t->ends = worker_kind_create(
        node->storage->timers,
        &(struct worker_settings){.name = "typing", .of = t, .run = typing_end_overdue});
    t->shares = worker_kind_create(
        node->storage->background,
        &(struct worker_settings){.name = "typing users shared", .of = t, .run = typing_share_own});
    worker_kind_start(t->ends);
    worker_kind_start(t->shares);
    return t;
}

void typing_stop(struct typing *t)
{
    if (t)
        worker_kind_stop(t->shares);
}

void typing_destroy(struct typing *t)
{
    if (!t)
        return;
    worker_kind_destroy(t->ends);
    worker_kind_destroy(t->shares);
    for (struct map_slot *s = NULL; (s = map_next(&t->rooms, s)); s = NULL)
        typing_drop_room_locked(t, s->value);
    map_finish(&t->rooms);
    lock_finish(&t->lock);
    free(t);
}
