#include "rooms/room_internal.h"

#include "base/mem.h"
#include "rooms/ahead.h"
#include "rooms/names.h"
#include "rooms/room_cache.h"
#include "rooms/rooms.h"
#include "storage/db/intern.h"
#include "storage/rooms/events.h"
#include "storage/rooms/partial_rooms.h"
#include "storage/rooms/room_state.h"
#include "storage/rooms/rooms.h"

#include <stdatomic.h>

enum {
    BYTES_A_ROOM = 4 * 1024, /* what is not counted one by one */
    BYTES_A_MEMBER = sizeof(struct room_member) + 2 * sizeof(struct map_slot),
    BYTES_A_NAME = 256 /* in the index of names */
};

/* ---- one room ---- */

struct room *room_create_unlisted(int64_t id, const char *room_id, const struct room_version *v)
{
    struct room *r = mem_zalloc(sizeof *r);
    lock_init(&r->lock, RANK_ROOM);
    cond_init(&r->changed);
    r->id = id;
    r->room_id = mem_strdup(room_id);
    r->version = v;
    r->bytes = BYTES_A_ROOM;
    return r;
}

static void free_slot(struct room_state_slot *slot)
{
    event_unref(slot->event);
    free(slot);
}

void room_destroy_unlisted(struct room *r)
{
    for (struct map_slot *s = NULL; (s = map_next(&r->state, s));)
        free_slot(s->value);
    for (struct map_slot *s = NULL; (s = map_next(&r->members, s));)
        free(s->value);
    map_finish(&r->state);
    map_finish(&r->members);
    map_finish(&r->annotations);
    ahead_finish(r);
    room_servers_finish(r);
    for (size_t i = 0; i < r->extremities_n; i++)
        free((char *)r->extremities[i]);
    free(r->extremities);
    free(r->own_rules);
    name_index_destroy(r->names);
    pthread_cond_destroy(&r->changed);
    lock_finish(&r->lock);
    free((char *)r->room_id);
    free(r);
}

void room_rename_unlisted(struct room *r, const char *room_id)
{
    free((char *)r->room_id);
    r->room_id = mem_strdup(room_id);
}

struct str room_state_key(const char *type, const char *state_key,
                          char ret[static ROOM_STATE_KEY_MAX])
{
    size_t t = strlen(type), k = strlen(state_key);
    if (t + 1 + k > ROOM_STATE_KEY_MAX)
        return (struct str){0};
    memcpy(ret, type, t + 1);
    memcpy(ret + t + 1, state_key, k);
    return (struct str){ret, t + 1 + k};
}

/* Also NULL for keys longer than any event may have. */
struct room_state_slot *room_state_slot_locked(struct room *r, const char *type,
                                               const char *state_key)
{
    char buffer[ROOM_STATE_KEY_MAX];
    struct str key = room_state_key(type, state_key, buffer);
    return key.p ? map_get(&r->state, key) : NULL;
}

static void room_count_bytes_locked(struct room *r)
{
    size_t a_member = BYTES_A_MEMBER + (r->names ? BYTES_A_NAME : 0);
    atomic_store_explicit(&r->bytes, BYTES_A_ROOM + r->state_bytes + r->members.n * a_member,
                          memory_order_relaxed);
}

static size_t room_slot_bytes(const struct room_state_slot *slot)
{
    return sizeof *slot + event_bytes(slot->event) + 2 * sizeof(struct map_slot);
}

static void room_drop_slot_locked(struct room *r, struct room_state_slot *slot)
{
    r->state_bytes -= room_slot_bytes(slot);
    free_slot(slot);
}

