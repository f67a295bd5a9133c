#include "rooms/hierarchy.h"

#include "matrix/id.h"
#include "rooms/summary.h"

enum { ROOMS_MAX = 2000 }; /* of one tree; what lies behind is not shown */

struct child {
    const struct event *event; /* m.space.child */
    const char *order;         /* NULL: has none that is valid */
};

/* A room still to be visited. */
struct waiting {
    const char *room_id;
    int64_t depth;
    struct waiting *next;
};

struct walk {
    struct job *job;
    const struct hierarchy_query *q;
    struct buf *out;
    struct waiting *first;
    struct map seen; /* room ids that were visited or wait */
    int64_t skip;    /* rooms that earlier pages had */
    int64_t visible; /* so far */
    bool more;
};

/* ---- children ---- */

/* "order": at most 50 characters from space to tilde. */
static const char *valid_order(const struct event *e)
{
    const char *order = json_text(event_content(e), "order");
    size_t n = order ? strlen(order) : 0;
    if (!n || n > 50)
        return NULL;
    for (size_t i = 0; i < n; i++)
        if (order[i] < 0x20 || order[i] > 0x7e)
            return NULL;
    return order;
}

static bool is_child(const struct event *e, bool suggested_only)
{
    if (strcmp(e->type, "m.space.child") != 0 || !id_is_room(str_of(e->state_key)))
        return false;
    const json_t *content = event_content(e);
    if (json_array_size(json_object_get(content, "via")) == 0)
        return false;
    return !suggested_only || json_is_true(json_object_get(content, "suggested"));
}

static int compare_children(const void *a, const void *b)
{
    const struct child *x = a, *y = b;
    if (!x->order != !y->order)
        return x->order ? -1 : 1;
    int by_order = x->order ? strcmp(x->order, y->order) : 0;
    if (by_order)
        return by_order;
    if (x->event->origin_server_ts != y->event->origin_server_ts)
        return x->event->origin_server_ts < y->event->origin_server_ts ? -1 : 1;
    return strcmp(x->event->state_key, y->event->state_key);
}

static const struct child *find_children(struct walk *w, struct room *room, size_t *ret_n)
{
    const struct event *const *state;
    size_t state_n, n = 0;
    room_state_without_members(w->job, room, &state, &state_n);
    struct child *children = arena_alloc_array(w->job->arena, state_n + 1, sizeof *children);
    for (size_t i = 0; i < state_n; i++)
        if (is_child(state[i], w->q->suggested_only))
            children[n++] = (struct child){state[i], valid_order(state[i])};
    qsort(children, n, sizeof *children, compare_children);
    *ret_n = n;
    return children;
}

/* They come before everything that waits already. */
static void push_children(struct walk *w, const struct child *children, size_t n, int64_t depth)
{
    struct waiting **place = &w->first;
    for (size_t i = 0; i < n && w->seen.n < ROOMS_MAX; i++) {
        const char *id = children[i].event->state_key;
        if (map_get(&w->seen, str_of(id)))
            continue;
        struct waiting *new = arena_alloc(w->job->arena, sizeof *new);
        *new = (struct waiting){id, depth, *place};
        *place = new;
        place = &new->next;
        map_put(&w->seen, str_of(id), new);
    }
}

/* ---- one room ---- */

static void write_child(struct buf *out, const struct event *e)
{
    event_add_stripped(out, e);
    buf_truncate(out, out->n - 1);
    buf_printf(out, ",\"origin_server_ts\":%lld}", (long long)e->origin_server_ts);
}

static void write_room(struct walk *w, const struct room_summary *s, const struct child *children,
                       size_t n)
{
    json_auto_t *summary = room_summary_whole(s);
    buf_add_text(w->out, w->visible > w->skip + 1 ? "," : "");
    buf_add_json(w->out, summary);
    buf_truncate(w->out, w->out->n - 1);
    BUF_LIT(w->out, ",\"children_state\":[");
    for (size_t i = 0; i < n; i++) {
        buf_add_text(w->out, i ? "," : "");
        write_child(w->out, children[i].event);
    }
    BUF_LIT(w->out, "]}");
}

static const struct err *visit(struct walk *w, const struct waiting *at)
{
    struct room *room;
    struct room_summary summary;
    bool visible = false;
    TRY(room_find(w->job, at->room_id, &room));
    if (room) {
        TRY(room_summary_read(w->job, room, &summary));
        TRY(room_summary_may_see(w->job, room, &summary, w->q->user, &visible));
    }
    if (!visible && at->depth == 0)
        return err(ERR_FORBIDDEN, "You are not allowed to view this room");
    if (!visible)
        return NULL;
    if (w->visible == w->skip + w->q->limit) {
        w->more = true;
        return NULL;
    }
    bool is_space = summary.room_type && strcmp(summary.room_type, "m.space") == 0;
    size_t n = 0;
    const struct child *children = is_space ? find_children(w, room, &n) : NULL;
    if (++w->visible > w->skip)
        write_room(w, &summary, children, n);
    if (at->depth < w->q->max_depth)
        push_children(w, children, n, at->depth + 1);
    return NULL;
}

/* ---- the walk ---- */

/* `<rooms so far>_<max_depth>_<suggested_only>` */
static const struct err *read_token(const struct hierarchy_query *q, int64_t *ret)
{
    long long skip, depth;
    int suggested, end = 0;
    *ret = 0;
    if (!q->from)
        return NULL;
    if (strlen(q->from) > 40 ||
        sscanf(q->from, "%lld_%lld_%d%n", &skip, &depth, &suggested, &end) != 3 || q->from[end] ||
        skip < 0 || skip > ROOMS_MAX)
        return err(ERR_INVALID_PARAM, "\"from\" is not a token of an earlier page");
    if (depth != q->max_depth || suggested != q->suggested_only)
        return err(ERR_INVALID_PARAM,
                   "suggested_only and max_depth cannot change on paginated requests");
    *ret = skip;
    return NULL;
}

static const struct err *walk(struct walk *w)
{
    while (w->first && !w->more) {
        const struct waiting *at = w->first;
        w->first = at->next;
        TRY(visit(w, at));
    }
    return NULL;
}

const struct err *hierarchy_list(struct job *job, const char *room_id,
                                 const struct hierarchy_query *q, struct buf *out)
{
    struct waiting root = {.room_id = room_id};
    struct walk w = {.job = job, .q = q, .out = out, .first = &root};
    TRY(read_token(q, &w.skip));
    map_put(&w.seen, str_of(room_id), &root);
    BUF_LIT(out, "{\"rooms\":[");
    const struct err *e = walk(&w);
    map_finish(&w.seen);
    TRY(e);
    buf_add_char(out, ']');
    if (w.more)
        buf_printf(out, ",\"next_batch\":\"%lld_%lld_%d\"", (long long)w.visible,
                   (long long)q->max_depth, q->suggested_only);
    buf_add_char(out, '}');
    return NULL;
}
