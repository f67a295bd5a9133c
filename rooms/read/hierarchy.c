#include "rooms/read/hierarchy.h"

#include "rooms/read/space.h"
#include "rooms/room_cache.h"
#include "rooms/servers.h"

/* Of one tree; the rest is left out. */
enum { ROOMS_MAX = 2000, CHILDREN_MAX = 50000 };
enum { PAGE_BYTES = 4 << 20 }; /* then a page ends */

/* A room still to be visited. */
struct waiting {
    const char *room_id;
    int64_t depth;
    const char *const *via; /* servers that may know the room */
    size_t via_n;
    struct waiting *next;
};

struct hierarchy_walk {
    struct job *job;
    const struct hierarchy_query *q;
    struct buf *out;
    struct waiting *first;
    struct map seen;   /* ids of rooms that were visited or wait */
    struct map answer; /* room id -> its RoomSummary from a server that was asked for its parent */
    struct map hidden; /* room ids that such a server called inaccessible */
    int64_t skip;      /* rooms that earlier pages had */
    int64_t visible;   /* so far */
    size_t children;   /* read so far */
    bool more;
};

/* They are visited before all rooms that wait already. */
static void push_children(struct hierarchy_walk *w, const struct space_child *children, size_t n,
                          int64_t depth)
{
    struct waiting **place = &w->first;
    for (size_t i = 0; i < n && w->seen.n < ROOMS_MAX; i++) {
        const struct space_child *c = &children[i];
        if (map_get(&w->seen, str_of(c->room_id)))
            continue;
        struct waiting *new = arena_alloc(w->job->arena, sizeof *new);
        *new = (struct waiting){c->room_id, depth, c->via, c->via_n, *place};
        *place = new;
        place = &new->next;
        map_put(&w->seen, str_of(c->room_id), new);
    }
}

/* ---- one room ---- */

/* A room of the reply, ours or another server's. */
struct shown {
    const json_t *summary; /* NULL: the user may not see it */
    const struct space_child *children;
    size_t n;
};

static const struct err *look_at_ours(struct hierarchy_walk *w, struct room *room,
                                      struct shown *ret)
{
    struct room_summary summary;
    bool visible;
    TRY(room_summary_read(w->job, room, &summary));
    TRY(room_summary_may_see(w->job, room, &summary, w->q->user, &visible));
    if (!visible)
        return NULL;
    ret->summary = json_keep(w->job->arena, room_summary_whole(&summary));
    return space_children(w->job, room, &summary, w->q->suggested_only, &ret->children, &ret->n);
}

/* Keeps what another server's answer about a room has on its children. */
static void remember_children(struct hierarchy_walk *w, const struct space_answer *answer)
{
    for (size_t i = 0; i < json_array_size(answer->children); i++) {
        const json_t *child = json_array_get(answer->children, i);
        struct str id = str_of(json_text(child, "room_id"));
        if (id.n && w->answer.n < ROOMS_MAX && !map_get(&w->answer, id))
            map_put(&w->answer, id, (void *)child);
    }
    for (size_t i = 0; i < json_array_size(answer->inaccessible); i++) {
        struct str id = str_of(json_string_value(json_array_get(answer->inaccessible, i)));
        if (id.n && w->hidden.n < ROOMS_MAX)
            map_put(&w->hidden, id, w);
    }
}

static bool hierarchy_is_space(const json_t *summary)
{
    const char *type = json_text(summary, "room_type");
    return type && strcmp(type, "m.space") == 0;
}

/* An answer about a room has summaries of its children, too, which suffice for children that are no
 * spaces. When no more servers may be asked, the page ends here, unless it would be empty, as the
 * next one would be, too. */
