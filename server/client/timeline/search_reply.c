/* The reply of POST /search: results with their context, groups, state and words. */
#include "rooms/read/walk.h"
#include "server/client/timeline/search.h"
#include "server/sync_token.h"
#include "storage/db/feed.h"
#include "storage/rooms/room_state.h"

static const struct err *search_reply_add_events(struct search_request *s, const char *key,
                                                 const struct stored_event *const *events, size_t n)
{
    struct buf *out = &s->rp->body;
    buf_printf(out, ",\"%s\":[", key);
    TRY(serialize_events(job_of(s->rq), &s->viewer, events, n, RELATIONS_UNKNOWN, out));
    buf_add_char(out, ']');
    return NULL;
}

/* The senders' names as they were at the time of the result. */
static const struct err *add_profiles(struct search_request *s, const struct search_match *f,
                                      const struct walked *before, const struct walked *after)
{
    struct job *job = job_of(s->rq);
    struct buf *out = &s->rp->body;
    const char **users = arena_alloc_array(job->arena, before->n + after->n + 1, sizeof *users);
    size_t n = 0, members_n;
    users[n++] = f->hit.event.event->sender;
    for (size_t i = 0; i < before->n; i++)
        users[n++] = before->events[i]->event->sender;
    for (size_t i = 0; i < after->n; i++)
        users[n++] = after->events[i]->event->sender;
    const struct stored_event *members;
    TRY(room_state_members(job_tx(job), f->room->id, f->hit.event.position, users, n, &members,
                           &members_n));
    json_auto_t *profiles = json_object();
    for (size_t i = 0; i < members_n; i++) {
        const struct event *shown;
        TRY(viewer_event(job, &s->viewer, &members[i], &shown));
        const json_t *content = event_content(shown);
        const char *name = json_text(content, "displayname"),
                   *avatar = json_text(content, "avatar_url");
        json_object_set_new(profiles, members[i].event->state_key,
                            json_pack("{s:s?, s:s?}", "displayname", name, "avatar_url", avatar));
    }
    BUF_LIT(out, ",\"profile_info\":");
    buf_add_json(out, profiles);
    return NULL;
}

static const struct err *add_context(struct search_request *s, const struct search_match *f)
{
    struct job *job = job_of(s->rq);
    int64_t position = f->hit.event.position;
    struct walked before, after;
    struct room_walk w = {.room = f->room,
                          .viewer = &s->viewer,
                          .from = position - 1,
                          .to = WALK_START,
                          .backwards = true,
                          .limit = s->before};
    TRY(walk_room(job, &w, &before));
    w = (struct room_walk){.room = f->room,
                           .viewer = &s->viewer,
                           .from = position,
                           .to = feed_position(job->storage->feed),
                           .limit = s->after};
    TRY(walk_room(job, &w, &after));
    BUF_LIT(&s->rp->body, ",\"context\":{");
    reading_add_token(s->rq, s->rp, "start", before.place);
    buf_add_char(&s->rp->body, ',');
    reading_add_token(s->rq, s->rp, "end", after.place);
    TRY(search_reply_add_events(s, "events_before", before.events, before.n));
    TRY(search_reply_add_events(s, "events_after", after.events, after.n));
    if (s->with_profiles)
        TRY(add_profiles(s, f, &before, &after));
    buf_add_char(&s->rp->body, '}');
    return NULL;
}

static const struct err *search_reply_add_results(struct search_request *s)
{
    struct buf *out = &s->rp->body;
    BUF_LIT(out, ",\"results\":[");
    for (size_t i = 0; i < s->found_n; i++) {
        const struct stored_event *e = &s->found[i].hit.event;
        buf_printf(out, "%s{\"rank\":%.9g,\"result\":", i ? "," : "", s->found[i].hit.rank);
        TRY(serialize_events(job_of(s->rq), &s->viewer, &e, 1, RELATIONS_UNKNOWN, out));
        if (s->with_context)
            TRY(add_context(s, &s->found[i]));
        buf_add_char(out, '}');
    }
    buf_add_char(out, ']');
    return NULL;
}

