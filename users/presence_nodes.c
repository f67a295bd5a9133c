/* Presence with several nodes: what others have written, and states that end on all of them. */
#include "users/presence_internal.h"
#include "users/users.h"

#include "base/clock.h"
#include "base/mem.h"
#include "storage/nodes/lease.h"

enum {
    RENEW_MS = PRESENCE_KEEP_MS / 2, /* rows of active users, while other nodes live */
    RENEW_MAX = 2048                 /* of them in one statement */
};

/* ---- states that end, while other nodes live ---- */

/* Those whose states have ended as far as this node knows. Not yet taken. */
static size_t list_ended(struct presence_table *p, struct arena *a, struct presence_change *list)
{
    int64_t now = mono_ms();
    size_t n = 0;
    LOCKED(&p->lock);
    for (struct map_slot *s = NULL; n < PRESENCE_WRITE_MAX && (s = map_next(&p->entries, s));) {
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
    presence_put_state_locked(e, 0, e->shown.state, mono_ms(), row->valid_until - now_ms(), false);
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
    struct presence_change list[PRESENCE_WRITE_MAX];
    int64_t fence = lease_fence(p->lease, 0);
    if (!fence && presence_has_others(p))
        return NULL;
    size_t n = list_ended(p, job->arena, list);
    if (!n)
        return NULL;
    TRY(drop_valid(job, list, &n));
    const struct err *e = n ? presence_write_pending(job, list, n, fence) : NULL;
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
        r->until[r->n] = presence_valid_until_locked(e, e->shown.state, now);
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
void presence_adopt_locked(struct presence_table *p, const struct presence_row *row)
{
    struct presence_entry *e = presence_entry_locked(p, row->user, row->user_id);
    presence_replace_locked(p, e, row);
    presence_put_state_locked(e, 0, row->state, mono_ms(), PRESENCE_KEEP_MS, false);
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
        presence_adopt_locked(p, &rows[i]);
    return NULL;
}

static size_t take_without_rooms(struct presence_table *p, struct presence_change *list)
{
    size_t n = 0;
    LOCKED(&p->lock);
    for (struct map_slot *s = NULL; n < PRESENCE_WRITE_MAX && (s = map_next(&p->entries, s));) {
        struct presence_entry *e = s->value;
        if (e->lacks_rooms)
            list[n++] = (struct presence_change){.row = e->shown};
        e->lacks_rooms = false;
    }
    return n;
}

static const struct err *find_missing_rooms(struct presence_table *p, struct job *job)
{
    struct presence_change list[PRESENCE_WRITE_MAX];
    size_t n = take_without_rooms(p, list);
    for (size_t i = 0; i < n; i++) {
        TRY(presence_find_rooms(job, &list[i].row, &list[i].rooms, &list[i].rooms_n));
        presence_set_rooms(p, &list[i]);
    }
    presence_wake_rooms(job, list, n);
    return NULL;
}

/* What is only to be done with several nodes. */
const struct err *presence_follow_nodes(struct presence_table *p, struct job *job)
{
    TRY(load_missed(p, job));
    TRY(find_missing_rooms(p, job));
    TRY(renew_states(p, job));
    return end_states(p, job);
}

/* ---- following the log ---- */

void presence_hear_locked(struct presence_table *p, const struct change *c)
{
    const struct change_presence *of = &c->presence;
    struct presence_entry *e = presence_entry_locked(p, c->user, of->user_id);
    int64_t now = mono_ms();
    const struct presence_row row = {.state = (enum presence_state)of->state,
                                     .status_msg = of->status_msg,
                                     .last_active_ts = of->last_active_ts,
                                     .position = c->position};
    if (of->is_ended)
        presence_remove_ended_locked(e, now);
    else
        presence_put_state_locked(
            e, of->device, (enum presence_state)of->device_state, now,
            of->until_ms > now_ms() ? of->until_ms - now_ms() : PRESENCE_KEEP_MS, false);
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
