#include "server/sync/read/timeline.h"

#include "matrix/json_scan.h"
#include "rooms/accept/history.h"
#include "rooms/read/visibility.h"

enum { LIMIT_DEFAULT = 10, LIMIT_MAX = 1000, SCAN_MAX = 1000, PAGES_MAX = 10, GAPS_MAX = 4 };

struct timeline_reading {
    const struct sync_reader *who;
    const struct sync_range *range;
    const struct sync_room *room;
    const struct event_filter *filter;
};

/* Events collected from the newest to the oldest. */
struct timeline_gathering {
    const struct stored_event **kept; /* newest first */
    size_t kept_n, limit;
    const struct stored_event **hidden; /* invisible state events */
    size_t hidden_n, hidden_cap;
    bool limited, complete;
    int64_t gap; /* position of an event with missing prev events: older ones do not lead up to it;
                    0: none */
};

static size_t timeline_limit(const struct event_filter *f)
{
    int64_t limit = f->limit_given ? f->limit : LIMIT_DEFAULT;
    return (size_t)(limit < LIMIT_MAX ? limit : LIMIT_MAX);
}

static bool timeline_matches_filter(const struct timeline_reading *t, const struct stored_event *e)
{
    const struct event_filter *f = t->filter;
    if (e->is_withheld)
        return false;
    if (!e->is_state && sync_reader_ignores(t->who, e->event->sender))
        return false;
    if (f->matches_everything)
        return true;
    struct str url = json_scan_get(e->event->content, "url");
    struct str rel = json_scan_path(e->event->content, "m.relates_to", "rel_type", NULL);
    return filter_matches(f,
                          &(struct filter_subject){
                              .type = e->event->type,
                              .sender = e->event->sender,
                              .room_id = t->room->room->room_id,
                              .has_url = url.n && url.p[0] == '"',
                              .rel_type = rel.p ? json_scan_string(t->who->job->arena, rel) : NULL,
                          });
}

static void timeline_hide(const struct timeline_reading *t, struct timeline_gathering *g,
                          const struct stored_event *e)
{
    if (g->hidden_n == g->hidden_cap) {
        size_t cap = g->hidden_cap ? g->hidden_cap * 2 : 8;
        const struct stored_event **grown =
            arena_alloc_array(t->who->job->arena, cap, sizeof *grown);
        if (g->hidden_n)
            memcpy(grown, g->hidden, g->hidden_n * sizeof *grown);
        g->hidden = grown;
        g->hidden_cap = cap;
    }
    g->hidden[g->hidden_n++] = e;
}

/* The newest gap in this range; this server's own join is not one, since the timeline may begin
 * there. */
static const struct err *timeline_find_gap(const struct timeline_reading *t, int64_t *ret)
{
    const struct history_end *ends;
    size_t n;
    int64_t newest = room_gap(t->room->room);
    if (newest <= t->room->since || (newest == t->room->joined_at && t->room->since == newest - 1))
        return NULL;
    TRY(history_ends(t->who->job, t->room->room, GAPS_MAX, &ends, &n));
    if (!n || ends[0].position < newest)
        room_gap_closed(t->room->room, newest, n ? ends[0].position : 0);
    for (size_t i = n; i-- > 0;)
        if (ends[i].position > t->room->since && ends[i].position <= t->room->until)
            *ret = ends[i].position;
    return NULL;
}

/* Adds events (newest first) until the limit is exceeded, or a gap. */
static const struct err *timeline_gather(const struct timeline_reading *t,
                                         struct timeline_gathering *g,
                                         const struct stored_event *const *events, size_t n)
{
    bool *visible = arena_alloc_array(t->who->job->arena, n + 1, sizeof *visible);
    memset(visible, true, n);
    if (t->room->may_hide)
        TRY(visibility_filter(t->who->job, t->room->room, t->who->caller->user,
                              t->who->caller->user_id, events, n, visible));
    for (size_t i = 0; i < n && !g->complete; i++) {
        bool shown = visible[i] && timeline_matches_filter(t, events[i]);
        if (events[i]->position < g->gap) {
            g->limited = g->complete = true;
        } else if (!visible[i] && events[i]->is_state && g->kept_n) {
            /* A timeline cannot span a change of state that must not be shown. */
            g->limited = g->complete = true;
        } else if (!shown) {
            if (events[i]->is_state)
                timeline_hide(t, g, events[i]);
        } else if (g->kept_n == g->limit) {
            g->limited = g->complete = true;
        } else {
            g->kept[g->kept_n++] = events[i];
        }
    }
    return NULL;
}

