#include "rooms/write/basis.h"

#include "rooms/ahead.h"
#include "rooms/writer.h"

struct basis_fact {
    const char *type, *state_key;
    const struct event *event; /* kept by the arena; NULL: there was none */
    struct basis_fact *next;
};

void basis_init(struct basis *b, struct job *job, struct room *room)
{
    *b = (struct basis){.job = job, .room = room};
}

void basis_init_committed(struct basis *b, struct job *job, struct room *room)
{
    *b = (struct basis){.job = job, .room = room, .is_committed = true};
}

static void basis_note(struct basis *b, const char *type, const char *state_key,
                       const struct event *e)
{
    struct arena *a = b->job->arena;
    struct basis_fact *fact = arena_alloc(a, sizeof *fact);
    *fact = (struct basis_fact){.type = arena_strdup(a, type),
                                .state_key = arena_strdup(a, state_key),
                                .event = e,
                                .next = b->newest};
    b->newest = fact;
}

static const struct err *read_locked(struct basis *b, const char *type, const char *state_key,
                                     const struct event **ret)
{
    struct room *room = b->room;
    const struct ahead *ahead = b->is_committed ? NULL : ahead_find_locked(room, type, state_key);
    if (!ahead)
        return room_load_state_locked(b->job, room, type, state_key, ret);
    b->queued = room->state_queued;
    *ret = ahead->event;
    return NULL;
}

const struct err *basis_state(struct basis *b, const char *type, const char *state_key,
                              const struct event **ret)
{
    const struct event *e;
    LOCKED(&b->room->lock);
    TRY(read_locked(b, type, state_key, &e));
    *ret = e ? event_keep(b->job->arena, event_ref(e)) : NULL;
    basis_note(b, type, state_key, *ret);
    return NULL;
}

const struct err *basis_membership(struct basis *b, const char *user_id, enum membership *ret)
{
    const struct event *e;
    TRY(basis_state(b, "m.room.member", user_id, &e));
    *ret = event_membership(e);
    return NULL;
}

const struct err *basis_need_joined(struct basis *b, const char *user_id)
{
    enum membership m;
    TRY(basis_membership(b, user_id, &m));
    return m == MEMBERSHIP_JOIN ? NULL : err(ERR_FORBIDDEN, "You are not in this room");
}

const struct err *basis_power(struct basis *b, struct auth_state *ret)
{
    static const char *const types[] = {"m.room.create", "m.room.power_levels"};
    struct auth_state_list *list = arena_alloc(b->job->arena, sizeof *list);
    const struct event **events = arena_alloc_array(b->job->arena, 2, sizeof *events);
    size_t n = 0;
    for (size_t i = 0; i < sizeof types / sizeof *types; i++) {
        TRY(basis_state(b, types[i], "", &events[n]));
        n += events[n] != NULL;
    }
    auth_state_list_init(list, events, n, NULL);
    *ret = list->state;
    return NULL;
}

struct joined {
    struct room *room;
    struct room_member *list;
    size_t n;
};

static void basis_add_joined(struct joined *j, const struct room_member *m)
{
    if (m->membership == MEMBERSHIP_JOIN && m->is_local)
        j->list[j->n++] = *m;
}

static void add_new(void *ctx, const struct room_member *m)
{
    struct joined *j = ctx;
    if (!map_get_int(&j->room->members, m->user))
        basis_add_joined(j, m);
}

void basis_list_joined(struct basis *b, const struct room_member **ret, size_t *ret_n)
{
    struct room *room = b->room;
    LOCKED(&room->lock);
    struct joined j = {.room = room};
    j.list = arena_alloc_array(b->job->arena, room->members.n + room->ahead_members.n + 1,
                               sizeof *j.list);
    for (struct map_slot *s = NULL; (s = map_next(&room->members, s));) {
        const struct room_member *m = s->value;
        basis_add_joined(&j, b->is_committed ? m : ahead_member_locked(room, m->user));
    }
    if (!b->is_committed && room->ahead_members.n) {
        ahead_each_member_locked(room, add_new, &j);
        b->queued = room->state_queued;
    }
    *ret = j.list;
    *ret_n = j.n;
}

/* A redaction keeps the id and changes the content. */
static bool basis_is_same(const struct event *a, const struct event *b)
{
    if (!a || !b || a == b)
        return a == b;
    return strcmp(a->event_id, b->event_id) == 0 && str_eq(a->content, b->content);
}

const struct err *basis_holds(const struct basis *b, struct draft *d, bool *ret)
{
    *ret = true;
    for (const struct basis_fact *f = b->newest; f && *ret; f = f->next) {
        const struct event *now;
        TRY(draft_state(d, f->type, f->state_key, &now));
        *ret = basis_is_same(now, f->event);
    }
    return NULL;
}

bool basis_settle(const struct basis *b)
{
    return writer_wait_for_state(b->room, b->queued);
}
