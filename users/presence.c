#include "users/presence_internal.h"
#include "users/users.h"

#include "base/clock.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/worker/worker.h"
#include "matrix/id.h"
#include "rooms/room_cache.h"
#include "storage/db/intern.h"
#include "storage/nodes/lease.h"

enum {
    TICK_MS = 1000,
    KEEP_MS = 60 * 1000,        /* after a sync: the usual long poll and a margin */
    IDLE_MS = 5 * 60 * 1000,    /* after an explicit setting */
    REMOTE_MS = 30 * 60 * 1000, /* from another server, which may not update it */
    ROOM_MEMBERS_MAX = 500,     /* no presence is sent in larger rooms */
    FLUSH_MAX = 256,            /* users in one write */
    STATUS_MSG_MAX = 1024,      /* bytes */
    STATES_MAX = 32,            /* devices of a user; those that expire last are kept */
    RENEW_MS = KEEP_MS / 2,     /* rows of active users, while other nodes live */
    RENEW_MAX = 2048            /* of them in one statement */
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

/* keep_ms: how long it is valid; false: it was valid, and higher. */
static bool put_state_locked(struct presence_entry *e, int64_t device, enum presence_state state,
                             int64_t now, int64_t keep_ms, bool is_own)
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
    bool is_lower = w->until && w->state > state;
    /* A sync with the same state does not shorten a longer validity. */
    if (w->state != state || w->until < now + keep_ms)
        w->until = now + keep_ms;
    w->state = state;
    w->is_own = is_own;
    return !is_lower;
}

static void say_locked(struct presence_entry *e, int64_t device, enum presence_state state,
                       int64_t now, int64_t keep_ms)
{
    bool is_lower = !put_state_locked(e, device, state, now, keep_ms, true);
    enum presence_state highest = presence_state_now(e, now);
    if (state == PRESENCE_ONLINE)
        e->last_active_ts = now_ms();
    e->said = (struct device_presence){device, state, now + keep_ms, true};
    e->dirty |= highest > e->shown.state || (is_lower && highest < e->shown.state);
    e->lowers |= is_lower && highest < e->shown.state;
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
    struct device_presence said;
    bool is_ended; /* all that made the user more than this */
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
    int at = write_change(
        w, &(struct change){.kind = CHANGE_PRESENCE,
                            .user = c->row.user,
                            .presence = {c->row.user_id, c->row.status_msg, c->row.state,
                                         c->row.last_active_ts, c->row.valid_until, c->said.device,
                                         c->said.state, c->is_ended},
                            .local = {.audience = c->rooms, .audience_n = c->rooms_n}});
    presence_write(w, &c->row, at);
}

/* Wakes each room once. Sorts them. */
static void wake_each_room(struct presence_table *p, int64_t *rooms, size_t n)
{
    if (n)
        qsort(rooms, n, sizeof *rooms, presence_by_number);
    for (size_t i = 0; i < n; i++)
        if (i == 0 || rooms[i] != rooms[i - 1])
            session_wake_room(p->node->users->sessions, rooms[i]);
}

static void wake_rooms(struct job *job, const struct presence_change *list, size_t n)
{
    size_t total = 0, k = 0;
    for (size_t i = 0; i < n; i++)
        total += list[i].rooms_n;
    int64_t *rooms = arena_alloc_array(job->arena, total + 1, sizeof *rooms);
    for (size_t i = 0; i < n; i++)
        for (size_t j = 0; j < list[i].rooms_n; j++)
            rooms[k++] = list[i].rooms[j];
    wake_each_room(job->users->presence, rooms, k);
}

/* Under the lease: users whose states have ended, unless another node has seen them since. */
static void expect_ended(struct job *job, struct write *w, const struct presence_change *list,
                         size_t n, int64_t fence)
{
    struct presence_table *p = job->users->presence;
    int64_t *users = arena_alloc_array(job->arena, n + 1, sizeof *users);
    size_t ended_n = 0;
    for (size_t i = 0; i < n; i++)
        if (list[i].is_ended)
            users[ended_n++] = list[i].row.user;
    if (ended_n)
        presence_expect_ended(w, users, ended_n, now_ms());
    if (ended_n && fence)
        lease_check_write(w, p->lease, 0, fence);
}

