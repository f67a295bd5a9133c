#include "users/presence_internal.h"
#include "users/users.h"

#include "base/clock.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/worker/worker.h"
#include "matrix/id.h"
#include "storage/db/intern.h"
#include "storage/nodes/lease.h"

enum {
    TICK_MS = 1000,
    IDLE_MS = 5 * 60 * 1000,    /* after an explicit setting */
    REMOTE_MS = 30 * 60 * 1000, /* from another server, which may not update it */
    STATUS_MSG_MAX = 1024       /* bytes */
};

void presence_sync(struct job *job, const struct presence_who *who, enum presence_state state)
{
    struct presence_table *p = job->users->presence;
    int64_t now = mono_ms();
    LOCKED(&p->lock);
    struct presence_entry *e = presence_entry_locked(p, who->user, who->user_id);
    const struct device_presence *said = presence_of_device_locked(e, who->device, now);
    if (state != PRESENCE_OFFLINE || !said || said->state == PRESENCE_OFFLINE)
        presence_say_locked(e, who->device, state, now, PRESENCE_KEEP_MS);
}

void presence_act(struct job *job, const struct presence_who *who)
{
    struct presence_table *p = job->users->presence;
    if (!p)
        return;
    int64_t now = mono_ms();
    LOCKED(&p->lock);
    struct presence_entry *e = presence_entry_locked(p, who->user, who->user_id);
    const struct device_presence *said = presence_of_device_locked(e, who->device, now);
    if (!said || said->state != PRESENCE_OFFLINE)
        presence_say_locked(e, who->device, PRESENCE_ONLINE, now, PRESENCE_KEEP_MS);
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
        struct presence_entry *e = presence_entry_locked(p, who->user, who->user_id);
        struct device_presence *before = presence_of_device_locked(e, 0, now);
        if (before)
            before->until = now;
        presence_say_locked(e, who->device, state, now, IDLE_MS);
        e->last_active_ts = now_ms();
        free((char *)e->shown.status_msg);
        e->shown.status_msg = status_copy(status_msg);
        e->lowers = true;
        presence_take_locked(p, job->arena, e, now, &change);
    }
    return presence_write_pending(job, &change, 1, 0);
}

void presence_set_remote(struct job *job, int64_t user, const char *user_id,
                         enum presence_state state, const char *status_msg, int64_t last_active_ts)
{
    struct presence_table *p = job->users->presence;
    int64_t now = mono_ms();
    LOCKED(&p->lock);
    struct presence_entry *e = presence_entry_locked(p, user, user_id);
    presence_say_locked(e, 0, state, now, REMOTE_MS);
    e->lowers = true;
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
    for (struct map_slot *s = NULL; n < PRESENCE_WRITE_MAX && (s = map_next(&p->entries, s));) {
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

/* Once a second; while there is more than one write takes, again at once. */
static enum worker_outcome presence_flush(void *of, void *thread, struct worker_item *item)
{
    struct presence_table *p = of;
    struct presence_change list[PRESENCE_WRITE_MAX];
    struct job *job = thread;
    size_t n = take_changed(p, job->arena, list);
    const struct err *e = n ? presence_write_pending(job, list, n, 0) : NULL;
    if (e) {
        log_err(LOG_WARN, "presence could not be written; it will be retried", e);
        mark_dirty(p, list, n);
    }
    item->wait_ms = n == PRESENCE_WRITE_MAX && !e ? 0 : TICK_MS;
    e = presence_follow_nodes(p, job);
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
                presence_adopt_locked(p, &rows[i]);
                continue;
            }
            struct presence_entry *x = presence_entry_locked(p, rows[i].user, rows[i].user_id);
            int64_t keep_ms = id_is_local(p->node, rows[i].user_id) ? PRESENCE_KEEP_MS : REMOTE_MS;
            x->shown.state = rows[i].state;
            x->shown.status_msg = mem_strdup(rows[i].status_msg);
            presence_say_locked(x, 0, rows[i].state, now, keep_ms);
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
    presence_wake_each_room(p, rooms, n);
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
