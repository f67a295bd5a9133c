#include "server/sync/sync.h"
#include "users/users.h"

#include "rooms/room_cache.h"
#include "storage/rooms/room_state.h"
#include "storage/rooms/rooms.h"
#include "users/typing.h"

enum { TYPING_ROOMS_MAX = 256 };

enum section { JOIN, INVITE, KNOCK, LEAVE, SECTIONS, OMITTED };
static const char *const section_names[] = {"join", "invite", "knock", "leave"};

/* ---- changed rooms ---- */

static void rooms_add_room(struct session_room *list, size_t *n, const struct session_room *room)
{
    for (size_t i = 0; i < *n; i++)
        if (list[i].room == room->room)
            return;
    list[(*n)++] = *room;
}

/* Typing is not in the log: rooms where it changed are added. */
static void add_typing_rooms(struct sync *s, struct session_room *list, size_t *n, size_t max)
{
    int64_t typing[TYPING_ROOMS_MAX];
    struct session_room room;
    size_t typing_n =
        typing_changed_since(s->job->users->typing, s->typing_since, typing, TYPING_ROOMS_MAX);
    for (size_t i = 0; i < typing_n && *n < max; i++)
        if (session_get_room(s->session, typing[i], &room))
            rooms_add_room(list, n, &room);
}

/* Those of the user's rooms that have changes in the log. */
static const struct err *changed_by_log(struct sync *s, const struct session_room *all, size_t n,
                                        struct session_room *list, size_t *list_n)
{
    int64_t *ids = arena_alloc_array(s->job->arena, n + 1, sizeof *ids);
    bool *changed = arena_alloc_array(s->job->arena, n + 1, sizeof *changed);
    for (size_t i = 0; i < n; i++)
        ids[i] = all[i].room;
    if (!s->from_feed)
        TRY(rooms_changed_since(job_tx(s->job), ids, n, s->since, changed));
    for (size_t i = 0; i < n; i++) {
        bool is = s->from_feed ? feed_room_position(s->job->storage->feed, ids[i]) > s->since
                               : changed[i];
        if (is || all[i].position > s->since)
            list[(*list_n)++] = all[i];
    }
    for (size_t i = 0; i < s->account_data_n; i++)
        for (size_t j = 0; j < n; j++)
            if (s->account_data[i].room && all[j].room == s->account_data[i].room)
                rooms_add_room(list, list_n, &all[j]);
    return NULL;
}

const struct err *sync_choose_rooms(struct sync *s)
{
    if (s->is_initial || s->full_state) {
        session_rooms(s->job, s->session, &s->rooms, &s->rooms_n);
        return NULL;
    }
    const struct session_room *recent, *all;
    size_t recent_n, all_n;
    struct session_room *list;
    size_t n = 0, max;
    if (session_rooms_changed_since(s->job, s->session, s->since, &recent, &recent_n)) {
        max = recent_n + TYPING_ROOMS_MAX;
        list = arena_alloc_array(s->job->arena, max, sizeof *list);
        memcpy(list, recent, recent_n * sizeof *list);
        n = recent_n;
    } else {
        session_rooms(s->job, s->session, &all, &all_n);
        max = all_n + TYPING_ROOMS_MAX;
        list = arena_alloc_array(s->job->arena, max, sizeof *list);
        TRY(changed_by_log(s, all, all_n, list, &n));
    }
    add_typing_rooms(s, list, &n, max);
    s->rooms = list;
    s->rooms_n = n;
    return NULL;
}

/* ---- the section of each room ---- */

static enum membership membership_in(const struct stored_event *e)
{
    return event_membership(e->event);
}

/* The user's membership when the client last read the log. */
static const struct err *membership_at_since(struct sync *s, const struct room_task *t,
                                             enum membership *ret)
{
    const struct stored_event *e = NULL;
    if (!s->is_initial)
        TRY(room_state_get(job_tx(s->job), t->room->id, TYPE_MEMBER, s->caller->user_id, s->since,
                           &e));
    *ret = e ? membership_in(e) : MEMBERSHIP_NONE;
    return NULL;
}

