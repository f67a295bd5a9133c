#include "rooms/accept/history.h"

#include "rooms/accept/accept_internal.h"
#include "rooms/accept/late_redactions.h"
#include "rooms/write/relations.h"
#include "storage/db/intern.h"
#include "storage/rooms/search.h"

/* ---- the order of the events ---- */

struct old_event {
    const struct event *event;
    size_t children; /* among these events, not yet in order */
    bool placed;
    struct state_view before;
    const char *why; /* reason of the rejection; NULL: allowed */
};

struct stretch {
    struct intake in;
    struct old_event *events; /* newest first, once in order */
    size_t n;
    struct map by_id;
    const char *const *state_ids;
    size_t state_n;
    struct state_view remote; /* of state_ids */
};

static const struct err *history_list_new(struct stretch *s, const struct event *const *events,
                                          size_t n)
{
    const char **ids = arena_alloc_array(s->in.job->arena, n + 1, sizeof *ids);
    for (size_t i = 0; i < n; i++)
        ids[i] = events[i]->event_id;
    TRY(lookup_load(s->in.lookup, ids, n));
    s->events = arena_alloc_array(s->in.job->arena, n + 1, sizeof *s->events);
    for (size_t i = 0; i < n; i++) {
        const struct known_event *known;
        TRY(lookup_get(s->in.lookup, ids[i], &known));
        bool is_here = known && known_is_placed(known);
        bool is_orphan = !events[i]->prev_n && strcmp(events[i]->type, "m.room.create") != 0;
        if (is_here || is_orphan || map_get(&s->by_id, str_of(ids[i])))
            continue;
        struct old_event *o = &s->events[s->n++];
        *o = (struct old_event){.event = events[i]};
        map_put(&s->by_id, str_of(ids[i]), o);
    }
    return NULL;
}

static void count_children(struct stretch *s)
{
    for (size_t i = 0; i < s->n; i++)
        for (size_t k = 0; k < s->events[i].event->prev_n; k++) {
            struct old_event *parent =
                map_get(&s->by_id, str_of(s->events[i].event->prev_events[k]));
            if (parent)
                parent->children++;
        }
}

/* The deepest event whose children are all in order is next; on a cycle, any. */
static struct old_event *history_pick(struct stretch *s)
{
    struct old_event *best = NULL;
    for (size_t i = 0; i < s->n; i++) {
        struct old_event *o = &s->events[i];
        if (o->placed)
            continue;
        if (!best || (!o->children && best->children) ||
            (!o->children == !best->children && o->event->depth > best->event->depth))
            best = o;
    }
    return best;
}

static void history_put_in_order(struct stretch *s)
{
    struct old_event *order = arena_alloc_array(s->in.job->arena, s->n + 1, sizeof *order);
    count_children(s);
    for (size_t i = 0; i < s->n; i++) {
        struct old_event *o = history_pick(s);
        o->placed = true;
        for (size_t k = 0; k < o->event->prev_n; k++) {
            struct old_event *parent = map_get(&s->by_id, str_of(o->event->prev_events[k]));
            if (parent && parent->children)
                parent->children--;
        }
        order[i] = *o;
    }
    s->events = order;
    for (size_t i = 0; i < s->n; i++)
        map_put(&s->by_id, str_of(order[i].event->event_id), &order[i]);
}

/* ---- the states ---- */

static const struct err *history_after(struct stretch *s, const struct old_event *o,
                                       struct state_view *ret)
{
    struct arena *a = s->in.job->arena;
    const struct known_event *known;
    *ret = o->before;
    if (!o->event->state_key || o->why)
        return NULL;
    TRY(lookup_get(s->in.lookup, o->event->event_id, &known));
    *ret = state_view_copy(a, &o->before);
    state_view_put(a, ret, known->e.type, o->event->state_key, known->e.position);
    return NULL;
}

static const struct err *after_parent(struct stretch *s, const char *id, struct state_view *ret,
                                      bool *ret_known)
{
    const struct old_event *o = map_get(&s->by_id, str_of(id));
    const struct known_event *known;
    *ret_known = true;
    if (o)
        return history_after(s, o, ret);
    TRY(lookup_get(s->in.lookup, id, &known));
    *ret_known = false;
    return known ? state_views_after(s->in.job, s->in.room, &known, 1, ret, ret_known) : NULL;
}

/* The state before an event: by its parents, or the received one if they are not stored. */
static const struct err *history_find_before(struct stretch *s, struct old_event *o)
{
    const struct event *e = o->event;
    struct state_view *views = arena_alloc_array(s->in.job->arena, e->prev_n + 2, sizeof *views);
    size_t n = 0, unknown = 0;
    for (size_t k = 0; k < e->prev_n; k++) {
        bool known;
        TRY(after_parent(s, e->prev_events[k], &views[n], &known));
        n += known;
        unknown += !known;
    }
    if (unknown || !e->prev_n) /* the first event has no state before it, and none was received */
        views[n++] = s->remote;
    size_t weighed = 0;
    return state_view_resolve(s->in.job, s->in.room, s->in.lookup, views, n, &o->before, &weighed);
}

