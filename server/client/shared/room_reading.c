#include "server/client/shared/room_reading.h"

#include "base/clock.h"
#include "rooms/read/walk.h"
#include "server/sync_token.h"
#include "storage/rooms/room_state.h"

struct viewer viewer_of(const struct request *rq)
{
    const struct caller *c = caller_of(rq);
    return (struct viewer){.user = c->user,
                           .user_id = c->user_id,
                           .device = c->device,
                           .now_ms = now_ms(),
                           .with_room_id = true,
                           .onlooker = onlooker_user(rq->arena, c->user_id)};
}

const struct err *reading_room(struct request *rq, struct room **ret)
{
    struct room *room;
    TRY(room_of_request(rq, &room));
    TRY(visibility_need_room(job_of(rq), room, caller_of(rq)->user));
    *ret = room;
    return NULL;
}

const struct err *reading_event(struct request *rq, struct room *room, const char *event_id,
                                const struct stored_event **ret)
{
    struct job *job = job_of(rq);
    const struct stored_event *e;
    bool visible = false;
    TRY(events_get_by_id(job_tx(job), event_id, &e));
    if (e && e->room == room->id && !event_is_off_timeline(e->position))
        TRY(visibility_may_see(job, room, caller_of(rq)->user, caller_of(rq)->user_id, e,
                               &visible));
    if (!visible)
        return err(ERR_NOT_FOUND, "There is no such event in this room, or you may not see it");
    *ret = e;
    return NULL;
}

const struct err *reading_place(struct request *rq, const char *name, int64_t def, int64_t *ret)
{
    const char *text = request_query(rq, name);
    struct sync_token token = {.position = def};
    if (text && *text)
        TRY(sync_token_parse(job_of(rq)->storage, text, &token));
    *ret = token.position;
    return NULL;
}

void reading_add_token(struct request *rq, struct reply *rp, const char *key, int64_t place)
{
    buf_printf(&rp->body, "\"%s\":\"", key);
    sync_token_add(&rp->body, job_of(rq)->storage, place, 0);
    buf_add_char(&rp->body, '"');
}

const struct err *reading_limit(const struct request *rq, size_t *ret)
{
    int64_t limit;
    TRY(request_query_int(rq, "limit", EVENTS_LIMIT_DEFAULT, 0, INT64_MAX, &limit));
    *ret = (size_t)(limit < EVENTS_LIMIT_MAX ? limit : EVENTS_LIMIT_MAX);
    return NULL;
}

const struct err *reading_direction(const struct request *rq, char def, bool *ret_backwards)
{
    const char *dir = request_query(rq, "dir");
    const char by_default[] = {def, '\0'};
    if (!dir && !def)
        return err(ERR_MISSING_PARAM, "Missing dir");
    dir = dir ? dir : by_default;
    if (strcmp(dir, "b") != 0 && strcmp(dir, "f") != 0)
        return err(ERR_INVALID_PARAM, "\"dir\" must be \"b\" or \"f\"");
    *ret_backwards = *dir == 'b';
    return NULL;
}

const struct err *reading_filter(const struct request *rq, const struct event_filter **ret)
{
    const char *text = request_query(rq, "filter");
    *ret = NULL;
    if (!text || !*text)
        return NULL;
    json_t *json;
    struct event_filter *f = arena_alloc(rq->arena, sizeof *f);
    TRY(json_read_own(rq->arena, str_of(text), &json));
    TRY(filter_parse_event(rq->arena, json, f));
    *ret = f;
    return NULL;
}

const struct err *reading_add_senders(struct request *rq, struct room *room, int64_t position,
                                      const struct stored_event *const *events, size_t n,
                                      struct buf *out)
{
    struct viewer v = viewer_of(rq);
    struct map seen = {0};
    const char **senders = arena_alloc_array(rq->arena, n + 1, sizeof *senders);
    size_t senders_n = 0;
    for (size_t i = 0; i < n; i++)
        if (!map_put(&seen, str_of(events[i]->event->sender), &seen))
            senders[senders_n++] = events[i]->event->sender;
    map_finish(&seen);
    const struct stored_event *members;
    size_t members_n;
    TRY(room_state_members(job_tx(job_of(rq)), room->id, position, senders, senders_n, &members,
                           &members_n));
    for (size_t i = 0; i < members_n; i++) {
        buf_add_json_comma(out);
        TRY(serialize_state_event(job_of(rq), &v, &members[i], out));
    }
    return NULL;
}

struct state_list {
    struct request *rq;
    struct reply *rp;
    struct viewer viewer;
    const struct event_filter *filter;
    bool any;
};

static const struct err *add_state_events(struct state_list *l, const struct stored_event *events,
                                          size_t n)
{
    for (size_t i = 0; i < n; i++) {
        if (l->filter && !walk_filter_matches(l->rq->arena, l->filter, events[i].event))
            continue;
        buf_add_text(&l->rp->body, l->any ? "," : "");
        TRY(serialize_state_event(job_of(l->rq), &l->viewer, &events[i], &l->rp->body));
        l->any = true;
    }
    return NULL;
}

/* Pages of members, so that the largest room fits into bounded memory. */
static const struct err *room_reading_add_all_members(struct state_list *l, struct room *room,
                                                      int64_t position)
{
    enum { PAGE = 500 };
    struct job *job = job_of(l->rq);
    struct arena *outer = job->arena;
    char after[EVENT_STATE_KEY_MAX + 1] = "";
    const struct err *e = NULL;
    for (bool more = true; more && !e;) {
        arena_auto struct arena *arena = arena_create();
        const struct stored_event *list;
        size_t n;
        job_use_arena(job, arena);
        e = room_state_members_page(job_tx(job), room->id, position, after, PAGE, &list, &n);
        if (!e)
            e = add_state_events(l, list, n);
        more = !e && n == PAGE;
        if (more)
            snprintf(after, sizeof after, "%s", list[n - 1].event->state_key);
        job_use_arena(job, outer);
        if (!e)
            e = reply_flush(l->rp);
    }
    return e;
}

const struct err *reading_add_state(struct request *rq, struct reply *rp, struct room *room,
                                    int64_t position, const struct event_filter *filter,
                                    bool with_members, bool *ret_any)
{
    struct state_list l = {.rq = rq, .rp = rp, .viewer = viewer_of(rq), .filter = filter};
    const struct stored_event *others;
    size_t n;
    TRY(room_state_list(job_tx(job_of(rq)), room->id, position, STATE_WITHOUT_MEMBERS, &others,
                        &n));
    TRY(add_state_events(&l, others, n));
    if (with_members)
        TRY(room_reading_add_all_members(&l, room, position));
    *ret_any = l.any;
    return NULL;
}
