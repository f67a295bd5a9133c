#include "server/sync/sync.h"

#include "matrix/json_scan.h"
#include "rooms/state/state_at.h"
#include "rooms/state/state_key.h"
#include "storage/db/intern.h"
#include "storage/rooms/room_state.h"

enum { STATE_CHANGES_MAX = 100, MEMBERS_A_PAGE = 500 };

/* A list of state events being written: filtered, comma-separated. */
struct writer {
    struct sync *s;
    const struct room_task *t;
    struct buf *out;
    /* Events that replace those with the same key; NULL: nothing is replaced. */
    const struct stored_event *const *newer;
    size_t newer_n;
    /* The keys written already, when changes are collected from several places. */
    struct map written;
    bool writes_each_once;
    int64_t entry; /* position of this server's first join, if it is in the timeline: the state has
                      the event before it; else 0 */
    bool any;
};

static bool state_is_member(const struct event *e)
{
    return strcmp(e->type, "m.room.member") == 0;
}

static bool has_key_of(const struct stored_event *e, const struct event *other)
{
    return e->is_state && strcmp(e->event->type, other->type) == 0 &&
           strcmp(e->event->state_key, other->state_key) == 0;
}

static bool is_written(struct writer *w, const struct event *e)
{
    for (size_t i = 0; i < w->newer_n; i++)
        if (has_key_of(w->newer[i], e))
            return true;
    return w->writes_each_once &&
           map_put(&w->written, state_key_join(w->s->job->arena, e->type, e->state_key), w);
}

static bool state_matches_filter(const struct writer *w, const struct event *e)
{
    const struct event_filter *f = &w->s->filter.state;
    if (f->matches_everything)
        return true;
    struct str url = json_scan_get(e->content, "url");
    return filter_matches(f, &(struct filter_subject){.type = e->type,
                                                      .sender = e->sender,
                                                      .room_id = w->t->room->room_id,
                                                      .has_url = url.n && url.p[0] == '"'});
}

static const struct err *state_write_event(struct writer *w, const struct stored_event *e)
{
    if (w->entry && e->position == w->entry)
        TRY(state_before_get(w->s->job, w->t->room, w->entry, TYPE_MEMBER, e->event->state_key,
                             &e));
    if (!e || is_written(w, e->event) || !state_matches_filter(w, e->event))
        return NULL;
    if (w->any)
        buf_add_char(w->out, ',');
    w->any = true;
    return serialize_state_event(w->s->job, &w->s->viewer, e, w->out);
}

/* ---- lazily loaded members ---- */

/* The users whose member events the reader needs: the senders of the timeline, and a few more. */
struct wanted {
    const char **users;
    size_t n;
};

static void state_want(struct wanted *w, const char *user_id)
{
    for (size_t i = 0; i < w->n; i++)
        if (strcmp(w->users[i], user_id) == 0)
            return;
    w->users[w->n++] = user_id;
}

static const struct err *wanted_members(struct writer *w, const struct timeline *line,
                                        struct wanted *ret)
{
    const char *const *heroes = NULL;
    size_t heroes_n = 0;
    if (sync_has_summary(w->t, line))
        TRY(sync_heroes(w->s, w->t->room, &heroes, &heroes_n));
    struct wanted list = {
        arena_alloc_array(w->s->job->arena, line->visible_n + heroes_n + 1, sizeof *list.users), 0};
    for (size_t i = 0; i < line->visible_n; i++)
        state_want(&list, line->shown[i]->event->sender);
    for (size_t i = 0; i < heroes_n; i++)
        state_want(&list, heroes[i]);
    if (w->t->is_full)
        state_want(&list, w->s->caller->user_id);
    *ret = list;
    return NULL;
}

/* Members whose events are newer than the returned state: reads their events at its position. */
static const struct err *write_older_members(struct writer *w, int64_t at,
                                             const struct wanted *older)
{
    const struct stored_event *list;
    size_t n;
    if (!older->n)
        return NULL;
    TRY(room_state_members(job_tx(w->s->job), w->t->room->id, at, older->users, older->n, &list,
                           &n));
    for (size_t i = 0; i < n; i++)
        TRY(state_write_event(w, &list[i]));
    return NULL;
}

