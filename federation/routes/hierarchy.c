/* Server-server API, "Spaces": our replies. */
#include "federation/federation.h"
#include "federation/routes.h"
#include "rooms/read/space.h"
#include "rooms/room_cache.h"
#include "rooms/servers.h"

enum {
    CHILDREN_MAX = 500,            /* in a reply */
    DESCRIPTION_BYTES = 2 << 20,   /* of a reply, then no more children */
    CHILDREN_FOR_ONE_QUESTION = 10 /* a request is charged once for each 10 children */
};

/* The reply while it is written. */
struct description {
    struct request *rq;
    struct job *job;
    const char *server; /* the caller */
    bool suggested_only;
    struct buf *out;
    json_t *inaccessible;
    bool any_child;
};

/* *ret: NULL if we are not in the room, or know nothing of it. */
static const struct err *hierarchy_find_room(struct job *job, const char *room_id,
                                             struct room **ret)
{
    TRY(room_find(job, room_id, ret));
    if (*ret && !room_has_server(*ret, job->config->server_name))
        *ret = NULL;
    return NULL;
}

static const struct err *hierarchy_look_at(struct description *d, struct room *room,
                                           struct room_summary *ret, bool *ret_visible)
{
    TRY(room_summary_read(d->job, room, ret));
    return room_summary_may_serve(d->job, room, ret, d->server, ret_visible);
}

static const struct err *hierarchy_write_room(struct description *d, struct room *room,
                                              const struct room_summary *s,
                                              const struct space_child **ret_children,
                                              size_t *ret_n)
{
    json_auto_t *summary = room_summary_whole(s);
    TRY(space_children(d->job, room, s, d->suggested_only, ret_children, ret_n));
    space_write_room(d->out, summary, *ret_children, *ret_n);
    return NULL;
}

static const struct err *hierarchy_write_child(struct description *d, const char *room_id)
{
    const struct space_child *unused;
    struct room_summary summary;
    struct room *room;
    bool visible;
    size_t n;
    TRY(hierarchy_find_room(d->job, room_id, &room));
    if (!room)
        return NULL;
    TRY(hierarchy_look_at(d, room, &summary, &visible));
    if (!visible) {
        json_array_append_new(d->inaccessible, json_string(room_id));
        return NULL;
    }
    buf_add_text(d->out, d->any_child ? "," : "");
    d->any_child = true;
    return hierarchy_write_room(d, room, &summary, &unused, &n);
}

static const struct err *hierarchy_describe(struct description *d, struct room *room,
                                            const struct room_summary *summary)
{
    const struct space_child *children;
    size_t n;
    BUF_LIT(d->out, "{\"room\":");
    TRY(hierarchy_write_room(d, room, summary, &children, &n));
    n = n < CHILDREN_MAX ? n : CHILDREN_MAX;
    if (n > CHILDREN_FOR_ONE_QUESTION)
        TRY(request_charge(d->rq, RATE_SERVER, (int)n / CHILDREN_FOR_ONE_QUESTION));
    BUF_LIT(d->out, ",\"children\":[");
    for (size_t i = 0; i < n && d->out->n < DESCRIPTION_BYTES; i++)
        TRY(hierarchy_write_child(d, children[i].room_id));
    BUF_LIT(d->out, "],\"inaccessible_children\":");
    buf_add_json(d->out, d->inaccessible);
    buf_add_char(d->out, '}');
    return NULL;
}

static const struct err *hierarchy_get_hierarchy(struct request *rq, struct reply *rp)
{
    struct description d = {
        .rq = rq, .job = rq->job, .server = remote_of(rq)->name, .out = &rp->body};
    struct room_summary summary;
    struct room *room;
    bool visible = false;
    TRY(request_query_bool(rq, "suggested_only", false, &d.suggested_only));
    TRY(hierarchy_find_room(d.job, request_param(rq, "root"), &room));
    if (room)
        TRY(hierarchy_look_at(&d, room, &summary, &visible));
    if (!visible)
        return err(ERR_NOT_FOUND, "The room does not exist, or your server may not see it");
    d.inaccessible = json_keep(rq->arena, json_array());
    TRY(hierarchy_describe(&d, room, &summary));
    return reply_body(rp, 200);
}

const struct route federation_hierarchy_routes[] = {
    {.method = GET,
     .path = "/_matrix/federation/v1/hierarchy/{root}",
     .handler = hierarchy_get_hierarchy,
     .who = WHO_SERVER,
     .rate = RATE_SERVER,
     .pool = POOL_FEDERATION,
     .spec = "spaces"},
    {.path = NULL},
};
