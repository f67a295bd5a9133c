/* Client-server API, "Threading": the threads of a room. */
#include "server/client/shared/room_reading.h"
#include "server/routes.h"
#include "storage/db/feed.h"
#include "storage/rooms/relations.h"
#include "storage/rooms/room_state.h"

enum { THREADS_MAX = 100 };

static const struct err *read_include(struct request *rq, int64_t *ret_participant)
{
    const char *include = request_query(rq, "include");
    if (include && strcmp(include, "all") != 0 && strcmp(include, "participated") != 0)
        return err(ERR_INVALID_PARAM, "\"include\" must be \"all\" or \"participated\"");
    *ret_participant = include && include[0] == 'p' ? caller_of(rq)->user : 0;
    return NULL;
}

/* The roots that the user may see, of at most `limit` threads. */
static const struct err *visible_roots(struct request *rq, struct room *room,
                                       const struct thread_row *threads, size_t n,
                                       const struct stored_event ***ret, size_t *ret_n)
{
    const struct caller *c = caller_of(rq);
    const struct stored_event **roots = arena_alloc_array(rq->arena, n + 1, sizeof *roots);
    bool *visible = arena_alloc_array(rq->arena, n + 1, sizeof *visible);
    for (size_t i = 0; i < n; i++)
        roots[i] = &threads[i].root;
    TRY(visibility_filter(job_of(rq), room, c->user, c->user_id, roots, n, visible));
    size_t kept = 0;
    for (size_t i = 0; i < n; i++)
        if (visible[i])
            roots[kept++] = roots[i];
    *ret = roots;
    *ret_n = kept;
    return NULL;
}

static const struct err *get_threads(struct request *rq, struct reply *rp)
{
    struct job *job = job_of(rq);
    struct viewer viewer = viewer_of(rq);
    struct room *room;
    struct visibility visibility;
    int64_t participant = 0, from;
    size_t limit, n, roots_n;
    TRY(read_include(rq, &participant));
    TRY(reading_limit(rq, &limit));
    TRY(reading_place(rq, "from", feed_position(job->storage->feed), &from));
    if (!limit)
        return err(ERR_INVALID_PARAM, "\"limit\" must be greater than zero");
    limit = limit < THREADS_MAX ? limit : THREADS_MAX;
    TRY(reading_room(rq, &room));
    TRY(visibility_open(job, room, viewer.user, viewer.user_id, VALID_FOREVER, &visibility));

    const struct thread_row *threads;
    const struct stored_event **roots;
    TRY(threads_page(job_tx(job), room->id, from < visibility.end ? from : visibility.end,
                     participant, (int64_t)limit + 1, &threads, &n));
    TRY(visible_roots(rq, room, threads, n < limit ? n : limit, &roots, &roots_n));
    BUF_LIT(&rp->body, "{\"chunk\":[");
    TRY(serialize_events(job, &viewer, roots, roots_n, RELATIONS_UNKNOWN, &rp->body));
    buf_add_char(&rp->body, ']');
    if (n > limit) {
        buf_add_char(&rp->body, ',');
        reading_add_token(rq, rp, "next_batch", threads[limit].latest);
    }
    buf_add_char(&rp->body, '}');
    return reply_body(rp, 200);
}

const struct route threads_routes[] = {
    {.method = GET,
     .path = "/_matrix/client/v1/rooms/{room}/threads",
     .handler = get_threads,
     .who = WHO_USER,
     .spec = "Threading",
     .also = "/_matrix/client/unstable/org.matrix.msc3856/rooms/{room}/threads"},
    {.path = NULL},
};
