#include "server/sync/sync.h"

#include "matrix/json_scan.h"
#include "rooms/accept/history.h"
#include "rooms/read/visibility.h"

enum { LIMIT_DEFAULT = 10, LIMIT_MAX = 1000, SCAN_MAX = 1000, PAGES_MAX = 10, GAPS_MAX = 4 };

/* Events collected from the newest to the oldest. */
struct gathering {
    const struct stored_event **kept; /* newest first */
    size_t kept_n, limit;
    const struct stored_event **hidden; /* invisible state events */
    size_t hidden_n, hidden_cap;
    bool limited, complete;
    int64_t gap; /* position of an event with missing prev events: older ones do not lead up to it;
                    0: none */
};

static size_t limit_of(const struct sync *s)
{
    const struct event_filter *f = &s->filter.timeline;
    int64_t limit = f->limit_given ? f->limit : LIMIT_DEFAULT;
    return (size_t)(limit < LIMIT_MAX ? limit : LIMIT_MAX);
}

static bool timeline_matches_filter(const struct sync *s, const struct room_task *t,
                                    const struct stored_event *e)
{
    const struct event_filter *f = &s->filter.timeline;
    if (e->is_withheld)
        return false;
    if (!e->is_state && sync_is_ignored(s, e->event->sender))
        return false;
    if (f->matches_everything)
        return true;
    struct str url = json_scan_get(e->event->content, "url");
    struct str rel = json_scan_path(e->event->content, "m.relates_to", "rel_type", NULL);
    return filter_matches(f, &(struct filter_subject){
                                 .type = e->event->type,
                                 .sender = e->event->sender,
                                 .room_id = t->room->room_id,
                                 .has_url = url.n && url.p[0] == '"',
                                 .rel_type = rel.p ? json_scan_string(s->job->arena, rel) : NULL,
                             });
}

static void hide(struct sync *s, struct gathering *g, const struct stored_event *e)
{
    if (g->hidden_n == g->hidden_cap) {
        size_t cap = g->hidden_cap ? g->hidden_cap * 2 : 8;
        const struct stored_event **grown = arena_alloc_array(s->job->arena, cap, sizeof *grown);
        if (g->hidden_n)
            memcpy(grown, g->hidden, g->hidden_n * sizeof *grown);
        g->hidden = grown;
        g->hidden_cap = cap;
    }
    g->hidden[g->hidden_n++] = e;
}

/* The newest gap in this range; this server's own join is not one, since the timeline may begin
 * there. */
static const struct err *find_gap(struct sync *s, const struct room_task *t, int64_t *ret)
{
    const struct history_end *ends;
    size_t n;
    int64_t newest = room_gap(t->room);
    if (newest <= t->since || (newest == t->joined_at && t->since == newest - 1))
        return NULL;
    TRY(history_ends(s->job, t->room, GAPS_MAX, &ends, &n));
    if (!n || ends[0].position < newest)
        room_gap_closed(t->room, newest, n ? ends[0].position : 0);
    for (size_t i = n; i-- > 0;)
        if (ends[i].position > t->since && ends[i].position <= t->until)
            *ret = ends[i].position;
    return NULL;
}

/* Adds events (newest first) until the limit is exceeded, or a gap. */
static const struct err *timeline_gather(struct sync *s, const struct room_task *t,
                                         struct gathering *g,
                                         const struct stored_event *const *events, size_t n)
{
    bool *visible = arena_alloc_array(s->job->arena, n + 1, sizeof *visible);
    memset(visible, true, n);
    if (t->may_hide)
        TRY(visibility_filter(s->job, t->room, s->caller->user, s->caller->user_id, events, n,
                              visible));
    for (size_t i = 0; i < n && !g->complete; i++) {
        bool shown = visible[i] && timeline_matches_filter(s, t, events[i]);
        if (events[i]->position < g->gap) {
            g->limited = g->complete = true;
        } else if (!visible[i] && events[i]->is_state && g->kept_n) {
            /* A timeline cannot span a change of state that must not be shown. */
            g->limited = g->complete = true;
        } else if (!shown) {
            if (events[i]->is_state)
                hide(s, g, events[i]);
        } else if (g->kept_n == g->limit) {
            g->limited = g->complete = true;
        } else {
            g->kept[g->kept_n++] = events[i];
        }
    }
    return NULL;
}

