#include "rooms/read/erasure.h"
#include "rooms/rooms.h"

#include "base/lock.h"
#include "base/map.h"
#include "base/mem.h"
#include "rooms/room.h"
#include "rooms/room_cache.h"
#include "storage/db/feed.h"
#include "storage/users/erasures.h"

#include <stdatomic.h>

/* ---- erased users ---- */

struct entry {
    int64_t position;
    char user_id[];
};

/* Users are never removed: an erasure cannot be undone. */
struct erasures {
    struct lock lock;
    struct map users; /* user id -> struct entry */
    uint64_t resets;
    _Atomic bool is_loaded, has_any;
};

static void erasure_add_locked(struct erasures *x, const char *user_id, int64_t position)
{
    if (map_get(&x->users, str_of(user_id)))
        return;
    size_t n = strlen(user_id) + 1;
    struct entry *e = mem_zalloc(sizeof *e + n);
    e->position = position;
    memcpy(e->user_id, user_id, n);
    map_put(&x->users, str_of(e->user_id), e);
    atomic_store(&x->has_any, true);
}

void erasures_on_changes(void *ctx, const struct change *changes, size_t n)
{
    struct erasures *x = ctx;
    if (n == 0) {
        LOCKED(&x->lock);
        x->resets++;
        atomic_store(&x->is_loaded, false);
    }
    for (size_t i = 0; i < n; i++)
        if (changes[i].kind == CHANGE_ACCOUNT && changes[i].account.is_erasure) {
            LOCKED(&x->lock);
            erasure_add_locked(x, changes[i].account.user_id, changes[i].position);
        }
}

struct erasures *erasures_create(struct node *node)
{
    struct erasures *x = mem_zalloc(sizeof *x);
    lock_init(&x->lock, RANK_CACHE);
    return x;
}

void erasures_destroy(struct erasures *x)
{
    if (!x)
        return;
    for (struct map_slot *s = NULL; (s = map_next(&x->users, s));)
        free(s->value);
    map_finish(&x->users);
    lock_finish(&x->lock);
    free(x);
}

static uint64_t resets_of(struct erasures *x)
{
    LOCKED(&x->lock);
    return x->resets;
}

static const struct err *erasure_load(struct job *job, struct erasures *x)
{
    const struct erasure_row *rows;
    size_t n;
    uint64_t resets = resets_of(x);
    TRY(erasures_list(job_tx(job), &rows, &n));
    LOCKED(&x->lock);
    for (size_t i = 0; i < n; i++)
        erasure_add_locked(x, rows[i].user_id, rows[i].position);
    if (x->resets == resets)
        atomic_store(&x->is_loaded, true);
    return NULL;
}

const struct err *erasures_find(struct job *job, const char *user_id, int64_t *ret)
{
    struct erasures *x = job->rooms->erasures;
    *ret = 0;
    if (!atomic_load(&x->is_loaded))
        TRY(erasure_load(job, x));
    if (!atomic_load(&x->has_any))
        return NULL;
    LOCKED(&x->lock);
    const struct entry *e = map_get(&x->users, str_of(user_id));
    *ret = e ? e->position : 0;
    return NULL;
}

/* ---- onlookers ---- */

struct onlooker {
    struct arena *arena;
    const char *user_id, *server; /* one of them */
    int64_t room;                 /* the room of `intervals`; 0: none yet */
    const struct join_interval *join_intervals;
    size_t join_intervals_n;
};

struct onlooker *onlooker_user(struct arena *a, const char *user_id)
{
    struct onlooker *o = arena_alloc(a, sizeof *o);
    *o = (struct onlooker){.arena = a, .user_id = user_id};
    return o;
}

struct onlooker *onlooker_server(struct arena *a, const char *server)
{
    struct onlooker *o = arena_alloc(a, sizeof *o);
    *o = (struct onlooker){.arena = a, .server = server};
    return o;
}

static const struct err *look_up_join_intervals(struct job *job, struct onlooker *o, int64_t room)
{
    const struct join_interval *join_intervals;
    size_t n;
    if (o->room == room)
        return NULL;
    if (o->user_id)
        TRY(join_intervals_of_user(job_tx(job), room, o->user_id, &join_intervals, &n));
    else
        TRY(join_intervals_of_server(job_tx(job), room, o->server, &join_intervals, &n));
    /* The job's arena may belong to one page, which the onlooker outlives. */
    struct join_interval *kept = arena_alloc_array(o->arena, n + 1, sizeof *kept);
    memcpy(kept, join_intervals, n * sizeof *kept);
    o->join_intervals = kept;
    o->join_intervals_n = n;
    o->room = room;
    return NULL;
}

/* ---- redacting ---- */