/* As much of the room as one timeline can hold: events from before this server joined cannot be in
 * one timeline with the state at the join. */
static void begin_at_start(struct room_task *t)
{
    int64_t joined_at = room_join_position(t->room);
    t->joined_at = joined_at <= t->until ? joined_at : 0;
    t->since = t->joined_at ? t->joined_at - 1 : 0;
}

static const struct err *plan_joined(struct sync *s, struct room_task *t, enum section *ret)
{
    enum membership before = MEMBERSHIP_JOIN;
    if (s->is_initial)
        before = MEMBERSHIP_NONE;
    else if (t->at.position > s->since)
        TRY(membership_at_since(s, t, &before));
    t->is_newly_joined = before != MEMBERSHIP_JOIN;
    t->is_full = t->is_newly_joined || s->full_state;
    t->may_hide = t->is_newly_joined || t->at.position > s->since;
    t->may_see_state = true;
    t->since = s->since;
    if (t->is_newly_joined)
        begin_at_start(t);
    *ret = JOIN;
    return NULL;
}

/* Whether the user was joined at any time between the client's token and their leave. */
static const struct err *was_joined_since(struct sync *s, const struct room_task *t, bool *ret)
{
    const struct stored_event *list;
    size_t n;
    TRY(room_state_history_from(job_tx(s->job), t->room->id, TYPE_MEMBER, s->caller->user_id,
                                s->is_initial ? 0 : s->since, &list, &n));
    *ret = false;
    for (size_t i = 0; i < n && list[i].since < t->at.position; i++)
        *ret |= membership_in(&list[i]) == MEMBERSHIP_JOIN;
    return NULL;
}

static const struct err *plan_left(struct sync *s, struct room_task *t, enum section *ret)
{
    if (s->is_initial && !s->is_resync && (!s->filter.include_leave || t->at.forgotten))
        return NULL;
    if (!s->is_initial && t->at.position <= s->since)
        return NULL;
    enum membership before;
    bool was_joined;
    TRY(membership_at_since(s, t, &before));
    TRY(was_joined_since(s, t, &was_joined));
    bool is_known = before == MEMBERSHIP_JOIN || !was_joined;
    t->until = t->at.position;
    t->since = s->since;
    if (!is_known)
        begin_at_start(t);
    t->is_full = !is_known || s->is_initial || s->full_state;
    t->may_hide = true;
    t->may_see_state = was_joined; /* not a user who only rejected an invite */
    *ret = LEAVE;
    return NULL;
}

/* "Servers must not send room invites from ignored users" (Ignoring Users). */
static const struct err *plan_invited(struct sync *s, struct room_task *t, enum section *ret)
{
    const struct stored_event *e = NULL;
    if (s->ignored)
        TRY(events_get(job_tx(s->job), t->at.event, &e));
    *ret = e && sync_is_ignored(s, e->event->sender) ? OMITTED : INVITE;
    return NULL;
}

static const struct err *plan(struct sync *s, struct room_task *t, enum section *ret)
{
    *ret = OMITTED;
    bool is_new = s->is_initial || t->at.position > s->since;
    switch (t->at.membership) {
    case MEMBERSHIP_JOIN:
        return plan_joined(s, t, ret);
    case MEMBERSHIP_INVITE:
        return is_new ? plan_invited(s, t, ret) : NULL;
    case MEMBERSHIP_KNOCK:
        *ret = is_new ? KNOCK : OMITTED;
        return NULL;
    default:
        return plan_left(s, t, ret);
    }
}

/* ---- writing ---- */

static const struct err *write_stripped(struct sync *s, const struct room_task *t,
                                        enum section section, struct buf *out)
{
    struct str stripped;
    TRY(members_stripped(job_tx(s->job), t->room->id, s->caller->user, &stripped));
    buf_add_json_string(out, str_of(t->room->room_id));
    buf_printf(out, ":{\"%s_state\":{\"events\":", section_names[section]);
    if (stripped.p)
        buf_add_str(out, stripped);
    else
        BUF_LIT(out, "[]");
    BUF_LIT(out, "}}");
    return NULL;
}