static const struct err *state_write_member(struct writer *w, int64_t at, const char *user_id,
                                            struct wanted *older)
{
    struct sync *s = w->s;
    const struct event *e;
    int64_t position, user;
    TRY(room_state_at_head(s->job, w->t->room, "m.room.member", user_id, &e, &position));
    if (!e)
        return NULL;
    TRY(intern_find(s->job->storage->intern, INTERN_USER, user_id, &user));
    bool is_new = session_member_is_new(s->session, s->caller->device, s->since, w->t->room->id,
                                        user, position > at ? at : position);
    if (!is_new && !s->filter.state.include_redundant_members && !w->t->is_full)
        return NULL;
    if (position > at) {
        older->users[older->n++] = user_id;
        return NULL;
    }
    return state_write_event(w, &(struct stored_event){.position = position,
                                                       .room = w->t->room->id,
                                                       .sender = user,
                                                       .is_state = true,
                                                       .event = e});
}

/* Members in the timeline need not be sent again later. */
static const struct err *note_visible_members(struct writer *w, const struct timeline *line)
{
    struct sync *s = w->s;
    for (size_t i = 0; i < line->visible_n; i++) {
        const struct stored_event *e = line->shown[i];
        int64_t user;
        if (!e->is_state || !state_is_member(e->event))
            continue;
        TRY(intern_find(s->job->storage->intern, INTERN_USER, e->event->state_key, &user));
        session_member_is_new(s->session, s->caller->device, s->since, w->t->room->id, user,
                              e->position);
    }
    return NULL;
}

static const struct err *write_lazy_members(struct writer *w, const struct timeline *line,
                                            int64_t at)
{
    struct wanted list;
    TRY(note_visible_members(w, line));
    TRY(wanted_members(w, line, &list));
    struct wanted older = {arena_alloc_array(w->s->job->arena, list.n + 1, sizeof *older.users), 0};
    for (size_t i = 0; i < list.n; i++)
        TRY(state_write_member(w, at, list.users[i], &older));
    return write_older_members(w, at, &older);
}

/* ---- whole state ---- */

/* The current state if none of it is newer than `at`; else the state at that position. */
static const struct err *write_without_members(struct writer *w, int64_t at)
{
    struct job *job = w->s->job;
    if (room_state_is_older(w->t->room, at)) {
        const struct event *const *events;
        size_t n;
        room_state_without_members(job, w->t->room, &events, &n);
        for (size_t i = 0; i < n; i++)
            TRY(state_write_event(w, &(struct stored_event){.room = w->t->room->id,
                                                            .is_state = true,
                                                            .event = events[i]}));
        return NULL;
    }
    const struct stored_event *list;
    size_t n;
    TRY(room_state_list(job_tx(job), w->t->room->id, at, STATE_WITHOUT_MEMBERS, &list, &n));
    for (size_t i = 0; i < n; i++)
        TRY(state_write_event(w, &list[i]));
    return NULL;
}

/* Pages of members, so that the largest room fits into bounded memory. */
static const struct err *write_all_members(struct writer *w, int64_t at)
{
    struct job *job = w->s->job;
    struct arena *outer = job->arena;
    const struct err *e = NULL;
    const char *after = "";
    for (bool more = true; more && !e;) {
        arena_auto struct arena *page = arena_create();
        job_use_arena(job, page);
        const struct stored_event *list;
        size_t n;
        e = room_state_members_page(job_tx(job), w->t->room->id, at, after, MEMBERS_A_PAGE, &list,
                                    &n);
        for (size_t i = 0; i < n && !e; i++)
            e = state_write_event(w, &list[i]);
        more = !e && n == MEMBERS_A_PAGE;
        job_use_arena(job, outer);
        if (more)
            after = arena_strdup(outer, list[n - 1].event->state_key);
        if (!e && w->out == &w->s->rp->body)
            e = reply_flush(w->s->rp);
    }
    return e;
}

static bool is_replaced_later(const struct stored_event *e, const struct stored_event *const *list,
                              size_t n)
{
    for (size_t i = 0; i < n; i++)
        if (list[i]->position > e->position && has_key_of(list[i], e->event))
            return true;
    return false;
}

static const struct err *write_last_of(struct writer *w, const struct stored_event *const *list,
                                       size_t n)
{
    for (size_t i = 0; i < n; i++)
        if (list[i]->is_state && !is_replaced_later(list[i], list, n))
            TRY(state_write_event(w, list[i]));
    return NULL;
}

/* State events after the timeline's start that are not in it. */
static const struct err *write_hidden(struct writer *w, const struct timeline *line)
{
    TRY(write_last_of(w, line->hidden, line->hidden_n));
    w->newer = line->hidden;
    w->newer_n = line->hidden_n;
    return NULL;
}

