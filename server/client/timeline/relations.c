/* Client-server API, "Relationships API": the events that relate to an event. */
#include "rooms/read/walk.h"
#include "server/client/shared/room_reading.h"
#include "server/routes.h"
#include "storage/db/feed.h"
#include "storage/db/intern.h"

enum { RECURSION_DEPTH = 3, NO_TYPE = -1 };

static const struct err *read_range(struct request *rq, struct room *room, bool recurse,
                                    struct relations_range *ret)
{
    const char *type = request_param(rq, "type");
    const struct stored_event *parent;
    TRY(reading_event(rq, room, request_param(rq, "event"), &parent));
    struct relations_range range = {
        .parent = event_id_to_bytes(rq->arena, room->version, parent->event->event_id),
        .rel_type = request_param(rq, "rel_type"),
        .depth = recurse ? RECURSION_DEPTH : 1,
    };
    if (type)
        TRY(intern_find(job_of(rq)->storage->intern, INTERN_TYPE, type, &range.type));
    if (type && !range.type)
        range.type = NO_TYPE;
    *ret = range;
    return NULL;
}

static const struct err *get_relations(struct request *rq, struct reply *rp)
{
    struct viewer viewer = viewer_of(rq);
    struct relations_range range;
    struct room_walk w = {.viewer = &viewer, .related = &range};
    struct walked walked;
    bool recurse, recurse_unstable;
    TRY(reading_direction(rq, 'b', &w.backwards));
    int64_t now = feed_position(job_of(rq)->storage->feed);
    TRY(reading_place(rq, "from", w.backwards ? now : WALK_START, &w.from));
    TRY(reading_place(rq, "to", w.backwards ? WALK_START : now, &w.to));
    TRY(reading_limit(rq, &w.limit));
    TRY(request_query_bool(rq, "org.matrix.msc3981.recurse", false, &recurse_unstable));
    TRY(request_query_bool(rq, "recurse", recurse_unstable, &recurse));
    TRY(reading_room(rq, &w.room));
    TRY(read_range(rq, w.room, recurse, &range));
    TRY(walk_room(job_of(rq), &w, &walked));

    BUF_LIT(&rp->body, "{\"chunk\":[");
    TRY(serialize_events(job_of(rq), &viewer, walked.events, walked.n, RELATIONS_UNKNOWN,
                         &rp->body));
    buf_add_char(&rp->body, ']');
    if (walked.more) {
        buf_add_char(&rp->body, ',');
        reading_add_token(rq, rp, "next_batch", walked.place);
    }
    if (request_query(rq, "from")) {
        buf_add_char(&rp->body, ',');
        reading_add_token(rq, rp, "prev_batch", w.from);
    }
    if (recurse)
        buf_printf(&rp->body, ",\"recursion_depth\":%d", RECURSION_DEPTH);
    buf_add_char(&rp->body, '}');
    return reply_body(rp, 200);
}

#define RELATIONS "/_matrix/client/v1/rooms/{room}/relations/{event}"
#define UNSTABLE "/_matrix/client/unstable/rooms/{room}/relations/{event}"

const struct route relations_routes[] = {
    {.method = GET,
     .path = RELATIONS,
     .handler = get_relations,
     .who = WHO_USER,
     .spec = "Relationships API",
     .also = UNSTABLE},
    {.method = GET,
     .path = RELATIONS "/{rel_type}",
     .handler = get_relations,
     .who = WHO_USER,
     .spec = "Relationships API",
     .also = UNSTABLE "/{rel_type}"},
    {.method = GET,
     .path = RELATIONS "/{rel_type}/{type}",
     .handler = get_relations,
     .who = WHO_USER,
     .spec = "Relationships API",
     .also = UNSTABLE "/{rel_type}/{type}"},
    {.path = NULL},
};
