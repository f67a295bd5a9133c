/* Taking in events of a fork: those for which the state before them is not the current state, or
 * which make state resolution necessary. The first is based on committed state. Events that extend
 * it share its write: the states around them are those after it, and all views are differences from
 * the state that was current before the write. */
#include "rooms/accept/accept_internal.h"
#include "rooms/rooms.h"

#include "rooms/state/auth_index.h"
#include "storage/db/intern.h"

enum {
    LARGE_KEYS = 1000,
    LARGE_BRANCHES = 100,
    WEIGHED_MAX = 1000 /* then what must be resolved anew has a write of its own */
};

/* ---- the states around the event ---- */

static bool is_prev(const struct event *e, const char *id)
{
    for (size_t i = 0; i < e->prev_n; i++)
        if (strcmp(e->prev_events[i], id) == 0)
            return true;
    return false;
}

/* Adds those of these events that are stored. */
static const struct err *accept_fork_add_stored(struct intake *in, const char *const *ids, size_t n,
                                                const struct known_event **list, size_t *list_n)
{
    for (size_t i = 0; i < n; i++) {
        const struct known_event *known;
        TRY(lookup_get(in->lookup, ids[i], &known));
        if (known)
            list[(*list_n)++] = known;
    }
    return NULL;
}

static const struct err *read_around(struct intake *in, const struct incoming *new,
                                     struct around *ret)
{
    const struct event *e = new->event;
    const struct draft *d = &in->w.draft;
    struct arena *a = in->job->arena;
    size_t most = e->prev_n + d->extremities_n + 1, others_n = 0, n = 0, parents_n;
    const struct known_event **list = arena_alloc_array(a, most, sizeof(struct known_event *));
    const char **others = arena_alloc_array(a, most, sizeof *others);
    bool *known = arena_alloc_array(a, most, sizeof *known);
    for (size_t i = 0; i < d->extremities_n; i++)
        if (!is_prev(e, d->extremities[i]))
            others[others_n++] = d->extremities[i];
    if (!new->state_ids)
        TRY(accept_fork_add_stored(in, e->prev_events, e->prev_n, list, &n));
    parents_n = n;
    TRY(accept_fork_add_stored(in, others, others_n, list, &n));
    *ret = (struct around){.views = arena_alloc_array(a, most, sizeof *ret->views)};
    TRY(state_views_after(in->job, in->room, list, n, ret->views, known));
    for (size_t i = 0; i < n; i++) {
        if (!known[i])
            continue;
        ret->views[ret->parents_n + ret->others_n] = ret->views[i];
        *(i < parents_n ? &ret->parents_n : &ret->others_n) += 1;
    }
    return NULL;
}

static const struct err *state_before_event(struct intake *in, size_t i, struct fork *f,
                                            struct state_view *ret, bool *ret_missing)
{
    const struct incoming *new = &in->events[i];
    struct accept_outcome *o = &in->outcomes[i];
    *ret_missing = false;
    if (new->state_ids) {
        TRY(state_view_of_ids(in->job, in->room, in->lookup, new->state_ids, new->state_n, ret,
                              &o->missing_auth, &o->missing_auth_n));
        *ret_missing = o->missing_auth_n > 0;
        return NULL;
    }
    return state_view_resolve(in->job, in->room, in->lookup, f->around.views, f->around.parents_n,
                              ret, &f->weighed);
}

void accept_leave_large(struct intake *in, size_t i)
{
    in->outcomes[i] = (struct accept_outcome){.verdict = VERDICT_MISSING, .is_large = true};
}

/* A bound on the keys that resolution compares: those in which the branches differ. */
static size_t count_keys(const struct around *around, const struct state_view *before)
{
    size_t keys = before->n;
    for (size_t i = 0; i < around->parents_n + around->others_n; i++)
        keys += around->views[i].n;
    return keys;
}

static bool is_large(const struct around *around, const struct state_view *before)
{
    return count_keys(around, before) > LARGE_KEYS ||
           around->parents_n + around->others_n > LARGE_BRANCHES;
}

/* The current state with the event: the state after it, resolved with those after the other
 * extremities. */
static const struct err *state_with_event(struct intake *in, struct fork *f, struct state_view *ret)
{
    const struct around *around = &f->around;
    size_t n = around->others_n;
    struct state_view *views = arena_alloc_array(in->job->arena, n + 1, sizeof *views);
    memcpy(views, around->views + around->parents_n, n * sizeof *views);
    views[n++] = *f->after;
    return state_view_resolve(in->job, in->room, in->lookup, views, n, ret, &f->weighed);
}

