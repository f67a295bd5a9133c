/* Client-server API, "Room previews" (summaries) and "Spaces": information about rooms before
 * joining them. */
#include "base/clock.h"
#include "federation/routes/hierarchy.h"
#include "federation/routes/query.h"
#include "federation/users/hierarchy_ask.h"
#include "federation/users/query_ask.h"
#include "matrix/id.h"
#include "rooms/read/summary.h"
#include "rooms/room_cache.h"
#include "rooms/servers.h"
#include "rooms/write/naming.h"
#include "server/remote_request.h"
#include "server/routes.h"

/* ---- summaries ---- */

static void room_previews_add_membership(const struct request *rq, struct room *room, json_t *o)
{
    enum membership m =
        caller_of(rq) ? room_membership(room, caller_of(rq)->user) : MEMBERSHIP_NONE;
    if (m != MEMBERSHIP_NONE)
        json_object_set_new(o, "membership", json_string(membership_text(m)));
}

/* The unstable names of these members (MSC3266). */
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

static int64_t user_of(const struct request *rq)
{
    return caller_of(rq) ? caller_of(rq)->user : 0;
}

/* The summary of a room that this server is in. *ret stays NULL when the caller may not see it.
 * Owned. */
static const struct err *summarise_ours(struct request *rq, struct room *room, json_t **ret)
{
    struct room_summary summary;
    bool visible;
    TRY(room_summary_read(job_of(rq), room, &summary));
    TRY(room_summary_may_see(job_of(rq), room, &summary, user_of(rq), &visible));
    if (visible)
        *ret = room_summary_whole(&summary);
    return NULL;
}

/* The same for another room, from its servers' answer. */
static const struct err *summarise_remote(struct request *rq, const json_t *answer, json_t **ret)
{
    bool visible;
    TRY(remote_summary_may_see(job_of(rq), answer, user_of(rq), &visible));
    if (!visible)
        return NULL;
    *ret = json_copy((json_t *)answer);
    json_object_del(*ret, "children_state");
    return NULL;
}

static const struct err *reply_summary(struct request *rq, struct reply *rp, struct room *room,
                                       json_t *summary)
{
    if (!summary)
        return err(ERR_NOT_FOUND, "Room not found");
    if (room)
        room_previews_add_membership(rq, room, summary);
    if (strstr(rq->path, "/unstable/"))
        add_unstable(summary);
    return reply_tree(rp, 200, summary);
}

/* room: its state when this server left or was invited; NULL: unknown. */
static const struct err *room_previews_ask_for_summary(struct request *rq, struct reply *rp,
                                                       struct room *room,
                                                       const struct space_question *q)
{
    struct space_answer answer = {0};
    json_t *summary = NULL;
    if (!federation_space_known(job_of(rq), q, &answer)) {
        bool here;
        TRY(remote_request_begin(rq, rp, NULL, &here));
        if (!here)
            return NULL;
        TRY(federation_ask_space(job_of(rq), q, &answer));
    }
    if (answer.room)
        TRY(summarise_remote(rq, answer.room, &summary));
    else if (room)
        TRY(summarise_ours(rq, room, &summary));
    return reply_summary(rq, rp, room, summary);
}

/* The servers to ask: `via`, then those that the alias's server names. */
static void room_previews_add_servers(struct request *rq, const char *const *named, size_t named_n,
                                      struct space_question *q)
{
    const char *const *via;
    size_t via_n = request_query_all(rq, "via", &via);
    const char **servers = arena_alloc_array(rq->arena, named_n + via_n + 1, sizeof *servers);
    for (size_t i = 0; i < via_n; i++)
        if (id_is_server_name(str_of(via[i])))
            servers[q->servers_n++] = via[i];
    for (size_t i = 0; i < named_n; i++)
        servers[q->servers_n++] = named[i];
    q->servers = servers;
}

/* *ret_here is false when the reply is made. */
static const struct err *find_room_id(struct request *rq, struct reply *rp,
                                      struct space_question *ret, bool *ret_here)
{
    struct job *job = job_of(rq);
    const char *name = request_param(rq, "room_or_alias");
    const char *const *servers = NULL;
    size_t n = 0;
    *ret_here = true;
    if (name[0] == '#' && id_is_remote(job->node, name))
        TRY(remote_request_begin(rq, rp, NULL, ret_here));
    if (!*ret_here)
        return NULL;
    if (name[0] == '#')
        TRY(federation_resolve_alias(job, name, &ret->room_id, &servers, &n));
    else
        TRY(naming_resolve(job, name, &ret->room_id));
    room_previews_add_servers(rq, servers, n, ret);
    return NULL;
}

