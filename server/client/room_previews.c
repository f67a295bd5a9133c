/* Client-server API, "Room previews" (summaries) and "Spaces": what can be learnt of rooms before
 * joining them. */
#include "rooms/hierarchy.h"
#include "rooms/naming.h"
#include "rooms/summary.h"
#include "server/client/room_request.h"
#include "server/routes.h"

/* ---- summaries ---- */

static void add_membership(const struct request *rq, struct room *room, json_t *o)
{
    enum membership m =
        caller_of(rq) ? room_membership(room, caller_of(rq)->user) : MEMBERSHIP_NONE;
    if (m != MEMBERSHIP_NONE)
        json_object_set_new(o, "membership", json_string(membership_text(m)));
}

/* The names that the members had before they were specified (MSC3266). */
static void add_unstable(json_t *o)
{
    static const char *const names[][2] = {
        {"room_version", "im.nheko.summary.room_version"},
        {"room_version", "im.nheko.summary.version"},
        {"encryption", "im.nheko.summary.encryption"},
    };
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        if (json_object_get(o, names[i][0]))
            json_object_set(o, names[i][1], json_object_get(o, names[i][0]));
}

static const struct err *get_summary(struct request *rq, struct reply *rp)
{
    struct job *job = job_of(rq);
    const char *room_id;
    struct room *room;
    struct room_summary summary;
    bool visible = false;
    TRY(naming_resolve(job, request_param(rq, "room_or_alias"), &room_id));
    TRY(room_find(job, room_id, &room));
    if (room) {
        TRY(room_summary_read(job, room, &summary));
        TRY(room_summary_may_see(job, room, &summary, caller_of(rq) ? caller_of(rq)->user : 0,
                                 &visible));
    }
    if (!visible)
        return err(ERR_NOT_FOUND, "Room not found");
    json_t *o = room_summary_whole(&summary);
    add_membership(rq, room, o);
    if (strstr(rq->path, "/unstable/"))
        add_unstable(o);
    return reply_tree(rp, 200, o);
}

/* ---- spaces ---- */

static const struct err *get_hierarchy(struct request *rq, struct reply *rp)
{
    struct hierarchy_query q = {.user = caller_of(rq)->user, .from = request_query(rq, "from")};
    TRY(request_query_bool(rq, "suggested_only", false, &q.suggested_only));
    TRY(request_query_int(rq, "max_depth", HIERARCHY_DEPTH_MAX, 0, INT64_MAX, &q.max_depth));
    TRY(request_query_int(rq, "limit", HIERARCHY_PAGE_DEFAULT, 1, INT64_MAX, &q.limit));
    q.max_depth = q.max_depth < HIERARCHY_DEPTH_MAX ? q.max_depth : HIERARCHY_DEPTH_MAX;
    q.limit = q.limit < HIERARCHY_PAGE_MAX ? q.limit : HIERARCHY_PAGE_MAX;
    TRY(hierarchy_list(job_of(rq), request_param(rq, "room"), &q, &rp->body));
    return reply_body(rp, 200);
}

const struct route room_previews_routes[] = {
    {.method = GET,
     .path = "/_matrix/client/v1/room_summary/{room_or_alias}",
     .handler = get_summary,
     .who = WHO_MAYBE_USER,
     .spec = "room previews",
     .also = "/_matrix/client/unstable/im.nheko.summary/summary/{room_or_alias}"},
    {.method = GET,
     .path = "/_matrix/client/unstable/im.nheko.summary/rooms/{room_or_alias}/summary",
     .handler = get_summary,
     .who = WHO_MAYBE_USER,
     .spec = "room previews"},
    {.method = GET,
     .path = "/_matrix/client/v1/rooms/{room}/hierarchy",
     .handler = get_hierarchy,
     .who = WHO_USER,
     .rate = RATE_SEARCH,
     .spec = "spaces",
     .also = "/_matrix/client/unstable/org.matrix.msc2946/rooms/{room}/hierarchy"},
    {.path = NULL},
};
