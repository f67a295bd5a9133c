/* The table of presence: users, the states of their devices, and how they are written. */
#include "users/presence_internal.h"
#include "users/users.h"

#include "base/clock.h"
#include "base/mem.h"
#include "rooms/room_cache.h"
#include "storage/db/intern.h"
#include "storage/nodes/lease.h"

enum {
    ROOM_MEMBERS_MAX = 500, /* no presence is sent in larger rooms */
    STATES_MAX = 32         /* devices of a user; those that expire last are kept */
};

/* ---- entries ---- */

void presence_unlink_locked(struct presence_table *p, struct presence_entry *e)
{
    *(e->newer ? &e->newer->older : &p->newest) = e->older;
    *(e->older ? &e->older->newer : &p->oldest) = e->newer;
}

void presence_link_newest_locked(struct presence_table *p, struct presence_entry *e)
{
    e->newer = NULL;
    e->older = p->newest;
    *(p->newest ? &p->newest->newer : &p->oldest) = e;
    p->newest = e;
}

struct presence_entry *presence_entry_locked(struct presence_table *p, int64_t user,
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

void presence_remove_ended_locked(struct presence_entry *e, int64_t now)
{
    size_t kept = 0;
    for (size_t i = 0; i < e->states_n; i++)
        if (now < e->states[i].until)
            e->states[kept++] = e->states[i];
    e->states_n = kept;
}

/* NULL if the device has no state that is still valid. */
struct device_presence *presence_of_device_locked(struct presence_entry *e, int64_t device,
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
bool presence_put_state_locked(struct presence_entry *e, int64_t device, enum presence_state state,
                               int64_t now, int64_t keep_ms, bool is_own)
{
    struct device_presence *w = presence_of_device_locked(e, device, now);
    if (!w) {
        presence_remove_ended_locked(e, now);
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

void presence_say_locked(struct presence_entry *e, int64_t device, enum presence_state state,
                         int64_t now, int64_t keep_ms)
{
    bool is_lower = !presence_put_state_locked(e, device, state, now, keep_ms, true);
    enum presence_state highest = presence_state_now(e, now);
    if (state == PRESENCE_ONLINE)
        e->last_active_ts = now_ms();
    e->said = (struct device_presence){device, state, now + keep_ms, true};
    e->dirty |= highest > e->shown.state || (is_lower && highest < e->shown.state);
    e->lowers |= is_lower && highest < e->shown.state;
}

/* Another node may know of a device that this one does not. */
bool presence_may_end_locked(const struct presence_table *p, const struct presence_entry *e)
{
    return !e->is_foreign && !presence_has_others(p);
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
const struct err *presence_find_rooms(struct job *job, const struct presence_row *who,
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

void presence_set_rooms(struct presence_table *p, const struct presence_change *c)
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
void presence_wake_each_room(struct presence_table *p, int64_t *rooms, size_t n)
{
    if (n)
        qsort(rooms, n, sizeof *rooms, presence_by_number);
    for (size_t i = 0; i < n; i++)
        if (i == 0 || rooms[i] != rooms[i - 1])
            session_wake_room(p->node->users->sessions, rooms[i]);
}

void presence_wake_rooms(struct job *job, const struct presence_change *list, size_t n)
{
    size_t total = 0, k = 0;
    for (size_t i = 0; i < n; i++)
        total += list[i].rooms_n;
    int64_t *rooms = arena_alloc_array(job->arena, total + 1, sizeof *rooms);
    for (size_t i = 0; i < n; i++)
        for (size_t j = 0; j < list[i].rooms_n; j++)
            rooms[k++] = list[i].rooms[j];
    presence_wake_each_room(job->users->presence, rooms, k);
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

const struct err *presence_write_pending(struct job *job, struct presence_change *list, size_t n,
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
        presence_set_rooms(job->users->presence, &list[i]);
    TRY(write_commit(job, w, NULL));
    presence_wake_rooms(job, list, n);
    return NULL;
}

/* now_ms() until which the state is valid. */
int64_t presence_valid_until_locked(const struct presence_entry *e, enum presence_state state,
                                    int64_t now)
{
    int64_t until = now;
    for (size_t i = 0; i < e->states_n; i++)
        if (e->states[i].state == state && e->states[i].until > until)
            until = e->states[i].until;
    return now_ms() + until - now;
}

void presence_take_locked(struct presence_table *p, struct arena *a, struct presence_entry *e,
                          int64_t now, struct presence_change *ret)
{
    enum presence_state state = presence_state_known(p, e, now);
    e->dirty = e->lowers = false;
    e->renewed_ms = now;
    e->shown.state = state;
    e->shown.last_active_ts = e->last_active_ts;
    *ret = (struct presence_change){.row = e->shown, .said = e->said};
    ret->row.valid_until =
        state == PRESENCE_OFFLINE ? 0 : presence_valid_until_locked(e, state, now);
    ret->row.status_msg = arena_strdup(a, e->shown.status_msg);
}
