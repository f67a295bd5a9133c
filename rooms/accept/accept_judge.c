/* Checking one event: the events it cites, and the authorization rules by a state. */
#include "rooms/accept/accept_internal.h"

#include "storage/db/intern.h"

/* ---- what is missing ---- */

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

static const struct err *has_auth(struct intake *in, const char *id, bool *ret)
{
    const struct known_event *known;
    *ret = draft_find(&in->w.draft, id) != NULL;
    if (*ret)
        return NULL;
    TRY(lookup_get(in->lookup, id, &known));
    *ret = known != NULL;
    return NULL;
}

static const struct err *accept_judge_find_missing(struct intake *in, size_t i)
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
    for (size_t k = 0; k < e->auth_n; k++) {
        TRY(has_auth(in, e->auth_events[k], &is_here));
        if (!is_here)
            auth[o->missing_auth_n++] = e->auth_events[k];
    }
    return NULL;
}

/* Events that were missing when they were looked up may have been stored by another transaction
 * since: looks them up again. */
const struct err *accept_find_missing(struct intake *in, size_t i, bool *ret_missing)
{
    struct accept_outcome *o = &in->outcomes[i];
    TRY(accept_judge_find_missing(in, i));
    if (o->missing_prev_n || o->missing_auth_n) {
        TRY(lookup_again(in->lookup, o->missing_prev, o->missing_prev_n));
        TRY(lookup_again(in->lookup, o->missing_auth, o->missing_auth_n));
        TRY(accept_judge_find_missing(in, i));
    }
    *ret_missing = o->missing_prev_n || o->missing_auth_n;
    if (*ret_missing)
        o->verdict = VERDICT_MISSING;
    return NULL;
}

/* ---- by the auth events ---- */

const struct err *accept_read_cited(struct intake *in, const struct event *e,
                                    struct cited_events *ret)
{
    ret->n = 0;
    for (size_t k = 0; k < e->auth_n && k < EVENT_AUTH_MAX; k++) {
        const struct draft_event *drafted = draft_find(&in->w.draft, e->auth_events[k]);
        const struct known_event *known = NULL;
        if (!drafted)
            TRY(lookup_get(in->lookup, e->auth_events[k], &known));
        ret->events[ret->n] = drafted ? drafted->event : known->e.event;
        ret->rejected[ret->n++] = known && known->e.status == EVENT_REJECTED;
    }
    return NULL;
}

/* The reason of a refusal; NULL: none. */
static const char *reason_of(struct intake *in, const struct err *refused)
{
    return refused ? arena_strdup(in->job->arena, refused->text) : NULL;
}

/* In version 12 no event cites the create event. */
static const struct err *create_event(struct intake *in, const struct event **ret)
{
    *ret = NULL;
    if (!in->room->version->room_id_is_create_hash)
        return NULL;
    const struct known_event *known;
    const char *id = arena_printf(in->job->arena, "$%s", in->room->room_id + 1);
    TRY(lookup_get(in->lookup, id, &known));
    *ret = known && known->e.status != EVENT_REJECTED ? known->e.event : NULL;
    return NULL;
}

const struct err *accept_judge_by_cited(struct intake *in, const struct event *e,
                                        const struct cited_events *c, const char **ret_why)
{
    struct auth_state_list list;
    const struct event *create;
    TRY(create_event(in, &create));
    *ret_why = reason_of(in, auth_check_auth_events(e, c->events, c->rejected));
    if (*ret_why)
        return NULL;
    auth_state_list_init(&list, c->events, c->n, create);
    *ret_why = reason_of(in, auth_check(e, &list.state));
    return NULL;
}

/* ---- by a state ---- */

enum { KEYS_MAX = 16 };

/* The events of a state by which an event is checked. */
struct gathered {
    struct intake *in;
    const struct state_view *view;
    const struct cited_events *cited; /* if the state lacks members: the cited events; else NULL */
    const struct event *events[KEYS_MAX];
    size_t n;
    const struct err *error;
};