static const struct err *state_after_event(struct intake *in, size_t i, struct state_view *before,
                                           struct state_view **ret)
{
    const struct event *e = in->events[i].event;
    struct arena *a = in->job->arena;
    int64_t type;
    *ret = before;
    if (!e->state_key)
        return NULL;
    TRY(intern_id(in->job->storage->intern, INTERN_TYPE, e->type, &type));
    *ret = arena_alloc(a, sizeof **ret);
    **ret = state_view_copy(a, before);
    (*ret)->from = before;
    state_view_put(a, *ret, type, e->state_key, EVENT_BEING_TAKEN(i));
    return NULL;
}

/* ---- writing ---- */

static const struct err *current_event(struct intake *in, const struct state_ref_entry *entry,
                                       const struct event **ret)
{
    const char *type;
    TRY(intern_name(in->job->storage->intern, INTERN_TYPE, entry->type, &type));
    return draft_state(&in->w.draft, type, entry->state_key, ret);
}

/* State that became current without a new event. */
static const struct err *write_other_changes(struct intake *in, const struct state_view *now)
{
    for (size_t i = 0; i < now->n; i++) {
        const struct state_ref_entry *entry = &now->entries[i];
        const struct stored_event *stored = NULL;
        if (event_is_being_taken(entry->event))
            continue;
        if (entry->event) {
            TRY(lookup_at(in->lookup, entry->event, &stored));
            if (stored)
                TRY(draft_set_state(&in->w.draft, stored, false));
            continue;
        }
        struct stored_event ended = {.type = entry->type};
        TRY(current_event(in, entry, &ended.event));
        if (ended.event)
            TRY(draft_set_state(&in->w.draft, &ended, true));
    }
    return NULL;
}

static bool holds(const struct state_view *v, int64_t event)
{
    for (size_t i = 0; i < v->n; i++)
        if (v->entries[i].event == event)
            return true;
    return false;
}

/* Are the states before and after the event those of its position, so that it needs no reference?
 */
static bool is_as_position(const struct intake *in, size_t i, const struct state_view *before,
                           const struct draft_event *d)
{
    return !before->n && !in->events[i].state_ids && !d->is_lost;
}

static const struct err *write_state_before(struct intake *in, const struct draft_event *d,
                                            struct state_view *before)
{
    int64_t ref;
    TRY(accept_refer_to_state(in, before, &ref));
    event_state_write(in->w.write, d->at, 0, ref);
    before->ref = ref;
    before->base = in->room->state_position;
    return NULL;
}

static const struct err *write_accepted(struct intake *in, size_t i, int64_t moved_from,
                                        struct state_view *before, const struct state_view *now)
{
    bool is_lost = in->events[i].event->state_key && !holds(now, EVENT_BEING_TAKEN(i));
    bool changes_state =
        in->w.draft.last_state_at; /* the state at its position is not the state before it */
    const struct draft_event *d;
    {
        LOCKED(&in->room->lock);
        TRY(accept_put(in, i, moved_from, is_lost, &d));
    }
    if (is_as_position(in, i, before, d) && !changes_state)
        return NULL;
    return write_state_before(in, d, before);
}

/* Adds the event to the stored ones, for state resolution. ret_was: its position off the timeline;
 * 0: it has none. */
static const struct err *add_taken(struct intake *in, size_t i, int64_t *ret_was)
{
    const struct event *e = in->events[i].event;
    const struct known_event *known;
    struct known_event *taken = arena_alloc(in->job->arena, sizeof *taken);
    TRY(lookup_get(in->lookup, e->event_id, &known));
    *ret_was = known ? known->e.position : 0;
    if (known)
        *taken = *known;
    else
        *taken = (struct known_event){
            .e = {.room = in->room->id, .is_state = e->state_key != NULL, .event = e}};
    taken->e.position = EVENT_BEING_TAKEN(i);
    lookup_add(in->lookup, taken);
    return NULL;
}

/* ---- the first ---- */

/* Large ones may be left for room_accept. */
static const struct err *fork_find_state(struct event_check *c)
{
    struct intake *in = c->in;
    struct fork *f = c->fork;
    struct state_view *before = arena_alloc(in->job->arena, sizeof *before);
    bool missing = false;
    TRY(read_around(in, &in->events[c->i], &f->around));
    f->is_large = is_large(&f->around, &(struct state_view){0});
    if (!f->is_large || !in->leaves_large) {
        TRY(state_before_event(in, c->i, f, before, &missing));
        f->is_large = is_large(&f->around, before);
    }
    in->room->has_large_conflict = f->is_large;
    c->before = f->before = before;
    bool is_left = f->is_large && in->leaves_large;
    if (is_left)
        accept_leave_large(in, c->i);
    if (is_left || missing)
        event_check_conclude(c, VERDICT_MISSING, NULL);
    return NULL;
}