static struct stored_event *timeline_event_of(struct arena *a, const struct change *c)
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

static const struct err *timeline_gather_from_feed(const struct timeline_reading *t,
                                                   struct timeline_gathering *g,
                                                   bool *ret_has_children)
{
    const struct change *changes;
    size_t n;
    bool more;
    size_t max = t->filter->matches_everything && !t->who->ignored ? g->limit : SCAN_MAX;
    feed_read_room(t->who->job->storage->feed, t->who->job->arena, t->room->room->id,
                   t->room->since, t->room->until, 1u << CHANGE_EVENT, max, &changes, &n, &more);
    const struct stored_event **events =
        arena_alloc_array(t->who->job->arena, n + 1, sizeof *events);
    for (size_t i = 0; i < n; i++) {
        events[i] = timeline_event_of(t->who->job->arena, &changes[n - 1 - i]);
        *ret_has_children |= changes[i].event.has_children;
    }
    g->limited = more;
    return timeline_gather(t, g, events, n);
}

static const struct err *timeline_gather_from_database(const struct timeline_reading *t,
                                                       struct timeline_gathering *g)
{
    int64_t to = t->room->until;
    for (int page = 0; page < PAGES_MAX && !g->complete; page++) {
        int64_t limit = page ? SCAN_MAX / PAGES_MAX : (int64_t)g->limit + 1;
        const struct stored_event *list;
        size_t n;
        TRY(events_page(job_replica_tx(t->who->job), t->room->room->id, t->room->since, to, true,
                        limit, &list, &n));
        const struct stored_event **events =
            arena_alloc_array(t->who->job->arena, n + 1, sizeof *events);
        for (size_t i = 0; i < n; i++)
            events[i] = &list[i];
        TRY(timeline_gather(t, g, events, n));
        if ((int64_t)n < limit)
            return NULL;
        to = list[n - 1].position - 1;
    }
    g->limited = true;
    return NULL;
}

const struct err *sync_timeline_read(const struct sync_reader *who, const struct sync_range *range,
                                     const struct sync_room *room,
                                     const struct event_filter *filter, struct sync_timeline *ret)
{
    const struct timeline_reading t = {who, range, room, filter};
    struct arena *a = who->job->arena;
    struct timeline_gathering g = {.limit = timeline_limit(filter)};
    g.kept = arena_alloc_array(a, g.limit + 1, sizeof *g.kept);
    TRY(timeline_find_gap(&t, &g.gap));
    bool from_feed = range->from_feed && room->since >= range->since, has_children = false;
    if (from_feed)
        TRY(timeline_gather_from_feed(&t, &g, &has_children));
    else
        TRY(timeline_gather_from_database(&t, &g));
    g.limited |= g.gap != 0;

    struct sync_timeline line = {
        .shown = arena_alloc_array(a, g.kept_n + 1, sizeof *line.shown),
        .shown_n = g.kept_n,
        .limited = g.limited || room->joined_at || range->is_resync ||
                   (room->is_newly_joined && !range->is_initial),
        .relations = from_feed && !has_children ? RELATIONS_NONE : RELATIONS_UNKNOWN,
    };
    for (size_t i = 0; i < g.kept_n; i++)
        line.shown[i] = g.kept[g.kept_n - 1 - i];
    line.start = !g.limited ? room->since + 1
                 : g.kept_n ? line.shown[0]->position
                            : room->until + 1;
    line.hidden = arena_alloc_array(a, g.hidden_n + 1, sizeof *line.hidden);
    for (size_t i = g.hidden_n; i-- > 0;)
        if (g.hidden[i]->position >= line.start)
            line.hidden[line.hidden_n++] = g.hidden[i];
    *ret = line;
    return NULL;
}