static const struct err *get_summary(struct request *rq, struct reply *rp)
{
    struct job *job = job_of(rq);
    struct space_question q = {0};
    struct room *room;
    json_t *summary = NULL;
    bool here;
    TRY(find_room_id(rq, rp, &q, &here));
    if (!here)
        return NULL;
    TRY(room_find(job, q.room_id, &room));
    if (!room || !room_has_server(room, job->config->server_name))
        return room_previews_ask_for_summary(rq, rp, room, &q);
    TRY(summarise_ours(rq, room, &summary));
    return reply_summary(rq, rp, room, summary);
}

/* ---- spaces ---- */

/* Bounds of a walk through a tree: at them, no further servers are asked. */
enum { ASK_MS = 20000, ASKED_MAX = 50 };

struct asking {
    const struct request *rq;
    bool suggested_only;
    bool must_move; /* a server must be asked, in another pool */
    int asked;
};

static const struct err *room_previews_ask(void *ctx, struct job *job, const char *room_id,
                                           const char *const *via, size_t via_n,
                                           struct space_answer *ret)
{
    struct asking *a = ctx;
    const struct space_question q = {room_id, via, via_n, a->suggested_only};
    if (federation_space_known(job, &q, ret))
        return NULL;
    a->must_move = a->rq->pool != POOL_REMOTE;
    if (a->must_move)
        return err(ERR_CONFLICT, "Other servers must be asked");
    ret->is_later = ++a->asked > ASKED_MAX ||
                    mono_us() - a->rq->started_mono_us > ASK_MS * 1000LL ||
                    (a->asked > 1 && request_charge(a->rq, RATE_REMOTE, 1));
    return ret->is_later ? NULL : federation_ask_space(job, &q, ret);
}

/* MSC4235: the servers to ask for the room itself. */
static void room_previews_read_via(const struct request *rq, struct hierarchy_query *q)
{
    q->via_n = request_query_all(rq, "via", &q->via);
    if (!q->via_n)
        q->via_n = request_query_all(rq, "org.matrix.msc4235.via", &q->via);
}

static const struct err *room_previews_get_hierarchy(struct request *rq, struct reply *rp)
{
    struct asking asking = {.rq = rq};
    struct hierarchy_query q = {.user = caller_of(rq)->user,
                                .from = request_query(rq, "from"),
                                .asker = {room_previews_ask, &asking}};
    bool unused;
    TRY(request_query_bool(rq, "suggested_only", false, &q.suggested_only));
    TRY(request_query_int(rq, "max_depth", HIERARCHY_DEPTH_MAX, 0, INT64_MAX, &q.max_depth));
    TRY(request_query_int(rq, "limit", HIERARCHY_PAGE_DEFAULT, 1, INT64_MAX, &q.limit));
    q.max_depth = q.max_depth < HIERARCHY_DEPTH_MAX ? q.max_depth : HIERARCHY_DEPTH_MAX;
    q.limit = q.limit < HIERARCHY_PAGE_MAX ? q.limit : HIERARCHY_PAGE_MAX;
    asking.suggested_only = q.suggested_only;
    room_previews_read_via(rq, &q);
    const struct err *e = hierarchy_list(job_of(rq), request_param(rq, "room"), &q, &rp->body);
    if (asking.must_move)
        return remote_request_begin(rq, rp, NULL, &unused);
    TRY(e);
    return reply_body(rp, 200);
}

const struct route room_previews_routes[] = {
    {.method = GET,
     .path = "/_matrix/client/v1/room_summary/{room_or_alias}",
     .handler = get_summary,
     .moves_to = POOL_REMOTE,
     .who = WHO_MAYBE_USER,
     .spec = "room previews",
     .also = "/_matrix/client/unstable/im.nheko.summary/summary/{room_or_alias}"},
    {.method = GET,
     .path = "/_matrix/client/unstable/im.nheko.summary/rooms/{room_or_alias}/summary",
     .handler = get_summary,
     .moves_to = POOL_REMOTE,
     .who = WHO_MAYBE_USER,
     .spec = "room previews"},
    {.method = GET,
     .path = "/_matrix/client/v1/rooms/{room}/hierarchy",
     .handler = room_previews_get_hierarchy,
     .moves_to = POOL_REMOTE,
     .who = WHO_USER,
     .rate = RATE_SEARCH,
     .spec = "spaces",
     .also = "/_matrix/client/unstable/org.matrix.msc2946/rooms/{room}/hierarchy"},
    {.path = NULL},
};