static const struct err *rooms_write_room(struct sync *s, struct room_task *t, enum section section,
                                          struct buf *out, bool *ret_any)
{
    *ret_any = true;
    switch (section) {
    case JOIN:
        return sync_write_joined(s, t, out, ret_any);
    case LEAVE:
        return sync_write_left(s, t, out);
    default:
        return write_stripped(s, t, section, out);
    }
}

/* Each room in an arena of its own, so that an account of any size fits into bounded memory. */
static const struct err *rooms_write_one(struct sync *s, const struct session_room *at,
                                         enum section wanted, struct buf *out, bool *ret_any)
{
    struct room_task t = {.at = *at, .since = s->since, .until = s->until};
    *ret_any = false;
    TRY(room_get_by_id(s->job, at->room, &t.room));
    if (!t.room)
        return NULL;
    s->members_changed |= !room_state_is_older(t.room, s->since);
    if (!filter_wants_room(&s->filter, t.room->room_id))
        return NULL;
    enum section section;
    TRY(plan(s, &t, &section));
    return section == wanted ? rooms_write_room(s, &t, section, out, ret_any) : NULL;
}

static const struct err *write_one_in_own_arena(struct sync *s, const struct session_room *at,
                                                enum section wanted, struct buf *out, bool *ret_any)
{
    struct arena *outer = s->job->arena;
    arena_auto struct arena *own = arena_create();
    job_use_arena(s->job, own);
    const struct err *e = rooms_write_one(s, at, wanted, out, ret_any);
    job_use_arena(s->job, outer);
    return e;
}

static bool may_belong(const struct session_room *at, enum section section)
{
    switch (at->membership) {
    case MEMBERSHIP_JOIN:
        return section == JOIN;
    case MEMBERSHIP_INVITE:
        return section == INVITE;
    case MEMBERSHIP_KNOCK:
        return section == KNOCK;
    default:
        return section == LEAVE;
    }
}

static const struct err *write_section(struct sync *s, const struct session_room *rooms, size_t n,
                                       enum section section, struct buf *out)
{
    bool any = false;
    buf_printf(out, "%s\"%s\":{", section ? "," : "", section_names[section]);
    for (size_t i = 0; i < n; i++) {
        if (!may_belong(&rooms[i], section))
            continue;
        size_t before = out->n;
        bool this_any;
        if (any)
            buf_add_char(out, ',');
        TRY(write_one_in_own_arena(s, &rooms[i], section, out, &this_any));
        if (!this_any) {
            out->n = before;
            continue;
        }
        any = s->any = true;
        if (s->is_initial)
            TRY(reply_flush(s->rp));
    }
    buf_add_char(out, '}');
    return NULL;
}

/* The session may be ahead of this reply: gets the user's membership at its end. False: none. */
static const struct err *step_back(struct sync *s, struct session_room *at, bool *ret)
{
    *ret = true;
    if (at->position <= s->until)
        return NULL;
    const struct stored_event *e;
    TRY(room_state_get(job_tx(s->job), at->room, TYPE_MEMBER, s->caller->user_id, s->until, &e));
    *ret = e != NULL;
    if (e) {
        at->position = e->since;
        at->event = e->position;
        at->membership = membership_in(e);
    }
    return NULL;
}

const struct err *sync_write_rooms(struct sync *s, struct buf *out)
{
    size_t n = 0;
    struct session_room *rooms = arena_alloc_array(s->job->arena, s->rooms_n + 1, sizeof *rooms);
    for (size_t i = 0; i < s->rooms_n; i++) {
        bool is_there;
        rooms[n] = s->rooms[i];
        TRY(step_back(s, &rooms[n], &is_there));
        n += is_there;
    }
    BUF_LIT(out, ",\"rooms\":{");
    for (enum section section = JOIN; section < SECTIONS; section++)
        TRY(write_section(s, rooms, n, section, out));
    buf_add_char(out, '}');
    return NULL;
}