static const struct err *write_whole(struct writer *w, const struct timeline *line)
{
    int64_t at = w->s->state_after ? w->t->until : line->start - 1;
    if (at < w->t->joined_at) {
        at = w->t->joined_at;
        w->entry = line->visible_n && line->shown[0]->position == at ? at : 0;
    }
    if (!w->s->state_after)
        TRY(write_hidden(w, line));
    TRY(write_without_members(w, at));
    if (w->s->filter.state.lazy_load_members)
        return write_lazy_members(w, line, at);
    return write_all_members(w, at);
}

/* ---- changes ---- */

/* State changes in (from, to], without events at `before` or later, which are returned elsewhere.
 * "The server MUST return membership events for events in the gap", lazily loaded or not; only
 * members who were received late, by a resync, are loaded when needed. */
static const struct err *write_changes_before(struct writer *w, int64_t from, int64_t to,
                                              int64_t before)
{
    struct sync *s = w->s;
    const struct stored_event *list;
    size_t n;
    TRY(room_state_changes(job_tx(s->job), w->t->room->id, from, to,
                           !s->filter.state.lazy_load_members, &list, &n));
    for (size_t i = 0; i < n; i++)
        if (list[i].position < before)
            TRY(state_write_event(w, &list[i]));
    return NULL;
}

/* State that changed without a new event, by state resolution or a resync: from the ring, or else
 * from the intervals, without what the timeline contains. */
static const struct err *write_resolved(struct writer *w, const struct timeline *line)
{
    struct sync *s = w->s;
    const struct room_task *t = w->t;
    const struct change *changes;
    size_t n;
    bool more, read_anew = !s->from_feed && room_is_shared(t->room);
    if (s->from_feed) {
        feed_read_room(s->job->storage->feed, s->job->arena, t->room->id, t->since, t->until,
                       1u << CHANGE_STATE, STATE_CHANGES_MAX, &changes, &n, &more);
        read_anew = more;
        for (size_t i = 0; i < n && !read_anew; i++)
            read_anew = changes[i].local.resets_room;
        for (size_t i = 0; i < n && !read_anew; i++)
            if (!changes[i].state.is_end)
                TRY(state_write_event(
                    w, &(struct stored_event){.position = changes[i].state.event_position,
                                              .room = t->room->id,
                                              .is_state = true,
                                              .event = changes[i].state.event}));
    }
    return read_anew ? write_changes_before(w, t->since, t->until, line->start) : NULL;
}

/* Changes up to the timeline's start, and later ones by state resolution. */
static const struct err *write_gap(struct writer *w, const struct timeline *line, int64_t at)
{
    const struct room_task *t = w->t;
    w->writes_each_once = true;
    if (at < t->until && room_is_shared(t->room))
        TRY(write_changes_before(w, at, t->until, line->start));
    return write_changes_before(w, t->since, at, INT64_MAX);
}

static const struct err *write_delta(struct writer *w, const struct timeline *line)
{
    struct sync *s = w->s;
    const struct room_task *t = w->t;
    int64_t at = s->state_after ? t->until : line->start - 1;
    if (!s->state_after)
        TRY(write_hidden(w, line));
    TRY(line->limited ? write_gap(w, line, at) : write_resolved(w, line));
    if (s->state_after && !line->limited) {
        const struct stored_event **both =
            arena_alloc_array(s->job->arena, line->visible_n + line->hidden_n + 1, sizeof *both);
        memcpy(both, line->hidden, line->hidden_n * sizeof *both);
        memcpy(both + line->hidden_n, line->shown, line->visible_n * sizeof *both);
        TRY(write_last_of(w, both, line->visible_n + line->hidden_n));
    }
    return s->filter.state.lazy_load_members ? write_lazy_members(w, line, at) : NULL;
}

static const struct err *state_write_state(struct writer *w, const struct timeline *line)
{
    if (w->t->is_full && w->t->may_see_state)
        return write_whole(w, line);
    if (w->t->may_see_state)
        return write_delta(w, line);
    if (w->s->state_after) /* there, clients do not take timeline events as state */
        return write_last_of(w, line->shown, line->visible_n);
    return NULL;
}

const struct err *sync_write_state(struct sync *s, const struct room_task *t,
                                   const struct timeline *line, struct buf *out, bool *ret_any)
{
    struct writer w = {.s = s, .t = t, .out = out};
    buf_printf(out, "\"%s\":{\"events\":[", s->state_after ? s->state_after : "state");
    const struct err *e = state_write_state(&w, line);
    map_finish(&w.written);
    BUF_LIT(out, "]}");
    *ret_any = w.any;
    return e;
}
