/* Taking in an event of a fork: one whose state before is not simply the current state, or whose
 * coming changes what the current state is. It is alone in its write, upon committed state. */
#include "rooms/accept/accept_internal.h"

#include "rooms/state/auth_index.h"
#include "storage/db/intern.h"

enum { LARGE_KEYS = 1000, LARGE_BRANCHES = 100 };

/* ---- references to states ---- */

enum { FLAT_MAX = 32, FLATTEN_EVERY = 16 };

/* What differs from the parent's differences. */
static size_t differences(struct arena *a, const struct state_view *state,
                          const struct state_view *parent, struct state_ref_entry *ret)
{
    struct map now, then;
    size_t n = 0;
    state_view_index(a, state, &now);
    state_view_index(a, parent, &then);
    for (size_t i = 0; i < state->n; i++) {
        const struct state_ref_entry *e = &state->entries[i];
        const struct state_ref_entry *was = state_view_indexed(a, &then, e);
        if (!was || was->event != e->event)
            ret[n++] = *e;
    }
    for (size_t i = 0; i < parent->n; i++)
        if (!state_view_indexed(a, &now, &parent->entries[i])) {
            ret[n] = parent->entries[i];
            ret[n++].as_base = true;
        }
    map_finish(&now);
    map_finish(&then);
    return n;
}

/* A reference with the same base that the state was made of: what is new then is little. As the
 * current state has not changed since that base, the view has the reference's own differences. */
static const struct state_view *find_parent(const struct state_view *state, int64_t base)
{
    const struct state_view *parent = state->ref ? state : state->from;
    return parent && parent->ref && parent->base == base ? parent : NULL;
}

static const struct err *write_ref(struct intake *in, const struct state_view *state,
                                   int64_t *ret_ref)
{
    int64_t id, base = in->room->state_position;
    const struct state_view *parent = find_parent(state, base);
    size_t changed_n = 0;
    struct state_ref_entry *changed =
        arena_alloc_array(in->job->arena, state->n + (parent ? parent->n : 0) + 1, sizeof *changed);
    if (parent)
        changed_n = differences(in->job->arena, state, parent, changed);
    if (parent && changed_n == 0) {
        *ret_ref = parent->ref; /* most events of a fork change nothing */
        return NULL;
    }
    TRY(state_refs_next_id(job_tx(in->job), &id));
    if (parent && state->n > FLAT_MAX && id % FLATTEN_EVERY)
        state_ref_write(in->write, id, in->room->id, base, parent->ref, changed, changed_n);
    else
        state_ref_write(in->write, id, in->room->id, base, 0, state->entries, state->n);
    *ret_ref = id;
    return NULL;
}

const struct err *accept_write_state_ref(struct intake *in, const struct state_view *state,
                                         int64_t *ret_ref)
{
    TRY(state_refs_next_id(job_tx(in->job), ret_ref));
    state_ref_write(in->write, *ret_ref, in->room->id, in->room->state_position, 0, state->entries,
                    state->n);
    return NULL;
}

const struct err *accept_put_aside_known(struct intake *in, const struct event *e,
                                         enum event_status status, int64_t ref)
{
    const struct known_event *known;
    struct known_event *now = arena_alloc(in->job->arena, sizeof *now);
    struct stored_event stored = {
        .room = in->room->id, .is_state = e->state_key != NULL, .status = status, .event = e};
    TRY(lookup_get(in->lookup, e->event_id, &known));
    TRY(intern_id(in->job->store->intern, INTERN_USER, e->sender, &stored.sender));
    TRY(intern_id(in->job->store->intern, INTERN_TYPE, e->type, &stored.type));
    if (known) {
        auth_indexes_forget_event(in->job->store->auth_indexes, in->room->id, e->event_id);
        stored.position = known->e.position;
        events_move(in->write, &stored, known->e.position, 0);
    } else {
        const int64_t *place;
        TRY(events_reserve(job_tx(in->job), false, 1, &place));
        stored.position = place[0];
        events_write_at(in->write, &stored);
    }
    event_state_write(in->write, 0, stored.position, ref);
    *now = (struct known_event){.e = stored, .state_ref = ref};
    lookup_add(in->lookup, now);
    in->aside_n++;
    return NULL;
}