static const struct err *history_judge(struct stretch *s, struct old_event *o)
{
    struct event_check c = {
        .in = &s->in, .event = o->event, .way = WAY_HISTORY, .before = &o->before};
    TRY(event_check_run(&c));
    o->why = c.why;
    return NULL;
}

/* ---- writing ---- */

static const struct err *history_write_relation(struct stretch *s, const struct stored_event *e)
{
    struct related related = {0};
    TRY(relation_of_new_event(s->in.job, s->in.room, e->event, false, &related));
    if (related.relation.parent)
        relations_write_at(s->in.w.write, s->in.room->version, &related.relation, s->in.room->id,
                           e->sender, e->type, e->position);
    return NULL;
}

static const struct err *place(struct stretch *s, struct old_event *o, int64_t position,
                               const struct known_event *before)
{
    const struct event *e = o->event;
    struct known_event *known = arena_alloc(s->in.job->arena, sizeof *known);
    known->e = (struct stored_event){.position = position,
                                     .room = s->in.room->id,
                                     .is_state = e->state_key != NULL,
                                     .status = EVENT_NORMAL,
                                     .event = e};
    TRY(intern_id(s->in.job->storage->intern, INTERN_USER, e->sender, &known->e.sender));
    TRY(intern_id(s->in.job->storage->intern, INTERN_TYPE, e->type, &known->e.type));
    if (before)
        events_move(s->in.w.write, &known->e, before->e.position, 0);
    else
        events_write_at(s->in.w.write, &known->e);
    lookup_add(s->in.lookup, known);
    return history_write_relation(s, &known->e);
}

/* Called oldest first, since the state before each depends on its parents. */
static const struct err *history_write_one(struct stretch *s, struct old_event *o, int64_t position,
                                           int64_t *ref, const struct state_view **ref_of)
{
    const struct known_event *known;
    TRY(lookup_get(s->in.lookup, o->event->event_id, &known));
    TRY(history_find_before(s, o));
    TRY(history_judge(s, o));
    if (o->why)
        position = known ? known->e.position : EVENT_OFF_TIMELINE_MAX;
    if (!*ref_of || !state_view_equal(s->in.job->arena, *ref_of, &o->before)) {
        TRY(accept_write_state_ref(&s->in, &o->before, ref));
        *ref_of = &o->before;
    }
    if (o->why)
        return accept_store_off_timeline(&s->in, o->event, EVENT_REJECTED, *ref);
    TRY(place(s, o, position, known));
    event_state_write(s->in.w.write, 0, position, *ref);
    return history_ends_note(s->in.lookup, s->in.w.write, o->event, 0, position);
}

static const struct err *history_write_all(struct stretch *s, size_t *ret_added)
{
    const int64_t *places;
    const struct state_view *ref_of = NULL;
    int64_t ref = 0;
    TRY(events_reserve(job_tx(s->in.job), true, s->n, &places));
    search_range_write(s->in.w.write, &(struct search_range){.room = s->in.room->id,
                                                             .first = places[s->n - 1],
                                                             .last = places[0]});
    for (size_t i = s->n; i-- > 0;) {
        TRY(history_write_one(s, &s->events[i], places[i], &ref, &ref_of));
        *ret_added += !s->events[i].why;
    }
    return NULL;
}

static const struct err *history_build(struct stretch *s, const struct event *const *events,
                                       size_t n, size_t *ret_added)
{
    const char *const *missing;
    size_t missing_n;
    s->in.lookup = lookup_create(s->in.job, s->in.room->version, s->in.room->id);
    TRY(history_list_new(s, events, n));
    if (!s->n)
        return NULL;
    TRY(state_view_of_ids(s->in.job, s->in.room, s->in.lookup, s->state_ids, s->state_n, &s->remote,
                          &missing, &missing_n));
    if (missing_n)
        return err(ERR_NOT_FOUND, "The state before the history is not stored");
    history_put_in_order(s);
    return history_write_all(s, ret_added);
}

const struct err *history_add(struct job *job, struct room *room, const struct event *const *events,
                              size_t n, const char *const *state_ids, size_t state_n,
                              size_t *ret_added)
{
    struct stretch s = {
        .in = {.job = job, .room = room}, .state_ids = state_ids, .state_n = state_n};
    *ret_added = 0;
    s.in.w = (struct room_write){.job = job, .room = room, .is_off_timeline = true};
    TRY(room_write_begin(&s.in.w, WRITE_EXCLUSIVE));
    const struct err *e = history_build(&s, events, n, ret_added);
    map_finish(&s.by_id);
    if (e || !s.n) {
        room_write_abandon(&s.in.w);
        return e;
    }
    room_write_enqueue(&s.in.w);
    e = room_write_wait(&s.in.w, NULL);
    if (!e)
        e = late_redactions_apply(job, room, events, n);
    room_write_release(&s.in.w);
    return e;
}
