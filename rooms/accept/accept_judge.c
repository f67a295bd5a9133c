/* The steps that apply the authorization rules: by the auth events, and by a state. */
#include "rooms/accept/accept_internal.h"

#include "storage/db/intern.h"

/* ---- by the auth events ---- */

static const struct err *read_cited(struct intake *in, const struct event *e,
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

static void accept_judge_note(struct event_check *c, const struct err *refused,
                              enum accept_verdict verdict)
{
    if (refused)
        event_check_conclude(c, verdict, arena_strdup(c->in->job->arena, refused->text));
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

/* Checks the list of auth events, then the event by the state that they form. */
const struct err *accept_check_auth_events(struct event_check *c)
{
    struct auth_state_list list;
    const struct event *create;
    const struct cited_events *cited = &c->cited;
    TRY(read_cited(c->in, c->event, &c->cited));
    TRY(create_event(c->in, &create));
    const struct err *refused = auth_check_auth_events(c->event, cited->events, cited->rejected);
    if (!refused) {
        auth_state_list_init(&list, cited->events, cited->n, create);
        refused = auth_check(c->event, &list.state);
    }
    accept_judge_note(c, refused, VERDICT_REJECTED);
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
        TRY(intern_id(job->storage->intern, INTERN_TYPE, type, &type_id));
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
        named->error = intern_id(named->in->job->storage->intern, INTERN_TYPE, type, &type_id);
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

/* view NULL: by the current state, with the drafted events. */
static const struct err *judge_by_state(struct event_check *c, const struct state_view *view,
                                        enum accept_verdict verdict)
{
    struct gathered g = {.in = c->in, .view = view};
    struct auth_state_list list;
    if (c->in->room->is_partial)
        g.cited = &c->cited;
    TRY(load_named(c->in, c->event, view));
    each_key(c->in, c->event, accept_judge_gather, &g);
    if (g.error)
        return g.error;
    auth_state_list_init(&list, g.events, g.n, NULL);
    accept_judge_note(c, auth_check(c->event, &list.state), verdict);
    return NULL;
}

const struct err *accept_check_state_before(struct event_check *c)
{
    bool is_create = !c->event->prev_n; /* of history: there is no state before it */
    return is_create ? NULL : judge_by_state(c, c->before, VERDICT_REJECTED);
}

const struct err *accept_check_current_state(struct event_check *c)
{
    if (c->in->room->is_partial) /* the current members are not all known yet */
        return NULL;
    return judge_by_state(c, NULL, VERDICT_SOFT_FAILED);
}