static const struct err *write_pending(struct job *job, struct presence_change *list, size_t n,
                                       int64_t fence)
{
    struct write *w = write_begin(job);
    const struct err *e = NULL;
    expect_ended(job, w, list, n, fence);
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

/* now_ms() until which the state is valid. */
static int64_t valid_until_locked(const struct presence_entry *e, enum presence_state state,
                                  int64_t now)
{
    int64_t until = now;
    for (size_t i = 0; i < e->states_n; i++)
        if (e->states[i].state == state && e->states[i].until > until)
            until = e->states[i].until;
    return now_ms() + until - now;
}

/* What is to be written: while other nodes live, no less than is shown, unless a device says so. */
static void presence_take_locked(struct presence_table *p, struct arena *a,
                                 struct presence_entry *e, int64_t now, struct presence_change *ret)
{
    enum presence_state state =
        e->lowers ? presence_state_now(e, now) : presence_state_known(p, e, now);
    e->dirty = e->lowers = false;
    e->renewed_ms = now;
    e->shown.state = state;
    e->shown.last_active_ts = e->last_active_ts;
    *ret = (struct presence_change){.row = e->shown, .said = e->said};
    ret->row.valid_until = state == PRESENCE_OFFLINE ? 0 : valid_until_locked(e, state, now);
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
        e->lowers = true;
        presence_take_locked(p, job->arena, e, now, &change);
    }
    return write_pending(job, &change, 1, 0);
}

void presence_set_remote(struct job *job, int64_t user, const char *user_id,
                         enum presence_state state, const char *status_msg, int64_t last_active_ts)
{
    struct presence_table *p = job->users->presence;
    int64_t now = mono_ms();
    LOCKED(&p->lock);
    struct presence_entry *e = entry_locked(p, user, user_id);
    say_locked(e, 0, state, now, REMOTE_MS);
    e->lowers = true;
    if (last_active_ts)
        e->last_active_ts = last_active_ts;
    free((char *)e->shown.status_msg);
    e->shown.status_msg = status_copy(status_msg);
    e->dirty = true;
}

/* ---- writing ---- */

/* Another node may know of a device that this one does not. */
static bool presence_may_end_locked(const struct presence_table *p, const struct presence_entry *e)
{
    return !e->is_foreign && !presence_has_others(p);
}