static bool erasure_is_member(const struct event *e)
{
    return e->state_key && strcmp(e->type, "m.room.member") == 0;
}

/* The position of the erasure of its sender, or of the user of a member event: the earlier one; 0:
 * neither. */
static const struct err *find_erasure(struct job *job, const struct event *e, int64_t *ret)
{
    int64_t subject = 0;
    TRY(erasures_find(job, e->sender, ret));
    if (erasure_is_member(e))
        TRY(erasures_find(job, e->state_key, &subject));
    if (subject && (!*ret || subject < *ret))
        *ret = subject;
    return NULL;
}

/* Servers and clients act upon these, also upon older ones (state resolution may make them current
 * again). */
static bool is_acted_upon(const char *type)
{
    static const char *const types[] = {
        "m.room.create",         "m.room.power_levels", "m.room.join_rules",
        "m.room.encryption",     "m.room.server_acl",   "m.room.history_visibility",
        "m.room.guest_access",   "m.room.tombstone",    "m.room.third_party_invite",
        "m.room.canonical_alias"};
    for (size_t i = 0; i < sizeof types / sizeof *types; i++)
        if (strcmp(type, types[i]) == 0)
            return true;
    return false;
}

static const struct err *is_setting(struct job *job, const struct stored_event *stored, bool *ret)
{
    const struct event *e = stored->event, *current = NULL;
    struct room *room;
    *ret = false;
    if (!e->state_key || erasure_is_member(e) || strcmp(e->state_key, e->sender) == 0)
        return NULL;
    *ret = is_acted_upon(e->type);
    if (*ret)
        return NULL;
    TRY(room_get_by_id(job, stored->room, &room));
    if (room)
        TRY(room_state(job, room, e->type, e->state_key, &current));
    *ret = current && strcmp(current->event_id, e->event_id) == 0;
    return NULL;
}

/* Was the onlooker in the room between the event and the erasure? A membership that the event
 * itself ended counts, too. */
static const struct err *erasure_was_there(struct job *job, struct onlooker *o,
                                           const struct stored_event *e, int64_t erased, bool *ret)
{
    int64_t position = e->position;
    *ret = false;
    if (!position) {
        const struct stored_event *known;
        TRY(events_get_by_id(job_tx(job), e->event->event_id, &known));
        if (!known)
            return NULL;
        position = known->position;
    }
    TRY(look_up_join_intervals(job, o, e->room));
    /* A leave after the erasure is for all who are members then. */
    int64_t until = erased > position ? erased : position;
    for (size_t i = 0; i < o->join_intervals_n && !*ret; i++)
        *ret = o->join_intervals[i].from <= until && o->join_intervals[i].to >= position;
    return NULL;
}

const struct err *onlooker_event(struct job *job, struct onlooker *o, const struct stored_event *e,
                                 const struct event **ret)
{
    int64_t erased;
    bool is_whole;
    const struct event *event = e->event;
    TRY(find_erasure(job, event, &erased));
    if (erased) {
        TRY(is_setting(job, e, &is_whole));
        if (!is_whole)
            TRY(erasure_was_there(job, o, e, erased, &is_whole));
        if (!is_whole)
            event = event_keep(job->arena, event_redacted(event));
    }
    *ret = event;
    return NULL;
}

static const struct stored_event *copy_with(struct arena *a, const struct stored_event *e,
                                            const struct event *event)
{
    struct stored_event *copy = arena_alloc(a, sizeof *copy);
    *copy = *e;
    copy->event = event;
    return copy;
}

const struct err *onlooker_list(struct job *job, struct onlooker *o,
                                const struct stored_event *const **events, size_t n)
{
    const struct stored_event **copy = NULL;
    for (size_t i = 0; i < n; i++) {
        const struct stored_event *e = (*events)[i];
        const struct event *shown;
        TRY(onlooker_event(job, o, e, &shown));
        if (shown == e->event)
            continue;
        if (!copy) {
            copy = arena_alloc_array(job->arena, n, sizeof *copy);
            memcpy(copy, *events, n * sizeof *copy);
        }
        copy[i] = copy_with(job->arena, e, shown);
    }
    if (copy)
        *events = copy;
    return NULL;
}

const struct err *onlooker_rows(struct job *job, struct onlooker *o,
                                const struct stored_event **events, size_t n)
{
    struct stored_event *copy = NULL;
    for (size_t i = 0; i < n; i++) {
        const struct event *shown;
        TRY(onlooker_event(job, o, &(*events)[i], &shown));
        if (shown == (*events)[i].event)
            continue;
        if (!copy) {
            copy = arena_alloc_array(job->arena, n, sizeof *copy);
            memcpy(copy, *events, n * sizeof *copy);
        }
        copy[i].event = shown;
    }
    if (copy)
        *events = copy;
    return NULL;
}
