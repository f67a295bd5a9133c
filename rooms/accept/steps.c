/* What an event goes through in its room, and the first steps of it. */
#include "rooms/accept/accept_internal.h"

#include "rooms/state/state_at.h"

static const struct {
    enum pdu_step step;
    unsigned ways;
    event_step *check;
} event_steps[] = {
#define EVENT_STEP(step, name, check, ways) {STEP_##step, ways, check},
#include "rooms/accept/steps.def"
};

const char *pdu_step_name(enum pdu_step step)
{
    static const char *const names[PDU_STEPS] = {
        [STEP_NONE] = "none",
#define ROOM_STEP(step, name, check) [STEP_##step] = name,
#define PDU_STEP(step, name, check) [STEP_##step] = name,
#define SIGNED_STEP(step, name, check) [STEP_##step] = name,
#define EVENT_STEP(step, name, check, ways) [STEP_##step] = name,
#include "rooms/accept/steps.def"
    };
    return names[step];
}

const struct err *event_check_run(struct event_check *c)
{
    size_t n = sizeof event_steps / sizeof *event_steps;
    for (size_t i = 0; i < n && c->progress == CHECK_UNDECIDED; i++) {
        if (!(event_steps[i].ways & c->way))
            continue;
        c->step = event_steps[i].step;
        TRY(event_steps[i].check(c));
    }
    if (c->progress == CHECK_UNDECIDED)
        c->step = STEP_NONE;
    return NULL;
}

/* ---- is it known? ---- */

/* Was it received with the state at our join? Then it is older than the join, and not new. A deeper
 * event is new: it is a member event that was cited while the state was partial. */
static const struct err *came_with_our_join(struct intake *in, const struct stored_event *e,
                                            bool *ret)
{
    int64_t joined_at = in->room->joined_at;
    const struct stored_event *join, *remote;
    *ret = false;
    if (e->status != EVENT_OUTLIER || !e->is_state || !joined_at)
        return NULL;
    TRY(events_get(job_tx(in->job), joined_at, &join));
    if (!join || e->event->depth >= join->event->depth)
        return NULL;
    TRY(state_before_get(in->job, in->room, joined_at, e->type, e->event->state_key, &remote));
    *ret = remote && remote->position == e->position;
    return NULL;
}

const struct err *accept_check_known(struct event_check *c)
{
    bool is_known = draft_find(&c->in->w.draft, c->event->event_id) != NULL;
    if (!is_known) {
        TRY(lookup_get(c->in->lookup, c->event->event_id, &c->known));
        is_known = c->known && known_is_placed(c->known);
        if (c->known && !is_known)
            TRY(came_with_our_join(c->in, &c->known->e, &is_known));
    }
    if (is_known)
        event_check_conclude(c, VERDICT_KNOWN, NULL);
    return NULL;
}

const struct err *accept_check_create(struct event_check *c)
{
    if (c->event->prev_n == 0 && c->known) /* the room's own create event */
        event_check_conclude(c, VERDICT_KNOWN, NULL);
    else if (c->event->prev_n == 0)
        event_check_conclude(c, VERDICT_REJECTED, "Only the first event of a room has no parents");
    return NULL;
}

/* ---- are the events stored that it cites? ---- */

/* Is it stored, and the state at it known? */
static const struct err *has_parent(struct intake *in, const char *id, bool *ret)
{
    const struct known_event *known;
    *ret = draft_find(&in->w.draft, id) != NULL;
    if (*ret)
        return NULL;
    TRY(lookup_get(in->lookup, id, &known));
    *ret = known && known_is_placed(known);
    return NULL;
}

static bool is_extremity(const struct draft *d, const char *id)
{
    for (size_t i = 0; i < d->extremities_n; i++)
        if (strcmp(d->extremities[i], id) == 0)
            return true;
    return false;
}

static const struct err *find_missing_auth(struct intake *in, const struct event *e,
                                           const char **ret, size_t *ret_n)
{
    size_t n = 0;
    for (size_t k = 0; k < e->auth_n; k++) {
        const struct known_event *known = NULL;
        if (draft_find(&in->w.draft, e->auth_events[k]))
            continue;
        TRY(lookup_get(in->lookup, e->auth_events[k], &known));
        if (!known)
            ret[n++] = e->auth_events[k];
    }
    *ret_n = n;
    return NULL;
}

static const struct err *find_missing(struct intake *in, size_t i)
{
    const struct event *e = in->events[i].event;
    struct accept_outcome *o = &in->outcomes[i];
    const char **prev = arena_alloc_array(in->job->arena, e->prev_n + 1, sizeof *prev);
    const char **auth = arena_alloc_array(in->job->arena, e->auth_n + 1, sizeof *auth);
    bool is_here;
    *o = (struct accept_outcome){.missing_prev = prev, .missing_auth = auth};
    for (size_t k = 0; k < e->prev_n && !in->events[i].state_ids; k++) {
        if (is_extremity(&in->w.draft, e->prev_events[k]))
            continue;
        TRY(has_parent(in, e->prev_events[k], &is_here));
        if (!is_here)
            prev[o->missing_prev_n++] = e->prev_events[k];
    }
    return find_missing_auth(in, e, auth, &o->missing_auth_n);
}

/* Events that were missing when they were looked up may have been stored by another transaction
 * since: looks them up again. */
static const struct err *find_missing_now(struct intake *in, size_t i, bool *ret_missing)
{
    struct accept_outcome *o = &in->outcomes[i];
    TRY(find_missing(in, i));
    if (o->missing_prev_n || o->missing_auth_n) {
        TRY(lookup_again(in->lookup, o->missing_prev, o->missing_prev_n));
        TRY(lookup_again(in->lookup, o->missing_auth, o->missing_auth_n));
        TRY(find_missing(in, i));
    }
    *ret_missing = o->missing_prev_n || o->missing_auth_n;
    return NULL;
}

/* History begins with events whose parents are not stored; its auth events were fetched before. */
static const struct err *check_auth_of_history(struct event_check *c)
{
    const char **auth = arena_alloc_array(c->in->job->arena, c->event->auth_n + 1, sizeof *auth);
    size_t n;
    TRY(find_missing_auth(c->in, c->event, auth, &n));
    if (n)
        event_check_conclude(c, VERDICT_REJECTED, "Its auth events are not here");
    return NULL;
}

const struct err *accept_check_cited(struct event_check *c)
{
    bool missing;
    if (c->way == WAY_HISTORY)
        return check_auth_of_history(c);
    TRY(find_missing_now(c->in, c->i, &missing));
    if (missing)
        event_check_conclude(c, VERDICT_MISSING, NULL);
    return NULL;
}

const struct err *accept_find_state(struct event_check *c)
{
    return c->find_state(c);
}