void room_put_state_locked(struct room *r, const struct event *e, int64_t position)
{
    size_t t = strlen(e->type), k = strlen(e->state_key), n = t + 1 + k;
    struct room_state_slot *slot = mem_alloc(sizeof *slot + n + 1);
    memcpy(slot->key, e->type, t + 1);
    memcpy(slot->key + t + 1, e->state_key, k + 1);
    slot->event = event_ref(e);
    slot->position = position;
    struct room_state_slot *before = map_get(&r->state, (struct str){slot->key, n});
    if (before && before->position > position) {
        free_slot(slot);
        return;
    }
    map_put(&r->state, (struct str){slot->key, n}, slot);
    r->state_bytes += room_slot_bytes(slot);
    if (before)
        room_drop_slot_locked(r, before);
    else
        r->state_but_members_n += strcmp(e->type, "m.room.member") != 0;
    room_count_bytes_locked(r);
    if (position > r->state_position)
        r->state_position = position;
}

void room_end_state_locked(struct room *r, const struct event *e, int64_t position)
{
    struct room_state_slot *slot = room_state_slot_locked(r, e->type, e->state_key);
    if (slot && slot->position <= position) {
        map_remove(&r->state, (struct str){slot->key, strlen(e->type) + 1 + strlen(e->state_key)});
        room_drop_slot_locked(r, slot);
        room_count_bytes_locked(r);
        r->state_but_members_n -= strcmp(e->type, "m.room.member") != 0;
    }
    if (position > r->state_position)
        r->state_position = position;
}

static int64_t *counter_of(struct room *r, enum membership m)
{
    return m == MEMBERSHIP_JOIN ? &r->joined_n : m == MEMBERSHIP_INVITE ? &r->invited_n : NULL;
}

static void count_member(struct room *r, const struct room_member *m, int by)
{
    int64_t *counter = counter_of(r, m->membership);
    if (counter)
        *counter += by;
    if (m->membership == MEMBERSHIP_JOIN && m->is_local)
        r->joined_local_n += by;
    if (m->membership == MEMBERSHIP_JOIN)
        room_servers_count_locked(r, m->user_id, by);
}

static void remove_own_rules(struct room *r, int64_t user)
{
    for (size_t i = 0; i < r->own_rules_n; i++)
        if (r->own_rules[i] == user) {
            r->own_rules[i] = r->own_rules[--r->own_rules_n];
            return;
        }
}

static void add_own_rules(struct room *r, int64_t user)
{
    remove_own_rules(r, user);
    if (r->own_rules_n == r->own_rules_cap) {
        r->own_rules_cap = r->own_rules_cap ? r->own_rules_cap * 2 : 4;
        r->own_rules = mem_realloc_array(r->own_rules, r->own_rules_cap, sizeof *r->own_rules);
    }
    r->own_rules[r->own_rules_n++] = user;
}

void room_set_own_rules_locked(struct room *r, int64_t user, bool has)
{
    struct room_member *m = map_get_int(&r->members, user);
    if (!m)
        return;
    m->has_own_rules = has;
    if (has && m->is_local && m->membership == MEMBERSHIP_JOIN)
        add_own_rules(r, user);
    else
        remove_own_rules(r, user);
}

void room_put_member_locked(struct room *r, const struct room_member *member)
{
    struct room_member *m = map_get_int(&r->members, member->user);
    if (m && m->position > member->position)
        return;
    if (!m) {
        m = mem_zalloc(sizeof *m);
        map_put_int(&r->members, member->user, m);
        room_count_bytes_locked(r);
    } else {
        count_member(r, m, -1);
    }
    *m = *member;
    count_member(r, m, 1);
    room_set_own_rules_locked(r, m->user, m->has_own_rules);
}

/* ---- loading ---- */

