/* Client-server API, "Syncing": paginating a room's events. */
#include "federation/in/history.h"
#include "federation/in/inbound.h"
#include "rooms/accept/history.h"
#include "rooms/read/walk.h"
#include "rooms/room_cache.h"
#include "rooms/servers.h"
#include "server/client/shared/room_reading.h"
#include "server/routes.h"
#include "storage/db/feed.h"

static const struct err *read_walk(struct request *rq, struct room_walk *w)
{
    TRY(reading_direction(rq, 0, &w->backwards));
    int64_t now = feed_position(job_of(rq)->storage->feed);
    TRY(reading_place(rq, "from", w->backwards ? now : WALK_START, &w->from));
    TRY(reading_place(rq, "to", w->backwards ? WALK_START : now, &w->to));
    TRY(reading_limit(rq, &w->limit));
    return reading_filter(rq, &w->filter);
}

static int64_t newest_of(const struct walked *walked)
{
    int64_t newest = WALK_START;
    for (size_t i = 0; i < walked->n; i++)
        if (walked->events[i]->position > newest)
            newest = walked->events[i]->position;
    return newest;
}

/* Whether the walk has reached the end of the stored history, but not of the room's. */
static const struct err *needs_history(struct job *job, const struct room_walk *w,
                                       const struct walked *walked, bool *ret)
{
    const struct history_end *ends;
    const char *const *servers;
    size_t servers_n = 0, n = 0;
    if (w->backwards && !walked->more && job->federation)
        room_list_servers(job, w->room, &servers, &servers_n);
    if (servers_n)
        TRY(history_ends(job, w->room, 1, &ends, &n));
    *ret = n;
    return NULL;
}

/* For a worker that may wait: asks other servers for earlier events, and continues the walk. */
static const struct err *walk_on(struct job *job, struct room_walk *w, struct walked *walked)
{
    size_t added;
    bool needs_more = false;
    TRY(federation_backfill(job, w->room, w->limit - walked->n, &added));
    if (!added)
        return NULL;
    job_renew_replica_tx(job);
    TRY(room_get(job, w->room->room_id, &w->room)); /* it may have been reloaded */
    TRY(walk_room(job, w, walked));
    TRY(needs_history(job, w, walked, &needs_more));
    walked->more = walked->more || needs_more;
    return NULL;
}

static const struct err *get_messages(struct request *rq, struct reply *rp)
{
    struct viewer viewer = viewer_of(rq);
    struct room_walk w = {.viewer = &viewer};
    struct walked walked;
    TRY(reading_room(
        rq, &w.room)); /* first: a user who may not read the room gets that error for any request */
    TRY(read_walk(rq, &w));
    TRY(walk_room(job_of(rq), &w, &walked));
    bool needs_more;
    TRY(needs_history(job_of(rq), &w, &walked, &needs_more));
    if (needs_more && rq->pool == POOL_REMOTE)
        TRY(walk_on(job_of(rq), &w, &walked));
    else if (needs_more && !request_charge(rq, RATE_REMOTE, 1))
        return reply_elsewhere(rp, POOL_REMOTE);

    const char *from = request_query(rq, "from");
    buf_add_char(&rp->body, '{');
    if (from && *from) {
        BUF_LIT(&rp->body, "\"start\":");
        buf_add_json_string(&rp->body, str_of(from));
    } else {
        reading_add_token(rq, rp, "start", w.from);
    }
    if (walked.more || (walked.is_live && !request_query(rq, "to"))) {
        buf_add_char(&rp->body, ',');
        reading_add_token(rq, rp, "end", walked.place);
    }
    BUF_LIT(&rp->body, ",\"chunk\":[");
    TRY(serialize_events(job_of(rq), &viewer, walked.events, walked.n, RELATIONS_UNKNOWN,
                         &rp->body));
    BUF_LIT(&rp->body, "]");
    if (w.filter && w.filter->lazy_load_members) {
        BUF_LIT(&rp->body, ",\"state\":[");
        TRY(reading_add_senders(rq, w.room, newest_of(&walked), walked.events, walked.n,
                                &rp->body));
        BUF_LIT(&rp->body, "]");
    }
    buf_add_char(&rp->body, '}');
    return reply_body(rp, 200);
}

const struct route messages_routes[] = {
    {.method = GET,
     .path = "/_matrix/client/v3/rooms/{room}/messages",
     .handler = get_messages,
     .moves_to = POOL_REMOTE,
     .who = WHO_GUEST_TOO,
     .spec = "Syncing"},
    {.path = NULL},
};