static size_t take_changed(struct presence_table *p, struct arena *a, struct presence_change *list)
{
    int64_t now = mono_ms();
    size_t n = 0;
    LOCKED(&p->lock);
    for (struct map_slot *s = NULL; n < FLUSH_MAX && (s = map_next(&p->entries, s));) {
        struct presence_entry *e = s->value;
        bool is_higher = presence_state_own(e, now) > e->shown.state;
        bool is_ended =
            presence_may_end_locked(p, e) && e->shown.state != presence_state_now(e, now);
        if (e->dirty || is_higher || is_ended)
            presence_take_locked(p, a, e, now, &list[n++]);
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

/* ---- states that end, while other nodes live ---- */

/* Those whose states have ended as far as this node knows. Not yet taken. */
static size_t list_ended(struct presence_table *p, struct arena *a, struct presence_change *list)
{
    int64_t now = mono_ms();
    size_t n = 0;
    LOCKED(&p->lock);
    for (struct map_slot *s = NULL; n < FLUSH_MAX && (s = map_next(&p->entries, s));) {
        const struct presence_entry *e = s->value;
        if (e->dirty || presence_may_end_locked(p, e) ||
            presence_state_now(e, now) >= e->shown.state)
            continue;
        list[n] = (struct presence_change){.row = e->shown, .is_ended = true};
        list[n].row.state = presence_state_now(e, now);
        list[n].row.valid_until = 0;
        list[n].row.last_active_ts = e->last_active_ts;
        list[n++].row.status_msg = arena_strdup(a, e->shown.status_msg);
    }
    return n;
}

/* Another node has seen this user. */
static void keep_valid(struct presence_table *p, const struct presence_row *row)
{
    LOCKED(&p->lock);
    struct presence_entry *e = map_get_int(&p->entries, row->user);
    put_state_locked(e, 0, e->shown.state, mono_ms(), row->valid_until - now_ms(), false);
    if (row->last_active_ts > e->last_active_ts)
        e->last_active_ts = row->last_active_ts;
}

/* Drops those who were active on another node lately. */
static const struct err *drop_valid(struct job *job, struct presence_change *list, size_t *n)
{
    int64_t *users = arena_alloc_array(job->arena, *n + 1, sizeof *users);
    const struct presence_row *valid;
    size_t valid_n, kept = 0, v = 0;
    for (size_t i = 0; i < *n; i++)
        users[i] = list[i].row.user;
    TRY(presence_list_valid(job_tx(job), users, *n, now_ms(), &valid, &valid_n));
    for (size_t i = 0; i < valid_n; i++)
        keep_valid(job->users->presence, &valid[i]);
    for (size_t i = 0; i < *n; i++) {
        for (v = 0; v < valid_n && valid[v].user != list[i].row.user; v++)
            ;
        if (v == valid_n)
            list[kept++] = list[i];
    }
    *n = kept;
    return NULL;
}

/* The node with the lease ends them for all. */
static const struct err *end_states(struct presence_table *p, struct job *job)
{
    struct presence_change list[FLUSH_MAX];
    int64_t fence = lease_fence(p->lease, 0);
    if (!fence && presence_has_others(p))
        return NULL;
    size_t n = list_ended(p, job->arena, list);
    if (!n)
        return NULL;
    TRY(drop_valid(job, list, &n));
    const struct err *e = n ? write_pending(job, list, n, fence) : NULL;
    return e && e->code == ERR_CONFLICT ? NULL : e; /* one was seen just now: the next time */
}

struct renewals {
    int64_t users[RENEW_MAX], until[RENEW_MAX], active[RENEW_MAX];
    size_t n;
};

static void list_renewals(struct presence_table *p, struct renewals *r)
{
    int64_t now = mono_ms();
    LOCKED(&p->lock);
    for (struct map_slot *s = NULL; r->n < RENEW_MAX && (s = map_next(&p->entries, s));) {
        struct presence_entry *e = s->value;
        if (now - e->renewed_ms < RENEW_MS || e->shown.state == PRESENCE_OFFLINE ||
            presence_state_own(e, now) != e->shown.state)
            continue;
        e->renewed_ms = now;
        r->users[r->n] = e->shown.user;
        r->until[r->n] = valid_until_locked(e, e->shown.state, now);
        r->active[r->n++] = e->last_active_ts;
    }
}

/* So that no other node ends the states of those who are active here. */
static const struct err *renew_states(struct presence_table *p, struct job *job)
{
    if (!presence_has_others(p))
        return NULL;
    struct renewals *r = arena_alloc(job->arena, sizeof *r);
    r->n = 0;
    list_renewals(p, r);
    return r->n ? presence_renew(job_tx(job), r->users, r->until, r->active, r->n) : NULL;
}

/* ---- what is stored ---- */

static void presence_replace_locked(struct presence_table *p, struct presence_entry *e,
                                    const struct presence_row *row)
{
    e->is_foreign = true;
    e->shown.state = row->state;
    free((char *)e->shown.status_msg);
    e->shown.status_msg = mem_strdup(row->status_msg);
    if (row->last_active_ts > e->last_active_ts)
        e->last_active_ts = row->last_active_ts;
    e->shown.last_active_ts = row->last_active_ts;
    e->shown.position = row->position;
    if (row->position > p->newest_position)
        p->newest_position = row->position;
    presence_unlink_locked(p, e);
    presence_link_newest_locked(p, e);
}

/* Rows that other nodes wrote before this one heard of them. */
static void adopt_locked(struct presence_table *p, const struct presence_row *row)
{
    struct presence_entry *e = entry_locked(p, row->user, row->user_id);
    presence_replace_locked(p, e, row);
    put_state_locked(e, 0, row->state, mono_ms(), KEEP_MS, false);
    e->lacks_rooms = true;
}

static const struct err *load_missed(struct presence_table *p, struct job *job)
{
    const struct presence_row *rows;
    size_t n;
    if (!p->must_load)
        return NULL;
    TRY(presence_list_after(job_tx(job), p->newest_position, &rows, &n));
    LOCKED(&p->lock);
    p->must_load = false;
    for (size_t i = 0; i < n; i++)
        adopt_locked(p, &rows[i]);
    return NULL;
}

static size_t take_without_rooms(struct presence_table *p, struct presence_change *list)
{
    size_t n = 0;
    LOCKED(&p->lock);
    for (struct map_slot *s = NULL; n < FLUSH_MAX && (s = map_next(&p->entries, s));) {
        struct presence_entry *e = s->value;
        if (e->lacks_rooms)
            list[n++] = (struct presence_change){.row = e->shown};
        e->lacks_rooms = false;
    }
    return n;
}

static const struct err *find_missing_rooms(struct presence_table *p, struct job *job)
{
    struct presence_change list[FLUSH_MAX];
    size_t n = take_without_rooms(p, list);
    for (size_t i = 0; i < n; i++) {
        TRY(presence_find_rooms(job, &list[i].row, &list[i].rooms, &list[i].rooms_n));
        set_rooms(p, &list[i]);
    }
    wake_rooms(job, list, n);
    return NULL;
}

/* What is only to be done with several nodes. */
static const struct err *follow_nodes(struct presence_table *p, struct job *job)
{
    TRY(load_missed(p, job));
    TRY(find_missing_rooms(p, job));
    TRY(renew_states(p, job));
    return end_states(p, job);
}

/* Once a second; while there is more than one write takes, again at once. */
static enum worker_outcome presence_flush(void *of, void *thread, struct worker_item *item)
{
    struct presence_table *p = of;
    struct presence_change list[FLUSH_MAX];
    struct job *job = thread;
    size_t n = take_changed(p, job->arena, list);
    const struct err *e = n ? write_pending(job, list, n, 0) : NULL;
    if (e) {
        log_err(LOG_WARN, "presence could not be written; it will be retried", e);
        mark_dirty(p, list, n);
    }
    item->wait_ms = n == FLUSH_MAX && !e ? 0 : TICK_MS;
    e = follow_nodes(p, job);
    if (e && log_limited("presence of other nodes", LOG_FEW))
        log_err(LOG_WARN, "presence of other nodes; it will be retried", e);
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
        p->must_load = false;
        p->newest_position = feed_newest(p->node->storage->feed);
        for (size_t i = 0; i < n; i++) {
            if (presence_has_others(p)) {
                adopt_locked(p, &rows[i]);
                continue;
            }
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

static void presence_hear_locked(struct presence_table *p, const struct change *c)
{
    const struct change_presence *of = &c->presence;
    struct presence_entry *e = entry_locked(p, c->user, of->user_id);
    int64_t now = mono_ms();
    const struct presence_row row = {.state = (enum presence_state)of->state,
                                     .status_msg = of->status_msg,
                                     .last_active_ts = of->last_active_ts,
                                     .position = c->position};
    if (of->is_ended)
        remove_ended_locked(e, now);
    else
        put_state_locked(e, of->device, (enum presence_state)of->device_state, now,
                         of->until_ms > now_ms() ? of->until_ms - now_ms() : KEEP_MS, false);
    for (size_t i = e->states_n; i-- > 0;) /* what the writer did not know to be valid */
        if (!e->states[i].is_own && e->states[i].state > row.state)
            e->states[i] = e->states[--e->states_n];
    presence_replace_locked(p, e, &row);
    e->rooms = mem_realloc_array(e->rooms, c->local.audience_n + 1, sizeof *e->rooms);
    memcpy(e->rooms, c->local.audience, c->local.audience_n * sizeof *e->rooms);
    e->rooms_n = c->local.audience_n;
    for (size_t i = 0; i < e->rooms_n; i++) {
        if (p->woken_n == p->woken_cap) {
            p->woken_cap = p->woken_cap ? p->woken_cap * 2 : 64;
            p->woken = mem_realloc_array(p->woken, p->woken_cap, sizeof *p->woken);
        }
        p->woken[p->woken_n++] = e->rooms[i];
    }
}

static void presence_note_locked(struct presence_table *p, const struct change *c)
{
    struct presence_entry *e = map_get_int(&p->entries, c->user);
    if (c->local.is_foreign) {
        presence_hear_locked(p, c);
        return;
    }
    if (!e)
        return;
    e->is_foreign = false;
    if (c->presence.is_ended)
        e->shown.state = (enum presence_state)c->presence.state;
    e->shown.position = c->position;
    p->newest_position = c->position;
    presence_unlink_locked(p, e);
    presence_link_newest_locked(p, e);
}

void presence_on_changes(void *ctx, const struct change *changes, size_t n)
{
    struct presence_table *p = ctx;
    LOCKED(&p->lock);
    p->must_load |= !n;
    for (size_t i = 0; i < n; i++) {
        const struct change *c = &changes[i];
        const struct event *event = c->kind == CHANGE_EVENT ? c->event.event : NULL;
        /* The node that wrote the event writes the presence. */
        if (event && !c->local.is_foreign && event->state_key &&
            strcmp(event->type, "m.room.member") == 0)
            rooms_changed_locked(p, event->state_key);
        if (c->kind == CHANGE_PRESENCE)
            presence_note_locked(p, c);
    }
}

void presence_on_settled(void *ctx)
{
    struct presence_table *p = ctx;
    if (!p->woken_n)
        return;
    lock_take(&p->lock);
    int64_t *rooms = p->woken;
    size_t n = p->woken_n;
    p->woken = NULL;
    p->woken_n = p->woken_cap = 0;
    lock_release(&p->lock);
    wake_each_room(p, rooms, n);
    free(rooms);
}

struct presence_table *presence_create(struct node *node)
{
    struct presence_table *p = mem_zalloc(sizeof *p);
    lock_init(&p->lock, RANK_PRESENCE);
    p->writes = worker_kind_create(
        node->storage->background,
        &(struct worker_settings){.name = "presence", .of = p, .run = presence_flush});
    p->node = node;
    p->lease = leases_add(node->storage->leases, &(struct lease_job_settings){.name = "presence"});
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
    free(p->woken);
    lock_finish(&p->lock);
    free(p);
}