static const struct err *rooms_room_load_members(struct job *job, struct room *r)
{
    const struct member_row *rows;
    size_t n;
    TRY(members_of_room(job_tx(job), r->id, &rows, &n));
    int64_t *ids = arena_alloc_array(job->arena, n, sizeof *ids);
    const char **names = arena_alloc_array(job->arena, n, sizeof *names);
    for (size_t i = 0; i < n; i++)
        ids[i] = rows[i].user;
    TRY(intern_names(job->storage->intern, INTERN_USER, ids, n, names));
    for (size_t i = 0; i < n; i++)
        room_put_member_locked(r, &(struct room_member){.user = rows[i].user,
                                                        .user_id = names[i],
                                                        .position = rows[i].since,
                                                        .event = rows[i].event,
                                                        .membership = rows[i].membership,
                                                        .is_local = rows[i].is_local,
                                                        .has_own_rules = rows[i].has_own_rules});
    return NULL;
}

static const struct err *load_state(struct job *job, struct room *r)
{
    const struct stored_event *state;
    size_t n;
    TRY(room_state_list(job_tx(job), r->id, VALID_FOREVER - 1, STATE_WITHOUT_MEMBERS, &state, &n));
    for (size_t i = 0; i < n; i++)
        room_put_state_locked(r, state[i].event, state[i].since);
    return room_state_newest(job_tx(job), r->id, &r->state_position); /* members too */
}

/* While the state is partial, the servers in the room are those that the resident server listed. */
static const struct err *load_partial(struct job *job, struct room *r)
{
    const struct partial_room *p;
    TRY(partial_room_get(job_tx(job), r->id, &p));
    r->is_partial = p != NULL;
    for (size_t i = 0; p && i < p->servers_n; i++)
        room_servers_add_named_locked(r, p->servers[i]);
    return NULL;
}

static void load_head(struct job *job, struct room *r, const struct room_head *h)
{
    r->head_version = h->version;
    r->depth = h->depth;
    r->notify_total = h->notify_total;
    r->highlight_total = h->highlight_total;
    r->joined_at = h->joined_at;
    r->is_noted = h->is_noted;
    r->gap = h->gap;
    r->extremities = mem_zalloc((h->extremities_n + 1) * sizeof *r->extremities);
    for (size_t i = 0; i < h->extremities_n; i++)
        r->extremities[r->extremities_n++] =
            mem_strdup(event_id_from_bytes(job->arena, h->room_version, h->extremities[i]));
}

void room_set_head_locked(struct room *r, const struct change_head *h)
{
    const char **copy = mem_zalloc((h->extremities_n + 1) * sizeof *copy);
    for (size_t i = 0; i < h->extremities_n; i++)
        copy[i] = mem_strdup(h->extremities[i]);
    for (size_t i = 0; i < r->extremities_n; i++)
        free((char *)r->extremities[i]);
    free(r->extremities);
    r->extremities = copy;
    r->extremities_n = h->extremities_n;
    r->head_version = h->version;
    r->depth = h->depth;
    r->notify_total = h->notify_total;
    r->highlight_total = h->highlight_total;
}

/* NULL if the room does not exist. */
const struct err *room_load(struct job *job, int64_t id, struct room **ret)
{
    const struct room_head *h;
    TRY(rooms_get(job_tx(job), id, &h));
    if (!h) {
        *ret = NULL;
        return NULL;
    }
    struct room *r = room_create_unlisted(id, h->room_id, h->room_version);
    r->rules_seen = room_cache_rules_position(job->rooms->cache);
    load_head(job, r, h);
    const struct err *e = rooms_room_load_members(job, r);
    if (!e)
        e = load_state(job, r);
    if (!e)
        e = load_partial(job, r);
    if (e) {
        room_destroy_unlisted(r);
        return e;
    }
    *ret = r;
    return NULL;
}

