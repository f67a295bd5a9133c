/* What becomes of a checked event: it goes into the write, as an event of the timeline or off it.
 */
#include "rooms/accept/accept_internal.h"
#include "rooms/rooms.h"

#include "rooms/state/auth_index.h"
#include "storage/db/intern.h"
#include "storage/rooms/room_state.h"

/* ---- references to states ---- */

enum { FLAT_MAX = 32, FLATTEN_EVERY = 16 };

/* The entries that the parent's differences lack. */
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

/* A reference with the same base from which the state was made, so that few entries are new. As the
 * current state has not changed since that base, the view has the reference's own differences. */
static const struct state_view *find_parent(const struct state_view *state, int64_t base)
{
    const struct state_view *parent = state->ref ? state : state->from;
    return parent && parent->ref && parent->base == base ? parent : NULL;
}

/* Refers to events of the intake by their change, since they have no position yet. */
static void name_drafted(const struct intake *in, struct state_ref_entry *entries, size_t n)
{
    for (size_t i = 0; i < n; i++)
        if (event_is_being_taken(entries[i].event))
            entries[i].at = in->changes[entries[i].event - EVENT_BEING_TAKEN(0)];
}

/* The next reserved id. All ids that the write may need are reserved in one query. */
static const struct err *next_ref(struct intake *in, int64_t *ret)
{
    if (!in->refs_n) {
        in->refs_n = in->refs_more ? in->refs_more : 1;
        TRY(state_refs_reserve(job_tx(in->job), in->refs_n, &in->refs));
    }
    in->refs_n--;
    *ret = *in->refs++;
    return NULL;
}

const struct err *accept_refer_to_state(struct intake *in, const struct state_view *state,
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
    TRY(next_ref(in, &id));
    bool is_flat = !parent || state->n <= FLAT_MAX || id % FLATTEN_EVERY == 0;
    if (is_flat) {
        changed_n = state->n;
        if (changed_n)
            memcpy(changed, state->entries, changed_n * sizeof *changed);
    }
    name_drafted(in, changed, changed_n);
    state_ref_write(in->w.write, id, in->room->id, base, is_flat ? 0 : parent->ref, changed,
                    changed_n);
    *ret_ref = id;
    return NULL;
}

const struct err *accept_write_state_ref(struct intake *in, const struct state_view *state,
                                         int64_t *ret_ref)
{
    TRY(next_ref(in, ret_ref));
    state_ref_write(in->w.write, *ret_ref, in->room->id, in->room->state_position, 0,
                    state->entries, state->n);
    return NULL;
}

/* ---- off the timeline ---- */

const struct err *accept_store_off_timeline(struct intake *in, const struct event *e,
                                            enum event_status status, int64_t ref)
{
    const struct known_event *known;
    struct known_event *now = arena_alloc(in->job->arena, sizeof *now);
    struct stored_event stored = {
        .room = in->room->id, .is_state = e->state_key != NULL, .status = status, .event = e};
    TRY(lookup_get(in->lookup, e->event_id, &known));
    TRY(intern_id(in->job->storage->intern, INTERN_USER, e->sender, &stored.sender));
    TRY(intern_id(in->job->storage->intern, INTERN_TYPE, e->type, &stored.type));
    if (known) {
        auth_indexes_forget_event(in->job->rooms->auth_indexes, in->room->id, e->event_id);
        stored.position = known->e.position;
        events_move(in->w.write, &stored, known->e.position, 0);
    } else {
        const int64_t *place;
        TRY(events_reserve(job_tx(in->job), false, 1, &place));
        stored.position = place[0];
        events_write_at(in->w.write, &stored);
    }
    event_state_write(in->w.write, 0, stored.position, ref);
    *now = (struct known_event){.e = stored, .state_ref = ref};
    lookup_add(in->lookup, now);
    in->off_timeline_n++;
    return NULL;
}

static const struct err *conclude_off_timeline(struct event_check *c, struct accept_outcome *o)
{
    static const struct state_view as_current;
    const struct known_event *stored;
    int64_t ref;
    bool is_rejected = c->verdict == VERDICT_REJECTED;
    TRY(accept_refer_to_state(c->in, c->before ? c->before : &as_current, &ref));
    TRY(accept_store_off_timeline(c->in, c->event, is_rejected ? EVENT_REJECTED : EVENT_SOFT_FAILED,
                                  ref));
    TRY(lookup_get(c->in->lookup, c->event->event_id, &stored));
    *o = (struct accept_outcome){
        .verdict = c->verdict, .position = stored->e.position, .reason = c->why, .step = c->step};
    return NULL;
}

const struct err *accept_conclude(struct event_check *c)
{
    struct accept_outcome *o = &c->in->outcomes[c->i];
    switch (c->verdict) {
    case VERDICT_KNOWN:
        *o = (struct accept_outcome){.position = c->known ? c->known->e.position : 0};
        break;
    case VERDICT_MISSING: /* the missing events are listed in it */
        break;
    default:
        return conclude_off_timeline(c, o);
    }
    o->verdict = c->verdict;
    o->step = c->step;
    return NULL;
}

/* ---- in the timeline ---- */

/* While the state is partial, the sender's member event is taken from the auth events of their
 * event, so that clients can show the sender. */
static const struct err *accept_add_sender(struct intake *in, const struct event *e)
{
    const struct event *member;
    if (!in->room->is_partial)
        return NULL;
    TRY(draft_state(&in->w.draft, "m.room.member", e->sender, &member));
    for (size_t i = 0; i < e->auth_n && !member; i++) {
        const struct known_event *known;
        TRY(lookup_get(in->lookup, e->auth_events[i], &known));
        if (!known || known->e.type != TYPE_MEMBER || known->e.status == EVENT_REJECTED ||
            !known->e.is_state || strcmp(known->e.event->state_key, e->sender) != 0)
            continue;
        member = known->e.event;
        TRY(draft_set_state(&in->w.draft, &known->e, false));
        room_state_write_past(in->w.write, in->room->id, TYPE_MEMBER, e->sender, known->e.position,
                              in->room->joined_at, in->w.draft.last_state_at);
    }
    return NULL;
}

static struct draft_event *accept_draft(struct intake *in, size_t i, int64_t moved_from,
                                        bool is_lost)
{
    struct draft_event *d = arena_alloc(in->job->arena, sizeof *d);
    in->w.is_off_timeline |= moved_from != 0;
    *d = (struct draft_event){
        .event = in->left[i] ? in->left[i] : in->events[i].event,
        .redacted_by = in->redactions[i],
        .stripped = in->events[i].stripped,
        .status = in->events[i].relay ? EVENT_RELAYED : EVENT_NORMAL,
        .moved_from = moved_from,
        .is_lost = is_lost,
        .follows_gap = in->events[i].state_ids != NULL,
    };
    return d;
}

const struct err *accept_put(struct intake *in, size_t i, int64_t moved_from, bool is_lost,
                             const struct draft_event **ret)
{
    struct draft_event *d = accept_draft(in, i, moved_from, is_lost);
    TRY(accept_add_sender(in, in->events[i].event));
    TRY(draft_put(&in->w.draft, d));
    in->changes[i] = d->at;
    in->outcomes[i] = (struct accept_outcome){.verdict = VERDICT_ACCEPTED};
    if (ret)
        *ret = d;
    return NULL;
}