static struct stored_event *from_change(struct arena *a, const struct change *c)
{
    const struct change_event *of = change_as_event(c);
    struct stored_event *e = arena_alloc(a, sizeof *e);
    *e = (struct stored_event){
        .position = c->position,
        .room = c->room,
        .sender = c->user,
        .thread = of->thread,
        .notify_total = of->notify_total,
        .highlight_total = of->highlight_total,
        .redacted_by = of->redacted_by,
        .client_device = of->client_device,
        .client_txn = of->client_txn,
        .is_state = of->event->state_key && !of->is_lost,
        .is_withheld = of->is_withheld,
        .event = of->event,
    };
    return e;
}

static const struct err *gather_from_feed(struct sync *s, const struct room_task *t,
                                          struct gathering *g, bool *ret_has_children)
{
    const struct change *changes;
    size_t n;
    bool more;
    size_t max = s->filter.timeline.matches_everything && !s->ignored ? g->limit : SCAN_MAX;
    feed_read_room(s->job->storage->feed, s->job->arena, t->room->id, t->since, t->until,
                   1u << CHANGE_EVENT, max, &changes, &n, &more);
    const struct stored_event **events = arena_alloc_array(s->job->arena, n + 1, sizeof *events);
    for (size_t i = 0; i < n; i++) {
        events[i] = from_change(s->job->arena, &changes[n - 1 - i]);
        *ret_has_children |= changes[i].event.has_children;
    }
    g->limited = more;
    return timeline_gather(s, t, g, events, n);
}

static const struct err *gather_from_database(struct sync *s, const struct room_task *t,
                                              struct gathering *g)
{
    int64_t to = t->until;
    for (int page = 0; page < PAGES_MAX && !g->complete; page++) {
        int64_t limit = page ? SCAN_MAX / PAGES_MAX : (int64_t)g->limit + 1;
        const struct stored_event *list;
        size_t n;
        TRY(events_page(job_tx(s->job), t->room->id, t->since, to, true, limit, &list, &n));
        const struct stored_event **events =
            arena_alloc_array(s->job->arena, n + 1, sizeof *events);
        for (size_t i = 0; i < n; i++)
            events[i] = &list[i];
        TRY(timeline_gather(s, t, g, events, n));
        if ((int64_t)n < limit)
            return NULL;
        to = list[n - 1].position - 1;
    }
    g->limited = true;
    return NULL;
}

const struct err *sync_read_timeline(struct sync *s, const struct room_task *t,
                                     struct timeline *ret)
{
    struct arena *a = s->job->arena;
    struct gathering g = {.limit = limit_of(s)};
    g.kept = arena_alloc_array(a, g.limit + 1, sizeof *g.kept);
    TRY(find_gap(s, t, &g.gap));
    bool from_feed = s->from_feed && t->since >= s->since, has_children = false;
    if (from_feed)
        TRY(gather_from_feed(s, t, &g, &has_children));
    else
        TRY(gather_from_database(s, t, &g));
    g.limited |= g.gap != 0;

    struct timeline line = {
        .shown = arena_alloc_array(a, g.kept_n + 1, sizeof *line.shown),
        .visible_n = g.kept_n,
        .limited =
            g.limited || t->joined_at || s->is_resync || (t->is_newly_joined && !s->is_initial),
        .relations = from_feed && !has_children ? RELATIONS_NONE : RELATIONS_UNKNOWN,
    };
    for (size_t i = 0; i < g.kept_n; i++)
        line.shown[i] = g.kept[g.kept_n - 1 - i];
    line.start = !g.limited ? t->since + 1 : g.kept_n ? line.shown[0]->position : t->until + 1;
    line.hidden = arena_alloc_array(a, g.hidden_n + 1, sizeof *line.hidden);
    for (size_t i = g.hidden_n; i-- > 0;)
        if (g.hidden[i]->position >= line.start)
            line.hidden[line.hidden_n++] = g.hidden[i];
    *ret = line;
    return NULL;
}