const struct err *accept_on_fork(struct intake *in, size_t i, struct fork *f)
{
    const struct event *e = in->events[i].event;
    int64_t moved_from;
    *f = (struct fork){0};
    struct event_check c = {
        .in = in, .event = e, .way = WAY_FORK, .i = i, .find_state = fork_find_state, .fork = f};
    TRY(event_check_run(&c)); /* it may have been stored since it was looked up first */
    if (c.progress == CHECK_CONCLUDED)
        return accept_conclude(&c);
    TRY(add_taken(in, i, &moved_from));
    TRY(state_after_event(in, i, f->before, &f->after));
    TRY(state_with_event(in, f, &f->now));
    TRY(write_accepted(in, i, moved_from, f->before, &f->now));
    if (in->events[i].state_ids) {
        LOCKED(&in->room->lock);
        TRY(history_ends_note(in->lookup, in->w.write, e, in->changes[i], 0));
    }
    f->newest = e;
    f->keys = count_keys(&f->around, f->before);
    f->can_grow = !f->is_large && !moved_from && !in->room->is_partial && f->around.others_n;
    LOCKED(&in->room->lock);
    TRY(write_other_changes(in, &f->now));
    f->can_grow = f->can_grow && !in->w.draft.sets;
    return NULL;
}

/* ---- events that extend it ---- */

/* Does the event change only its own key of the current state? */
static bool changes_own_key_only(struct intake *in, size_t i, const struct fork *f,
                                 const struct state_view *now)
{
    struct arena *a = in->job->arena;
    struct map was;
    size_t same = 0;
    bool others = false;
    state_view_index(a, &f->now, &was);
    for (size_t k = 0; k < now->n; k++) {
        const struct state_ref_entry *before = state_view_indexed(a, &was, &now->entries[k]);
        if (now->entries[k].event == EVENT_BEING_TAKEN(i))
            same += before != NULL;
        else if (before && before->event == now->entries[k].event)
            same++;
        else
            others = true;
    }
    map_finish(&was);
    return !others && same == f->now.n;
}

static const struct err *accept_fork_find_now(struct intake *in, size_t i, struct fork *f,
                                              struct state_view *ret)
{
    *ret = f->now;
    if (!in->events[i].event->state_key)
        return NULL;
    return state_with_event(in, f, ret);
}

/* The state before it is the one after the newest. */
static const struct err *fork_find_next_state(struct event_check *c)
{
    c->before = c->fork->after;
    return NULL;
}

static const struct err *check_next(struct intake *in, size_t i, struct fork *f, bool *ret_accepted,
                                    bool *ret_concluded)
{
    struct event_check c = {.in = in,
                            .event = in->events[i].event,
                            .way = WAY_FORK,
                            .i = i,
                            .find_state = fork_find_next_state,
                            .fork = f};
    TRY(event_check_run(&c));
    *ret_accepted = c.progress == CHECK_UNDECIDED;
    *ret_concluded = c.progress == CHECK_CONCLUDED && c.verdict != VERDICT_MISSING;
    return *ret_concluded ? accept_conclude(&c) : NULL;
}

const struct err *accept_go_on_fork(struct intake *in, size_t i, struct fork *f, bool *ret_taken)
{
    const struct event *e = in->events[i].event;
    struct state_view now, *before = f->after;
    int64_t moved_from;
    bool accepted;
    f->keys += count_keys(&f->around, before);
    *ret_taken = false;
    if (strcmp(e->prev_events[0], f->newest->event_id) != 0 || f->keys > LARGE_KEYS)
        return NULL;
    if (e->state_key && f->weighed > WEIGHED_MAX) /* other writers of the room wait meanwhile */
        return NULL;
    TRY(check_next(in, i, f, &accepted, ret_taken));
    if (!accepted)
        return NULL;
    TRY(add_taken(in, i, &moved_from));
    TRY(state_after_event(in, i, before, &f->after));
    TRY(accept_fork_find_now(in, i, f, &now));
    if (!changes_own_key_only(in, i, f, &now))
        return NULL;
    TRY(write_accepted(in, i, moved_from, before, &now));
    f->now = now;
    f->newest = e;
    *ret_taken = true;
    return NULL;
}