static const struct err *hierarchy_ask_for_summary(struct hierarchy_walk *w,
                                                   const struct waiting *at, const json_t **ret)
{
    struct space_answer answer = {0};
    *ret = map_get(&w->answer, str_of(at->room_id));
    if (map_get(&w->hidden, str_of(at->room_id)) ||
        (*ret && (!hierarchy_is_space(*ret) || at->depth >= w->q->max_depth)) || !w->q->asker.ask)
        return NULL;
    TRY(w->q->asker.ask(w->q->asker.ctx, w->job, at->room_id, at->via, at->via_n, &answer));
    if (answer.is_later && w->visible > w->skip)
        w->more = true;
    if (answer.room)
        *ret = answer.room;
    remember_children(w, &answer);
    return NULL;
}

static const struct err *look_at_theirs(struct hierarchy_walk *w, const struct waiting *at,
                                        struct room *stale, struct shown *ret)
{
    const json_t *answer;
    bool visible;
    TRY(hierarchy_ask_for_summary(w, at, &answer));
    if (w->more)
        return NULL;
    if (!answer)
        return stale ? look_at_ours(w, stale, ret) : NULL;
    TRY(remote_summary_may_see(w->job, answer, w->q->user, &visible));
    if (!visible)
        return NULL;
    json_t *summary = json_keep(w->job->arena, json_copy((json_t *)answer));
    json_object_del(summary, "children_state");
    ret->summary = summary;
    if (hierarchy_is_space(answer))
        space_children_of_answer(w->job, json_object_get(answer, "children_state"),
                                 w->q->suggested_only, &ret->children, &ret->n);
    return NULL;
}

static const struct err *visit(struct hierarchy_walk *w, const struct waiting *at)
{
    struct room *room;
    struct shown shown = {0};
    TRY(room_find(w->job, at->room_id, &room));
    if (room && room_has_server(room, w->job->config->server_name))
        TRY(look_at_ours(w, room, &shown));
    else
        TRY(look_at_theirs(w, at, room, &shown));
    if (!shown.summary && at->depth == 0)
        return err(ERR_FORBIDDEN, "You are not allowed to view this room");
    if (!shown.summary)
        return NULL;
    if (w->visible == w->skip + w->q->limit || w->out->n > PAGE_BYTES) {
        w->more = true;
        return NULL;
    }
    if (++w->visible > w->skip) {
        buf_add_text(w->out, w->visible > w->skip + 1 ? "," : "");
        space_write_room(w->out, shown.summary, shown.children, shown.n);
    }
    w->children += shown.n;
    if (at->depth < w->q->max_depth)
        push_children(w, shown.children, shown.n, at->depth + 1);
    return NULL;
}

/* ---- the walk ---- */

/* `<rooms so far>_<max_depth>_<suggested_only>` */
static const struct err *hierarchy_read_token(const struct hierarchy_query *q, int64_t *ret)
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

static const struct err *read_hierarchy_walk(struct hierarchy_walk *w)
{
    while (w->first && !w->more && w->children < CHILDREN_MAX) {
        const struct waiting *at = w->first;
        w->first = at->next;
        TRY(visit(w, at));
    }
    return NULL;
}

const struct err *hierarchy_list(struct job *job, const char *room_id,
                                 const struct hierarchy_query *q, struct buf *out)
{
    struct waiting root = {.room_id = room_id, .via = q->via, .via_n = q->via_n};
    struct hierarchy_walk w = {.job = job, .q = q, .out = out, .first = &root};
    TRY(hierarchy_read_token(q, &w.skip));
    map_put(&w.seen, str_of(room_id), &root);
    BUF_LIT(out, "{\"rooms\":[");
    const struct err *e = read_hierarchy_walk(&w);
    map_finish(&w.seen);
    map_finish(&w.answer);
    map_finish(&w.hidden);
    TRY(e);
    buf_add_char(out, ']');
    if (w.more)
        buf_printf(out, ",\"next_batch\":\"%lld_%lld_%d\"", (long long)w.visible,
                   (long long)q->max_depth, q->suggested_only);
    buf_add_char(out, '}');
    return NULL;
}