static bool is_first_of_its_room(const struct search_request *s, size_t i)
{
    for (size_t j = 0; j < i; j++)
        if (s->found[j].room == s->found[i].room)
            return false;
    return true;
}

/* For rooms that the user has left: the state at that time. */
static const struct err *search_reply_add_state(struct search_request *s)
{
    struct job *job = job_of(s->rq);
    struct buf *out = &s->rp->body;
    BUF_LIT(out, ",\"state\":{");
    for (size_t i = 0; i < s->found_n; i++) {
        struct room *room = s->found[i].room;
        if (!is_first_of_its_room(s, i))
            continue;
        struct visibility visibility;
        const struct stored_event *state;
        size_t n;
        TRY(visibility_open(job, room, s->viewer.user, s->viewer.user_id, VALID_FOREVER,
                            &visibility));
        TRY(room_state_list(job_tx(job), room->id,
                            visibility.end < VALID_FOREVER ? visibility.end : VALID_FOREVER - 1,
                            STATE_ALL, &state, &n));
        buf_add_text(out, i ? "," : "");
        buf_add_json_string(out, str_of(room->room_id));
        for (size_t j = 0; j < n; j++) {
            buf_add_text(out, j ? "," : ":[");
            TRY(serialize_state_event(job, &s->viewer, &state[j], out));
        }
        buf_add_char(out, ']');
    }
    buf_add_char(out, '}');
    return NULL;
}

static json_t *groups_of(const struct search_request *s, bool by_room)
{
    json_t *groups = json_object();
    int order = 0;
    for (size_t i = 0; i < s->found_n; i++) {
        const struct event *e = s->found[i].hit.event.event;
        const char *name = by_room ? e->room_id : e->sender;
        json_t *group = json_object_get(groups, name);
        if (!group) {
            group = json_pack("{s:i, s:[]}", "order", ++order, "results");
            json_object_set_new(groups, name, group);
        }
        json_array_append_new(json_object_get(group, "results"), json_string(e->event_id));
    }
    return groups;
}

static void add_groups(const struct search_request *s, struct buf *out)
{
    json_auto_t *groups = json_object();
    if (s->by_room)
        json_object_set_new(groups, "room_id", groups_of(s, true));
    if (s->by_sender)
        json_object_set_new(groups, "sender", groups_of(s, false));
    BUF_LIT(out, ",\"groups\":");
    buf_add_json(out, groups);
}

static const struct err *search_reply_add_highlights(struct search_request *s)
{
    struct job *job = job_of(s->rq);
    struct buf *out = &s->rp->body;
    const struct stored_event **events =
        arena_alloc_array(job->arena, s->found_n + 1, sizeof *events);
    const struct str *words;
    size_t n;
    for (size_t i = 0; i < s->found_n; i++)
        events[i] = &s->found[i].hit.event;
    TRY(search_text_highlights(job_tx(job), &job->config->search_languages, &s->terms, events,
                               s->found_n, &words, &n));
    BUF_LIT(out, ",\"highlights\":[");
    for (size_t i = 0; i < n; i++) {
        buf_add_text(out, i ? "," : "");
        buf_add_json_string(out, words[i]);
    }
    buf_add_char(out, ']');
    return NULL;
}

/* `r<rank>_<token of the event>` */
static void write_next(struct search_request *s, struct buf *out)
{
    buf_printf(out, ",\"next_batch\":\"r%.17g_", s->query.after_rank);
    sync_token_add(out, job_of(s->rq)->storage, s->query.after_event, 0);
    buf_add_char(out, '"');
}

const struct err *search_write_reply(struct search_request *s)
{
    struct buf *out = &s->rp->body;
    buf_printf(out, "{\"search_categories\":{\"room_events\":{\"count\":%lld", (long long)s->count);
    TRY(search_reply_add_highlights(s));
    TRY(search_reply_add_results(s));
    if (s->with_state)
        TRY(search_reply_add_state(s));
    if (s->by_room || s->by_sender)
        add_groups(s, out);
    if (s->more)
        write_next(s, out);
    BUF_LIT(out, "}}}");
    return reply_body(s->rp, 200);
}