/* While the state is partial, the sender's member event is taken from the event's auth events. */
static const struct event *cited_member(const struct gathered *g, const char *type,
                                        const char *state_key)
{
    bool is_member = strcmp(type, "m.room.member") == 0;
    for (size_t i = 0; g->cited && is_member && i < g->cited->n; i++) {
        const struct event *e = g->cited->events[i];
        if (!g->cited->rejected[i] && e->state_key && strcmp(e->type, type) == 0 &&
            strcmp(e->state_key, state_key) == 0)
            return e;
    }
    return NULL;
}

static const struct err *current_state(struct intake *in, const char *type, const char *state_key,
                                       const struct event **ret)
{
    if (in->w.is_locked)
        return draft_state(&in->w.draft, type, state_key, ret);
    LOCKED(&in->room->lock);
    TRY(draft_state(&in->w.draft, type, state_key, ret));
    if (*ret)
        event_keep(in->job->arena, event_ref(*ret));
    return NULL;
}

static const struct err *accept_judge_read_key(struct gathered *g, const char *type,
                                               const char *state_key, const struct event **ret)
{
    struct job *job = g->in->job;
    int64_t type_id;
    const struct state_ref_entry *entry = NULL;
    *ret = NULL;
    if (g->view && g->view->n) {
        TRY(intern_id(job->node->intern, INTERN_TYPE, type, &type_id));
        entry = state_view_find(g->view, type_id, state_key);
    }
    if (!entry)
        return current_state(g->in, type, state_key, ret);
    const struct stored_event *stored = NULL;
    if (entry->event)
        TRY(lookup_at(g->in->lookup, entry->event, &stored));
    *ret = stored ? stored->event : NULL;
    return NULL;
}

static void accept_judge_gather(void *ctx, const char *type, const char *state_key)
{
    struct gathered *g = ctx;
    const struct event *e = NULL;
    if (!g->error)
        g->error = accept_judge_read_key(g, type, state_key, &e);
    if (!e)
        e = cited_member(g, type, state_key);
    if (e && g->n < KEYS_MAX)
        g->events[g->n++] = e;
}

/* A view's entries of the keys by which an event is checked. */
struct named {
    struct intake *in;
    const struct state_view *view;
    int64_t positions[KEYS_MAX];
    size_t n;
    const struct err *error;
};

static void name(void *ctx, const char *type, const char *state_key)
{
    struct named *named = ctx;
    int64_t type_id;
    if (!named->error)
        named->error = intern_id(named->in->job->node->intern, INTERN_TYPE, type, &type_id);
    if (named->error || named->n == KEYS_MAX)
        return;
    const struct state_ref_entry *entry = state_view_find(named->view, type_id, state_key);
    if (entry)
        named->positions[named->n++] = entry->event;
}

static void each_key(struct intake *in, const struct event *e,
                     void (*each)(void *ctx, const char *type, const char *state_key), void *ctx)
{
    each(ctx, "m.room.create", "");
    auth_events_for(in->room->version, e->type, e->sender, e->state_key,
                    strcmp(e->type, "m.room.member") == 0 ? event_content(e) : NULL, each, ctx);
}

/* In one query, not one by one. */
static const struct err *load_named(struct intake *in, const struct event *e,
                                    const struct state_view *view)
{
    struct named named = {.in = in, .view = view};
    if (!view || !view->n)
        return NULL;
    each_key(in, e, name, &named);
    return named.error ? named.error : lookup_load_at(in->lookup, named.positions, named.n);
}

const struct err *accept_judge_by_state(struct intake *in, const struct event *e,
                                        const struct state_view *view, const char **ret_why)
{
    struct gathered g = {.in = in, .view = view};
    struct auth_state_list list;
    struct cited_events cited;
    if (in->room->is_partial) {
        TRY(accept_read_cited(in, e, &cited));
        g.cited = &cited;
    }
    TRY(load_named(in, e, view));
    each_key(in, e, accept_judge_gather, &g);
    if (g.error)
        return g.error;
    auth_state_list_init(&list, g.events, g.n, NULL);
    *ret_why = reason_of(in, auth_check(e, &list.state));
    return NULL;
}
