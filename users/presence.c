#include "users/presence_internal.h"
#include "users/users.h"

#include "base/clock.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/worker/worker.h"
#include "matrix/id.h"
#include "rooms/room_cache.h"
#include "storage/db/intern.h"

enum {
    TICK_MS = 1000,
    KEEP_MS = 60 * 1000,        /* after a sync: the usual long poll and a margin */
    IDLE_MS = 5 * 60 * 1000,    /* after an explicit setting */
    REMOTE_MS = 30 * 60 * 1000, /* from another server, which may not update it */
    ROOM_MEMBERS_MAX = 500,     /* no presence is sent in larger rooms */
    FLUSH_MAX = 256,            /* users in one write */
    STATUS_MSG_MAX = 1024,      /* bytes */
    STATES_MAX = 32             /* devices of a user; those that expire last are kept */
};

/* ---- entries ---- */

static void presence_unlink_locked(struct presence_table *p, struct presence_entry *e)
{
    *(e->newer ? &e->newer->older : &p->newest) = e->older;
    *(e->older ? &e->older->newer : &p->oldest) = e->newer;
}

static void presence_link_newest_locked(struct presence_table *p, struct presence_entry *e)
{
    e->newer = NULL;
    e->older = p->newest;
    *(p->newest ? &p->newest->newer : &p->oldest) = e;
    p->newest = e;
}

static struct presence_entry *entry_locked(struct presence_table *p, int64_t user,
                                           const char *user_id)
{
    struct presence_entry *e = map_get_int(&p->entries, user);
    if (e)
        return e;
    e = mem_zalloc(sizeof *e);
    e->shown.user = user;
    e->shown.user_id = mem_strdup(user_id);
    map_put_int(&p->entries, user, e);
    /* Never written yet: last in the list. */
    e->newer = p->oldest;
    *(p->oldest ? &p->oldest->older : &p->newest) = e;
    p->oldest = e;
    return e;
}

/* ---- states of devices ---- */

static void remove_ended_locked(struct presence_entry *e, int64_t now)
{
    size_t kept = 0;
    for (size_t i = 0; i < e->states_n; i++)
        if (now < e->states[i].until)
            e->states[kept++] = e->states[i];
    e->states_n = kept;
}

/* NULL if the device has no state that is still valid. */
static struct device_presence *device_presence_locked(struct presence_entry *e, int64_t device,
                                                      int64_t now)
{
    for (size_t i = 0; i < e->states_n; i++)
        if (e->states[i].device == device && now < e->states[i].until)
            return &e->states[i];
    return NULL;
}

static struct device_presence *ends_first(struct presence_entry *e)
{
    struct device_presence *first = &e->states[0];
    for (size_t i = 1; i < e->states_n; i++)
        if (e->states[i].until < first->until)
            first = &e->states[i];
    return first;
}

static void say_locked(struct presence_entry *e, int64_t device, enum presence_state state,
                       int64_t now, int64_t keep_ms)
{
    struct device_presence *w = device_presence_locked(e, device, now);
    if (!w) {
        remove_ended_locked(e, now);
        if (e->states_n == STATES_MAX) {
            w = ends_first(e);
        } else {
            e->states = mem_realloc_array(e->states, e->states_n + 1, sizeof *e->states);
            w = &e->states[e->states_n++];
        }
        *w = (struct device_presence){.device = device};
    }
    /* A sync with the same state does not shorten a longer validity. */
    if (w->state != state || w->until < now + keep_ms)
        w->until = now + keep_ms;
    w->state = state;
    if (state == PRESENCE_ONLINE)
        e->last_active_ts = now_ms();
    e->dirty |= presence_state_now(e, now) != e->shown.state;
}