const struct err *accept_put_aside(struct intake *in, size_t i, enum event_status status,
                                   const char *why, const struct state_view *state)
{
    static const struct state_view as_current;
    const struct event *e = in->events[i].event;
    const struct known_event *known;
    int64_t ref;
    TRY(write_ref(in, state ? state : &as_current, &ref));
    TRY(accept_put_aside_known(in, e, status, ref));
    TRY(lookup_get(in->lookup, e->event_id, &known));
    in->outcomes[i] = (struct outcome){.verdict = status == EVENT_REJECTED ? VERDICT_REJECTED
                                                                           : VERDICT_SOFT_FAILED,
                                       .position = known->e.position,
                                       .reason = why};
    return NULL;
}

/* ---- the states around the event ---- */

/* The states after the event's parents, and after the room's other extremities. */
struct around {
    struct state_view *views; /* first those of the parents */
    size_t parents_n, others_n;
};

static bool is_prev(const struct event *e, const char *id)
{
    for (size_t i = 0; i < e->prev_n; i++)
        if (strcmp(e->prev_events[i], id) == 0)
            return true;
    return false;
}

/* Those of these events that are stored. */
static const struct err *add_stored(struct intake *in, const char *const *ids, size_t n,
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
    const struct draft *d = &in->draft;
    struct arena *a = in->job->arena;
    size_t most = e->prev_n + d->extremities_n + 1, others_n = 0, n = 0, parents_n;
    const struct known_event **list = arena_alloc_array(a, most, sizeof(struct known_event *));
    const char **others = arena_alloc_array(a, most, sizeof *others);
    bool *known = arena_alloc_array(a, most, sizeof *known);
    for (size_t i = 0; i < d->extremities_n; i++)
        if (!is_prev(e, d->extremities[i]))
            others[others_n++] = d->extremities[i];
    if (!new->state_ids)
        TRY(add_stored(in, e->prev_events, e->prev_n, list, &n));
    parents_n = n;
    TRY(add_stored(in, others, others_n, list, &n));
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

static const struct err *state_before_event(struct intake *in, size_t i,
                                            const struct around *around, struct state_view *ret,
                                            bool *ret_missing)
{
    const struct incoming *new = &in->events[i];
    struct outcome *o = &in->outcomes[i];
    *ret_missing = false;
    if (new->state_ids) {
        TRY(state_view_of_ids(in->job, in->room, in->lookup, new->state_ids, new->state_n, ret,
                              &o->missing_auth, &o->missing_auth_n));
        *ret_missing = o->missing_auth_n > 0;
        return NULL;
    }
    return state_view_resolve(in->job, in->room, in->lookup, NULL, around->views, around->parents_n,
                              ret);
}

void accept_leave_large(struct intake *in, size_t i)
{
    in->outcomes[i] = (struct outcome){.verdict = VERDICT_MISSING, .is_large = true};
}

/* What resolution will cost: the keys in which branches differ, and the branches. */
static bool is_large(const struct around *around, const struct state_view *before)
{
    size_t keys = before->n;
    for (size_t i = 0; i < around->parents_n + around->others_n; i++)
        keys += around->views[i].n;
    return keys > LARGE_KEYS || around->parents_n + around->others_n > LARGE_BRANCHES;
}

/* The current state once the event is there: that after it, resolved with those of the extremities
 * that it leaves. */
static const struct err *state_with_event(struct intake *in, const struct event *e,
                                          const struct around *around,
                                          const struct state_view *before, struct state_view *ret)
{
    struct arena *a = in->job->arena;
    size_t n = around->others_n;
    struct state_view *views = arena_alloc_array(a, n + 1, sizeof *views);
    memcpy(views, around->views + around->parents_n, n * sizeof *views);
    views[n] = state_view_copy(a, before);
    if (e->state_key) {
        int64_t type;
        TRY(intern_id(in->job->store->intern, INTERN_TYPE, e->type, &type));
        state_view_put(a, &views[n], type, e->state_key, EVENT_BEING_TAKEN);
    }
    n++;
    return state_view_resolve(in->job, in->room, in->lookup, e->state_key ? e : NULL, views, n,
                              ret);
}

/* ---- writing ---- */

static const struct err *current_event(struct intake *in, const struct state_ref_entry *entry,
                                       const struct event **ret)
{
    const char *type;
    TRY(intern_name(in->job->store->intern, INTERN_TYPE, entry->type, &type));
    return draft_state(&in->draft, type, entry->state_key, ret);
}

/* State that became current without a new event. */
static const struct err *write_other_changes(struct intake *in, const struct state_view *now)
{
    for (size_t i = 0; i < now->n; i++) {
        const struct state_ref_entry *entry = &now->entries[i];
        const struct stored_event *stored = NULL;
        if (entry->event == EVENT_BEING_TAKEN)
            continue;
        if (entry->event) {
            TRY(lookup_at(in->lookup, entry->event, &stored));
            if (stored)
                TRY(draft_set_state(&in->draft, stored, false));
            continue;
        }
        struct stored_event ended = {.type = entry->type};
        TRY(current_event(in, entry, &ended.event));
        if (ended.event)
            TRY(draft_set_state(&in->draft, &ended, true));
    }
    return NULL;
}

static bool holds_taken(const struct state_view *v)
{
    for (size_t i = 0; i < v->n; i++)
        if (v->entries[i].event == EVENT_BEING_TAKEN)
            return true;
    return false;
}

static const struct err *write_accepted(struct intake *in, size_t i,
                                        const struct state_view *before,
                                        const struct state_view *now)
{
    const struct event *e = in->events[i].event;
    const struct known_event *known;
    TRY(lookup_get(in->lookup, e->event_id, &known));
    bool is_new = !known || known->e.position == EVENT_BEING_TAKEN;
    struct draft_event *d = accept_draft(in, i, is_new ? 0 : known->e.position);
    d->is_lost = e->state_key && !holds_taken(now);
    d->follows_gap = in->events[i].state_ids != NULL;
    int64_t ref = 0;
    if (before->n || in->events[i].state_ids)
        TRY(write_ref(in, before, &ref));
    LOCKED(&in->room->lock);
    TRY(accept_add_sender(in, e));
    TRY(draft_put(&in->draft, d));
    if (ref)
        event_state_write(in->write, d->at, 0, ref);
    in->changes[i] = d->at;
    in->outcomes[i] = (struct outcome){.verdict = VERDICT_ACCEPTED};
    if (in->events[i].state_ids)
        TRY(history_note_end(in, e, d->at, 0));
    return write_other_changes(in, now);
}

/* For resolution the event counts among those that are stored. */
static const struct err *add_taken(struct intake *in, const struct event *e, bool *ret_was_known)
{
    const struct known_event *known;
    TRY(lookup_get(in->lookup, e->event_id, &known));
    *ret_was_known = known != NULL;
    if (known)
        return NULL;
    struct known_event *taken = arena_alloc(in->job->arena, sizeof *taken);
    *taken = (struct known_event){.e = {.position = EVENT_BEING_TAKEN,
                                        .room = in->room->id,
                                        .is_state = e->state_key != NULL,
                                        .event = e}};
    lookup_add(in->lookup, taken);
    return NULL;
}

const struct err *accept_on_fork(struct intake *in, size_t i)
{
    const struct event *e = in->events[i].event;
    struct state_view before, now;
    struct cited cited;
    const char *why;
    bool missing = false, was_known;
    struct around around;
    TRY(read_around(in, &in->events[i], &around));
    bool large = is_large(&around, &(struct state_view){0});
    if (!large || !in->leaves_large) {
        TRY(state_before_event(in, i, &around, &before, &missing));
        large = is_large(&around, &before);
    }
    in->room->has_large_conflict = large;
    if (large && in->leaves_large) {
        accept_leave_large(in, i);
        return NULL;
    }
    if (missing) {
        in->outcomes[i].verdict = VERDICT_MISSING;
        return NULL;
    }
    TRY(accept_read_cited(in, e, &cited));
    TRY(accept_judge_by_cited(in, e, &cited, &why));
    if (!why)
        TRY(accept_judge_by_state(in, e, &before, &why));
    if (why)
        return accept_put_aside(in, i, EVENT_REJECTED, why, &before);
    if (!in->room->is_partial) /* what members may do now is not known yet */
        TRY(accept_judge_by_state(in, e, NULL, &why));
    if (why)
        return accept_put_aside(in, i, EVENT_SOFT_FAILED, why, &before);
    TRY(add_taken(in, e, &was_known));
    TRY(state_with_event(in, e, &around, &before, &now));
    return write_accepted(in, i, &before, &now);
}
