#include "federation/routes/event_walk.h"

#include "storage/rooms/event_lookup.h"

enum {
    PAGES = 4, /* of the timeline to read ahead: most events follow the one before */
    VISITED_SHARE = 4,
    VISITED_MORE = 100 /* events visited: so many, and VISITED_SHARE for each returned */
};

struct state {
    struct job *job;
    struct room *room;
    const struct event_walk *w;
    struct map ahead; /* event id -> struct stored_event, read from the timeline */
    struct map seen;  /* ids already visited */
    const struct stored_event **frontier;
    size_t frontier_n, visits;
    int pages;
};

/* ---- finding events ---- */

static const struct err *read_ahead(struct state *s, const struct stored_event *from)
{
    const struct stored_event *page;
    size_t n;
    if (!s->pages || event_is_off_timeline(from->position))
        return NULL;
    s->pages--;
    TRY(events_page(job_tx(s->job), s->room->id, EVENT_OFF_TIMELINE_MAX, from->position - 1, true,
                    (int64_t)s->w->limit, &page, &n));
    for (size_t i = 0; i < n; i++)
        map_put(&s->ahead, str_of(page[i].event->event_id), (void *)&page[i]);
    return NULL;
}

static void reach(struct state *s, const struct stored_event *e)
{
    if (e->status != EVENT_OUTLIER && e->event->depth >= s->w->min_depth && s->visits) {
        s->visits--;
        s->frontier[s->frontier_n++] = e;
    }
}

/* Adds the stored ones among the ids to the frontier. */
static const struct err *reach_all(struct state *s, const char *const *ids, size_t n)
{
    const char **wanted = arena_alloc_array(s->job->arena, n + 1, sizeof *wanted);
    const struct stored_event *found;
    size_t wanted_n = 0, found_n = 0;
    for (size_t i = 0; i < n; i++) {
        if (map_put(&s->seen, str_of(ids[i]), s))
            continue;
        const struct stored_event *e = map_get(&s->ahead, str_of(ids[i]));
        if (e)
            reach(s, e);
        else
            wanted[wanted_n++] = ids[i];
    }
    if (wanted_n)
        TRY(events_find_many(job_tx(s->job), s->room->id, s->room->version, wanted, wanted_n,
                             &found, &found_n));
    for (size_t i = 0; i < found_n; i++)
        reach(s, &found[i]);
    return found_n ? read_ahead(s, &found[0]) : NULL;
}

/* ---- walking ---- */

static const struct stored_event *take_deepest(struct state *s)
{
    size_t best = 0;
    for (size_t i = 1; i < s->frontier_n; i++) {
        const struct stored_event *a = s->frontier[i], *b = s->frontier[best];
        if (a->event->depth > b->event->depth ||
            (a->event->depth == b->event->depth && a->position > b->position))
            best = i;
    }
    const struct stored_event *e = s->frontier[best];
    s->frontier[best] = s->frontier[--s->frontier_n];
    return e;
}

/* The events of `from` themselves are not returned unless with_from is set. */
static const struct err *event_walk_start(struct state *s)
{
    const struct event_walk *w = s->w;
    for (size_t i = 0; i < w->until_n; i++)
        map_put(&s->seen, str_of(w->until[i]), s);
    if (w->with_from)
        return reach_all(s, w->from, w->from_n);
    const struct stored_event *from;
    size_t n;
    TRY(events_find_many(job_tx(s->job), s->room->id, s->room->version, w->from, w->from_n, &from,
                         &n));
    for (size_t i = 0; i < w->from_n; i++)
        map_put(&s->seen, str_of(w->from[i]), s);
    for (size_t i = 0; i < n; i++)
        TRY(reach_all(s, from[i].event->prev_events, from[i].event->prev_n));
    return NULL;
}

static const struct err *walk_back(struct state *s, const struct stored_event **ret, size_t *ret_n)
{
    size_t n = 0;
    TRY(event_walk_start(s));
    while (s->frontier_n && n < s->w->limit) {
        const struct stored_event *e = take_deepest(s);
        if (e->status != EVENT_REJECTED)
            ret[n++] = e;
        TRY(reach_all(s, e->event->prev_events, e->event->prev_n));
    }
    *ret_n = n;
    return NULL;
}

const struct err *event_walk_back(struct job *job, struct room *room, const struct event_walk *w,
                                  const struct stored_event ***ret, size_t *ret_n)
{
    struct state s = {.job = job,
                      .room = room,
                      .w = w,
                      .visits = VISITED_MORE + VISITED_SHARE * w->limit,
                      .pages = PAGES};
    s.frontier = arena_alloc_array(job->arena, s.visits + 1, sizeof *s.frontier);
    *ret = arena_alloc_array(job->arena, w->limit + 1, sizeof(struct stored_event *));
    const struct err *e = walk_back(&s, *ret, ret_n);
    map_finish(&s.ahead);
    map_finish(&s.seen);
    return e;
}