void presence_sync(struct job *job, const struct presence_who *who, enum presence_state state)
{
    struct presence_table *p = job->users->presence;
    int64_t now = mono_ms();
    LOCKED(&p->lock);
    struct presence_entry *e = entry_locked(p, who->user, who->user_id);
    const struct device_presence *said = device_presence_locked(e, who->device, now);
    if (state != PRESENCE_OFFLINE || !said || said->state == PRESENCE_OFFLINE)
        say_locked(e, who->device, state, now, KEEP_MS);
}

void presence_act(struct job *job, const struct presence_who *who)
{
    struct presence_table *p = job->users->presence;
    if (!p)
        return;
    int64_t now = mono_ms();
    LOCKED(&p->lock);
    struct presence_entry *e = entry_locked(p, who->user, who->user_id);
    const struct device_presence *said = device_presence_locked(e, who->device, now);
    if (!said || said->state != PRESENCE_OFFLINE)
        say_locked(e, who->device, PRESENCE_ONLINE, now, KEEP_MS);
}

/* ---- writing ---- */

static const struct err *list_joined(struct job *job, const struct presence_row *who, int64_t **ret,
                                     size_t *ret_n)
{
    size_t n = 0, k = 0;
    const struct member_row *members = NULL;
    const struct session_room *rooms = NULL;
    struct session *s;
    TRY(session_find(job, who->user, &s));
    if (s)
        session_rooms(job, s, &rooms, &n);
    else
        TRY(members_of_user(job_tx(job), who->user, &members, &n));
    int64_t *list = arena_alloc_array(job->arena, n + 1, sizeof *list);
    for (size_t i = 0; i < n; i++)
        if ((s ? rooms[i].membership : members[i].membership) == MEMBERSHIP_JOIN)
            list[k++] = s ? rooms[i].room : members[i].room;
    *ret = list;
    *ret_n = k;
    return NULL;
}

/* Finds the rooms in which the user's presence is sent: joined and not too large; sorted. */
static const struct err *presence_find_rooms(struct job *job, const struct presence_row *who,
                                             int64_t **ret, size_t *ret_n)
{
    int64_t *list;
    size_t joined_n, n = 0;
    TRY(list_joined(job, who, &list, &joined_n));
    for (size_t i = 0; i < joined_n; i++) {
        struct room *room;
        TRY(room_get_by_id(job, list[i], &room));
        if (room && room_joined_count(room) <= ROOM_MEMBERS_MAX)
            list[n++] = room->id;
    }
    qsort(list, n, sizeof *list, presence_by_number);
    *ret = list;
    *ret_n = n;
    return NULL;
}

/* A user whose presence is to be written, and the rooms; a copy, entirely in the arena. */
struct presence_change {
    struct presence_row row;
    int64_t *rooms;
    size_t rooms_n;
};

static void set_rooms(struct presence_table *p, const struct presence_change *c)
{
    LOCKED(&p->lock);
    struct presence_entry *e = map_get_int(&p->entries, c->row.user);
    free(e->rooms);
    e->rooms = mem_realloc_array(NULL, c->rooms_n, sizeof *e->rooms);
    memcpy(e->rooms, c->rooms, c->rooms_n * sizeof *e->rooms);
    e->rooms_n = c->rooms_n;
}

static void presence_add_change(struct job *job, struct write *w, const struct presence_change *c)
{
    int at = write_change(w, &(struct change){.kind = CHANGE_PRESENCE, .user = c->row.user});
    presence_write(w, &c->row, at);
}

/* Wakes each room once, however many of its members changed. */
static void wake_rooms(struct job *job, const struct presence_change *list, size_t n)
{
    size_t total = 0, k = 0;
    for (size_t i = 0; i < n; i++)
        total += list[i].rooms_n;
    int64_t *rooms = arena_alloc_array(job->arena, total + 1, sizeof *rooms);
    for (size_t i = 0; i < n; i++)
        for (size_t j = 0; j < list[i].rooms_n; j++)
            rooms[k++] = list[i].rooms[j];
    qsort(rooms, k, sizeof *rooms, presence_by_number);
    for (size_t i = 0; i < k; i++)
        if (i == 0 || rooms[i] != rooms[i - 1])
            session_wake_room(job->users->sessions, rooms[i]);
}