const struct err *room_load_state_locked(struct job *job, struct room *r, const char *type,
                                         const char *state_key, const struct event **ret)
{
    struct room_state_slot *slot = room_state_slot_locked(r, type, state_key);
    *ret = NULL;
    if (slot) {
        *ret = slot->event;
        return NULL;
    }
    if (strcmp(type, "m.room.member") != 0)
        return NULL; /* all other state is in memory */
    int64_t user;
    TRY(intern_find(job->storage->intern, INTERN_USER, state_key, &user));
    struct room_member *m = user ? map_get_int(&r->members, user) : NULL;
    if (!m || m->membership == MEMBERSHIP_NONE)
        return NULL;
    const struct stored_event *stored;
    TRY(events_get(job_tx(job), m->event, &stored));
    if (!stored) /* it was off the timeline, and was moved into it since */
        TRY(room_state_get(job_tx(job), r->id, TYPE_MEMBER, state_key, VALID_FOREVER - 1, &stored));
    if (!stored)
        return err_internal("member event %lld is missing", (long long)m->event);
    m->event = stored->position;
    room_put_state_locked(r, stored->event, m->position);
    *ret = stored->event;
    return NULL;
}

/* Lists those of them whose member event is not in memory. */
static const struct err *list_unread(struct job *job, struct room *r, const char *const *user_ids,
                                     size_t n, const char **ret, size_t *ret_n)
{
    LOCKED(&r->lock);
    *ret_n = 0;
    for (size_t i = 0; i < n; i++) {
        int64_t user;
        if (room_state_slot_locked(r, "m.room.member", user_ids[i]))
            continue;
        TRY(intern_find(job->storage->intern, INTERN_USER, user_ids[i], &user));
        const struct room_member *m = user ? map_get_int(&r->members, user) : NULL;
        if (m && m->membership != MEMBERSHIP_NONE)
            ret[(*ret_n)++] = user_ids[i];
    }
    return NULL;
}

const struct err *room_load_members(struct job *job, struct room *r, const char *const *user_ids,
                                    size_t n)
{
    const char **unread = arena_alloc_array(job->arena, n + 1, sizeof *unread);
    const struct stored_event *found;
    size_t unread_n, found_n;
    TRY(list_unread(job, r, user_ids, n, unread, &unread_n));
    if (!unread_n)
        return NULL;
    TRY(room_state_members(job_tx(job), r->id, VALID_FOREVER - 1, unread, unread_n, &found,
                           &found_n));
    LOCKED(&r->lock);
    for (size_t i = 0; i < found_n; i++) {
        int64_t user;
        TRY(intern_find(job->storage->intern, INTERN_USER, found[i].event->state_key, &user));
        struct room_member *m = user ? map_get_int(&r->members, user) : NULL;
        if (!m || m->position != found[i].since)
            continue; /* replaced meanwhile */
        m->event = found[i].position;
        room_put_state_locked(r, found[i].event, m->position);
    }
    return NULL;
}

void room_note_off_timeline(struct room *r)
{
    atomic_fetch_add(&r->off_timeline_version, 1);
}

/* ---- reading ---- */

static const struct event *room_keep(struct job *job, const struct event *e)
{
    return e ? event_keep(job->arena, event_ref(e)) : NULL;
}

const struct err *room_state_at_head(struct job *job, struct room *r, const char *type,
                                     const char *state_key, const struct event **ret,
                                     int64_t *ret_position)
{
    LOCKED(&r->lock);
    const struct event *e;
    TRY(room_load_state_locked(job, r, type, state_key, &e));
    struct room_state_slot *slot = e ? room_state_slot_locked(r, type, state_key) : NULL;
    *ret = room_keep(job, e);
    *ret_position = slot ? slot->position : 0;
    return NULL;
}

const struct err *room_state(struct job *job, struct room *r, const char *type,
                             const char *state_key, const struct event **ret)
{
    int64_t position;
    return room_state_at_head(job, r, type, state_key, ret, &position);
}

void room_state_without_members(struct job *job, struct room *r, const struct event *const **ret,
                                size_t *ret_n)
{
    LOCKED(&r->lock);
    const struct event **list = arena_alloc_array(job->arena, r->state.n + 1, sizeof *list);
    size_t n = 0;
    for (struct map_slot *s = NULL; (s = map_next(&r->state, s));) {
        const struct room_state_slot *slot = s->value;
        if (strcmp(slot->event->type, "m.room.member") != 0)
            list[n++] = room_keep(job, slot->event);
    }
    *ret = list;
    *ret_n = n;
}

