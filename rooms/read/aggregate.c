#include "rooms/read/aggregate.h"

#include "matrix/json_scan.h"
#include "rooms/account_cache.h"
#include "storage/rooms/relations.h"

struct aggregation {
    struct job *job;
    const struct viewer *viewer;
    const struct visibility *visibility;
    struct children_query query;
    struct children children; /* of the events themselves */
    struct children latest;   /* of the latest events of their threads */
};

static bool is_edit(const struct event *e)
{
    return json_scan_string_is(json_scan_path(e->content, "m.relates_to", "rel_type", NULL),
                               "m.replace");
}

/* The threads' latest events with their own aggregations. There is no deeper level, since a thread
 * cannot start inside of a thread. */
static const struct err *look_up_latest(struct aggregation *a)
{
    const struct children *c = &a->children;
    int64_t *positions = arena_alloc_array(a->job->arena, c->threads_n + 1, sizeof *positions);
    struct children_query q = a->query;
    q.parents_n = 0;
    for (size_t i = 0; i < c->threads_n; i++)
        if (visibility_allows(a->visibility, c->threads[i].latest))
            positions[q.parents_n++] = c->threads[i].latest;
    q.parents = positions;
    return q.parents_n ? relations_of_latest(job_tx(a->job), &q, &a->latest) : NULL;
}

/* Events of erased users may be redacted for the viewer, and then have no relation. */
static const struct err *aggregate_look_at(struct aggregation *a, struct children *c)
{
    struct onlooker *o = a->viewer->onlooker;
    struct event_edit *edits = arena_alloc_array(a->job->arena, c->edits_n + 1, sizeof *edits);
    for (size_t i = 0; i < c->edits_n; i++) {
        edits[i] = c->edits[i];
        TRY(onlooker_event(a->job, o, &c->edits[i].event, &edits[i].event.event));
    }
    c->edits = edits;
    return onlooker_rows(a->job, o, &c->events, c->events_n);
}

/* ---- m.replace ---- */

/* An encrypted edit has its m.new_content in the ciphertext. */
static bool edit_is_valid(const struct aggregation *a, const struct event_edit *edit)
{
    const struct event *e = edit->event.event;
    struct str new_content = json_scan_get(e->content, "m.new_content");
    return !e->state_key && is_edit(e) && visibility_allows(a->visibility, edit->event.position) &&
           ((new_content.n && new_content.p[0] == '{') || strcmp(e->type, "m.room.encrypted") == 0);
}

static bool is_more_recent(const struct event *a, const struct event *b)
{
    if (a->origin_server_ts != b->origin_server_ts)
        return a->origin_server_ts > b->origin_server_ts;
    return strcmp(a->event_id, b->event_id) > 0;
}

static const struct event_edit *newest_edit(const struct aggregation *a, const struct children *c,
                                            const struct stored_event *parent)
{
    const struct event_edit *newest = NULL;
    if (parent->redacted_by || is_edit(parent->event))
        return NULL;
    for (size_t i = 0; i < c->edits_n; i++)
        if (c->edits[i].parent == parent->position && edit_is_valid(a, &c->edits[i]) &&
            (!newest || is_more_recent(c->edits[i].event.event, newest->event.event)))
            newest = &c->edits[i];
    return newest;
}

/* ---- writing ---- */

static void aggregate_add_key(struct buf *out, const char *key)
{
    buf_add_char(out, out->n ? ',' : '{');
    buf_add_json_string(out, str_of(key));
    buf_add_char(out, ':');
}

static void add_edit(const struct aggregation *a, const struct children *c,
                     const struct stored_event *parent, struct buf *out)
{
    const struct event_edit *edit = newest_edit(a, c, parent);
    if (!edit)
        return;
    aggregate_add_key(out, "m.replace");
    serialize_related_event(a->viewer, a->visibility, &edit->event, (struct str){0}, out);
}

static void add_references(const struct aggregation *a, const struct children *c, int64_t parent,
                           struct buf *out)
{
    bool any = false;
    for (size_t i = 0; i < c->references_n; i++) {
        const struct reference *r = &c->references[i];
        if (r->parent != parent || !visibility_allows(a->visibility, r->position))
            continue;
        if (!any)
            aggregate_add_key(out, "m.reference");
        buf_add_text(out, any ? ",{\"event_id\":" : "{\"chunk\":[{\"event_id\":");
        buf_add_json_string(out, str_of(r->event_id));
        buf_add_char(out, '}');
        any = true;
    }
    if (any)
        BUF_LIT(out, "]}");
}

static void add_thread(const struct aggregation *a, const struct stored_event *root,
                       struct buf *out)
{
    const struct thread_summary *t = NULL;
    for (size_t i = 0; i < a->children.threads_n && !t; i++)
        if (a->children.threads[i].root == root->position)
            t = &a->children.threads[i];
    const struct stored_event *latest = NULL;
    for (size_t i = 0; t && i < a->latest.events_n && !latest; i++)
        if (a->latest.events[i].position == t->latest)
            latest = &a->latest.events[i];
    if (!latest)
        return;
    buf_auto struct buf inner = {0};
    add_edit(a, &a->latest, latest, &inner);
    add_references(a, &a->latest, latest->position, &inner);
    if (inner.n)
        buf_add_char(&inner, '}');
    aggregate_add_key(out, "m.thread");
    BUF_LIT(out, "{\"latest_event\":");
    serialize_related_event(a->viewer, a->visibility, latest,
                            inner.n ? buf_str(&inner) : (struct str){0}, out);
    buf_printf(out, ",\"count\":%lld,\"current_user_participated\":%s}", (long long)t->count,
               t->took_part || root->sender == a->viewer->user ? "true" : "false");
}

static void aggregate_add_all(const struct aggregation *a, const struct stored_event *e,
                              struct str *ret)
{
    buf_auto struct buf out = {0};
    add_edit(a, &a->children, e, &out);
    add_references(a, &a->children, e->position, &out);
    add_thread(a, e, &out);
    if (!out.n)
        return;
    buf_add_char(&out, '}');
    *ret = (struct str){arena_memdup(a->job->arena, out.p, out.n), out.n};
}

const struct err *aggregate_events(struct job *job, const struct viewer *v,
                                   const struct visibility *visibility,
                                   const struct stored_event *const *events, size_t n,
                                   struct str *ret)
{
    struct aggregation a = {.job = job, .viewer = v, .visibility = visibility};
    int64_t *parents = arena_alloc_array(job->arena, n + 1, sizeof *parents);
    a.query =
        (struct children_query){.parents = parents, .up_to = visibility->end, .user = v->user};
    for (size_t i = 0; i < n; i++)
        if (!events[i]->is_state) /* the specification bundles nothing with state events */
            parents[a.query.parents_n++] = events[i]->position;
    if (!a.query.parents_n)
        return NULL;
    TRY(ignored_user_ids(job, v->user, &a.query.ignored, &a.query.ignored_n));
    TRY(relations_of_parents(job_tx(job), &a.query, &a.children));
    TRY(look_up_latest(&a));
    TRY(aggregate_look_at(&a, &a.children));
    TRY(aggregate_look_at(&a, &a.latest));
    for (size_t i = 0; i < n; i++)
        if (!events[i]->is_state)
            aggregate_add_all(&a, events[i], &ret[i]);
    return NULL;
}