static const struct err *write_pending(struct job *job, struct presence_change *list, size_t n)
{
    struct write *w = write_begin(job);
    const struct err *e = NULL;
    for (size_t i = 0; i < n && !e; i++) {
        e = presence_find_rooms(job, &list[i].row, &list[i].rooms, &list[i].rooms_n);
        if (!e)
            presence_add_change(job, w, &list[i]);
    }
    if (e) {
        write_abandon(w);
        return e;
    }
    for (size_t i = 0; i < n; i++)
        set_rooms(job->users->presence, &list[i]);
    TRY(write_commit(job, w, NULL));
    wake_rooms(job, list, n);
    return NULL;
}

/* Copies the current state into the shown one. */
static void presence_take_locked(struct arena *a, struct presence_entry *e, int64_t now,
                                 struct presence_change *ret)
{
    e->dirty = false;
    e->shown.state = presence_state_now(e, now);
    e->shown.last_active_ts = e->last_active_ts;
    *ret = (struct presence_change){.row = e->shown};
    ret->row.status_msg = arena_strdup(a, e->shown.status_msg);
}

/* The status message cut to its limit between characters; NULL if empty. */
static char *status_copy(const char *status_msg)
{
    if (!status_msg || !*status_msg)
        return NULL;
    size_t n = strnlen(status_msg, STATUS_MSG_MAX);
    while (n && (status_msg[n] & 0xC0) == 0x80) /* inside a UTF-8 sequence */
        n--;
    return mem_check_(strndup(status_msg, n));
}

const struct err *presence_set(struct job *job, const struct presence_who *who,
                               enum presence_state state, const char *status_msg)
{
    struct presence_table *p = job->users->presence;
    struct presence_change change;
    int64_t now = mono_ms();
    {
        LOCKED(&p->lock);
        struct presence_entry *e = entry_locked(p, who->user, who->user_id);
        struct device_presence *before = device_presence_locked(e, 0, now);
        if (before)
            before->until = now;
        say_locked(e, who->device, state, now, IDLE_MS);
        e->last_active_ts = now_ms();
        free((char *)e->shown.status_msg);
        e->shown.status_msg = status_copy(status_msg);
        presence_take_locked(job->arena, e, now, &change);
    }
    return write_pending(job, &change, 1);
}

void presence_set_remote(struct job *job, int64_t user, const char *user_id,
                         enum presence_state state, const char *status_msg, int64_t last_active_ts)
{
    struct presence_table *p = job->users->presence;
    int64_t now = mono_ms();
    LOCKED(&p->lock);
    struct presence_entry *e = entry_locked(p, user, user_id);
    say_locked(e, 0, state, now, REMOTE_MS);
    if (last_active_ts)
        e->last_active_ts = last_active_ts;
    free((char *)e->shown.status_msg);
    e->shown.status_msg = status_copy(status_msg);
    e->dirty = true;
}

/* ---- writing ---- */

static size_t take_changed(struct presence_table *p, struct arena *a, struct presence_change *list)
{
    int64_t now = mono_ms();
    size_t n = 0;
    LOCKED(&p->lock);
    for (struct map_slot *s = NULL; n < FLUSH_MAX && (s = map_next(&p->entries, s));) {
        struct presence_entry *e = s->value;
        if (e->dirty || e->shown.state != presence_state_now(e, now))
            presence_take_locked(a, e, now, &list[n++]);
    }
    return n;
}

static void mark_dirty(struct presence_table *p, const struct presence_change *list, size_t n)
{
    LOCKED(&p->lock);
    for (size_t i = 0; i < n; i++) {
        struct presence_entry *e = map_get_int(&p->entries, list[i].row.user);
        e->dirty = true;
    }
}