bool room_state_is_older(struct room *r, int64_t position)
{
    LOCKED(&r->lock);
    return r->state_position <= position;
}

struct room_member room_member(struct room *r, int64_t user)
{
    LOCKED(&r->lock);
    const struct room_member *m = map_get_int(&r->members, user);
    return m ? *m : (struct room_member){.user = user};
}

enum membership room_membership(struct room *r, int64_t user)
{
    return room_member(r, user).membership;
}

bool room_is_shared(struct room *r)
{
    LOCKED(&r->lock);
    return r->joined_at || r->servers.n > 1;
}

int64_t room_join_position(struct room *r)
{
    LOCKED(&r->lock);
    return r->joined_at;
}

int64_t room_gap(struct room *r)
{
    LOCKED(&r->lock);
    return r->gap;
}

void room_gap_closed(struct room *r, int64_t was, int64_t now)
{
    LOCKED(&r->lock);
    if (r->gap == was)
        r->gap = now;
}

int64_t room_joined_count(struct room *r)
{
    LOCKED(&r->lock);
    return r->joined_n;
}

int64_t room_invited_count(struct room *r)
{
    LOCKED(&r->lock);
    return r->invited_n;
}

void room_list_members(struct job *job, struct room *r, enum membership membership, bool local_only,
                       const struct room_member **ret, size_t *ret_n)
{
    LOCKED(&r->lock);
    struct room_member *list = arena_alloc_array(job->arena, r->members.n + 1, sizeof *list);
    size_t n = 0;
    for (struct map_slot *s = NULL; (s = map_next(&r->members, s));) {
        const struct room_member *m = s->value;
        if (m->membership == membership && (m->is_local || !local_only))
            list[n++] = *m;
    }
    *ret = list;
    *ret_n = n;
}

const struct err *room_state_text(struct job *job, struct room *r, const char *type,
                                  const char *key, const char **ret)
{
    const struct event *e;
    TRY(room_state(job, r, type, "", &e));
    *ret = e ? json_text(event_content(e), key) : NULL;
    return NULL;
}

const struct err *room_need_joined(struct room *r, int64_t user)
{
    if (room_membership(r, user) == MEMBERSHIP_JOIN)
        return NULL;
    return err(ERR_FORBIDDEN, "You are not in this room");
}

/* ---- power levels ---- */

/* What power checks need: create, power levels, join rules and one member. */
struct auth_view {
    const struct event *create, *power_levels, *join_rules, *member;
    const char *user_id;
};

static const struct event *room_view_get(const struct auth_state *s, const char *type,
                                         const char *state_key)
{
    const struct auth_view *v = s->ctx;
    if (strcmp(type, "m.room.member") == 0)
        return strcmp(state_key, v->user_id) == 0 ? v->member : NULL;
    if (*state_key)
        return NULL;
    return strcmp(type, "m.room.create") == 0         ? v->create
           : strcmp(type, "m.room.power_levels") == 0 ? v->power_levels
           : strcmp(type, "m.room.join_rules") == 0   ? v->join_rules
                                                      : NULL;
}

const struct err *room_auth_state(struct job *job, struct room *r, const char *user_id,
                                  struct auth_state *ret)
{
    struct auth_view *v = arena_alloc(job->arena, sizeof *v);
    v->user_id = arena_strdup(job->arena, user_id);
    TRY(room_state(job, r, "m.room.create", "", &v->create));
    TRY(room_state(job, r, "m.room.power_levels", "", &v->power_levels));
    TRY(room_state(job, r, "m.room.join_rules", "", &v->join_rules));
    TRY(room_state(job, r, "m.room.member", user_id, &v->member));
    *ret = (struct auth_state){.get = room_view_get, .ctx = v};
    return NULL;
}
