/* Client-server API, "Event Context": the events just before and after an event. */
#include "rooms/read/walk.h"
#include "server/client/shared/room_reading.h"
#include "server/routes.h"
#include "storage/db/feed.h"

struct context {
    struct request *rq;
    struct reply *rp;
    struct viewer viewer;
    struct room *room;
    const struct event_filter *filter; /* NULL: none */
    const struct stored_event *event;
    struct walked before, after;
    int64_t newest; /* position of the last event returned */
};

static const struct err *walk_both_ways(struct context *c)
{
    size_t limit;
    TRY(reading_limit(c->rq, &limit));
    struct room_walk w = {.room = c->room,
                          .viewer = &c->viewer,
                          .filter = c->filter,
                          .from = c->event->position - 1,
                          .to = WALK_START,
                          .backwards = true,
                          .limit = limit / 2};
    TRY(walk_room(job_of(c->rq), &w, &c->before));
    w.backwards = false;
    w.from = c->event->position;
    w.to = feed_position(job_of(c->rq)->node->storage->feed);
    w.limit = limit - limit / 2;
    TRY(walk_room(job_of(c->rq), &w, &c->after));
    c->newest = c->after.n ? c->after.events[c->after.n - 1]->position : c->event->position;
    return NULL;
}

/* ---- state ---- */

static const struct err *add_senders(struct context *c, bool any)
{
    const struct stored_event **shown =
        arena_alloc_array(c->rq->arena, c->before.n + c->after.n + 1, sizeof *shown);
    memcpy(shown, c->before.events, c->before.n * sizeof *shown);
    memcpy(shown + c->before.n, c->after.events, c->after.n * sizeof *shown);
    shown[c->before.n + c->after.n] = c->event;
    buf_auto struct buf members = {0};
    TRY(reading_add_senders(c->rq, c->room, c->newest, shown, c->before.n + c->after.n + 1,
                            &members));
    if (members.n && any)
        buf_add_char(&c->rp->body, ',');
    buf_add_str(&c->rp->body, buf_str(&members));
    return NULL;
}

static const struct err *context_add_state(struct context *c)
{
    bool lazy = c->filter && c->filter->lazy_load_members, any;
    TRY(reading_add_state(c->rq, c->rp, c->room, c->newest, c->filter, !lazy, &any));
    return lazy ? add_senders(c, any) : NULL;
}

/* ---- the reply ---- */

static const struct err *context_add_events(struct context *c,
                                            const struct stored_event *const *events, size_t n)
{
    return serialize_events(job_of(c->rq), &c->viewer, events, n, RELATIONS_UNKNOWN, &c->rp->body);
}

static const struct err *get_context(struct request *rq, struct reply *rp)
{
    struct context c = {.rq = rq, .rp = rp, .viewer = viewer_of(rq)};
    struct buf *out = &rp->body;
    TRY(reading_filter(rq, &c.filter));
    TRY(reading_room(rq, &c.room));
    TRY(reading_event(rq, c.room, request_param(rq, "event"), &c.event));
    TRY(walk_both_ways(&c));
    buf_add_char(out, '{');
    reading_add_token(rq, rp, "start", c.before.place);
    buf_add_char(out, ',');
    reading_add_token(rq, rp, "end", c.after.place);
    BUF_LIT(out, ",\"event\":");
    TRY(context_add_events(&c, &c.event, 1));
    BUF_LIT(out, ",\"events_before\":[");
    TRY(context_add_events(&c, c.before.events, c.before.n));
    BUF_LIT(out, "],\"events_after\":[");
    TRY(context_add_events(&c, c.after.events, c.after.n));
    BUF_LIT(out, "],\"state\":[");
    TRY(context_add_state(&c));
    BUF_LIT(out, "]}");
    return reply_body(rp, 200);
}

const struct route context_routes[] = {
    {.method = GET,
     .path = "/_matrix/client/v3/rooms/{room}/context/{event}",
     .handler = get_context,
     .who = WHO_GUEST_TOO,
     .spec = "Event context"},
    {.path = NULL},
};