/* Once a second; while there is more than one write takes, again at once. */
static enum worker_outcome presence_flush(void *of, void *thread, struct worker_item *item)
{
    struct presence_table *p = of;
    struct presence_change list[FLUSH_MAX];
    struct job *job = thread;
    size_t n = take_changed(p, job->arena, list);
    const struct err *e = n ? write_pending(job, list, n) : NULL;
    if (e) {
        log_err(LOG_WARN, "presence could not be written; it will be retried", e);
        mark_dirty(p, list, n);
    }
    item->wait_ms = n == FLUSH_MAX && !e ? 0 : TICK_MS;
    return WORKER_WAIT;
}

/* Users who were online when the server stopped keep their state for a while. */
const struct err *presence_start(struct presence_table *p, struct arena *a)
{
    if (!p)
        return NULL;
    const struct presence_row *rows;
    size_t n;
    struct job job;
    job_init(&job, p->node, a);
    const struct err *e = presence_list_present(job_tx(&job), &rows, &n);
    job_finish(&job);
    if (e)
        return e;
    int64_t now = mono_ms();
    {
        LOCKED(&p->lock);
        for (size_t i = 0; i < n; i++) {
            struct presence_entry *x = entry_locked(p, rows[i].user, rows[i].user_id);
            int64_t keep_ms = id_is_local(p->node, rows[i].user_id) ? KEEP_MS : REMOTE_MS;
            x->shown.state = rows[i].state;
            x->shown.status_msg = mem_strdup(rows[i].status_msg);
            say_locked(x, 0, rows[i].state, now, keep_ms);
            x->shown.last_active_ts = x->last_active_ts = rows[i].last_active_ts;
        }
    }
    worker_kind_start(p->writes);
    worker_add(p->writes, (struct worker_key){0});
    return NULL;
}

void presence_stop(struct presence_table *p)
{
    if (p)
        worker_kind_stop(p->writes);
}

/* ---- following the log ---- */

/* A user's presence is sent in other rooms after a join or leave. */
static void rooms_changed_locked(struct presence_table *p, const char *user_id)
{
    int64_t user = 0;
    if (intern_find(p->node->storage->intern, INTERN_USER, user_id, &user) || !user)
        return;
    struct presence_entry *e = map_get_int(&p->entries, user);
    if (e && e->shown.state != PRESENCE_OFFLINE)
        e->dirty = true;
}

void presence_on_changes(void *ctx, const struct change *changes, size_t n)
{
    struct presence_table *p = ctx;
    LOCKED(&p->lock);
    for (size_t i = 0; i < n; i++) {
        const struct change *c = &changes[i];
        const struct event *event = c->kind == CHANGE_EVENT ? c->event.event : NULL;
        if (event && event->state_key && strcmp(event->type, "m.room.member") == 0)
            rooms_changed_locked(p, event->state_key);
        struct presence_entry *e =
            c->kind == CHANGE_PRESENCE ? map_get_int(&p->entries, c->user) : NULL;
        if (!e)
            continue;
        e->shown.position = c->position;
        p->newest_position = c->position;
        presence_unlink_locked(p, e);
        presence_link_newest_locked(p, e);
    }
}

struct presence_table *presence_create(struct node *node)
{
    struct presence_table *p = mem_zalloc(sizeof *p);
    lock_init(&p->lock, RANK_PRESENCE);
    p->writes = worker_kind_create(
        node->storage->background,
        &(struct worker_settings){.name = "presence", .of = p, .run = presence_flush});
    p->node = node;
    return p;
}

void presence_destroy(struct presence_table *p)
{
    if (!p)
        return;
    worker_kind_destroy(p->writes);
    for (struct map_slot *s = NULL; (s = map_next(&p->entries, s));) {
        struct presence_entry *e = s->value;
        free((char *)e->shown.user_id);
        free((char *)e->shown.status_msg);
        free(e->rooms);
        free(e->states);
        free(e);
    }
    map_finish(&p->entries);
    lock_finish(&p->lock);
    free(p);
}
