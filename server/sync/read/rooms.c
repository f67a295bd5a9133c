#include "server/sync/read/rooms.h"
#include "users/users.h"

#include "rooms/room_cache.h"
#include "storage/rooms/room_state.h"
#include "storage/rooms/rooms.h"
#include "users/typing.h"

enum { TYPING_ROOMS_MAX = 256 };

/* ---- changed rooms ---- */

struct rooms_reading {
    const struct sync_reader *who;
    const struct sync_range *range;
    const struct sync_account *account;
};

static void rooms_add_room(struct session_room *list, size_t *n, const struct session_room *room)
{
    for (size_t i = 0; i < *n; i++)
        if (list[i].room == room->room)
            return;
    list[(*n)++] = *room;
}

/* Rooms where it changed are added: what of it is in the log is in no table. */
static void rooms_add_typing(const struct rooms_reading *r, struct session_room *list, size_t *n,
                             size_t max)
{
    int64_t typing[TYPING_ROOMS_MAX];
    struct session_room room;
    const struct typing_place seen = {r->range->since, r->range->typing_since};
    size_t typing_n =
        typing_changed_since(r->who->job->users->typing, &seen, typing, TYPING_ROOMS_MAX);
    for (size_t i = 0; i < typing_n && *n < max; i++)
        if (session_get_room(r->who->session, typing[i], &room))
            rooms_add_room(list, n, &room);
}

/* Those of the user's rooms that have changes in the log. */
static const struct err *rooms_add_changed(const struct rooms_reading *r,
                                           const struct session_room *all, size_t n,
                                           struct session_room *list, size_t *list_n)
{
    int64_t *ids = arena_alloc_array(r->who->job->arena, n + 1, sizeof *ids);
    bool *changed = arena_alloc_array(r->who->job->arena, n + 1, sizeof *changed);
    for (size_t i = 0; i < n; i++)
        ids[i] = all[i].room;
    if (!r->range->from_feed)
        TRY(rooms_changed_since(job_tx(r->who->job), ids, n, r->range->since, changed));
    for (size_t i = 0; i < n; i++) {
        bool is = r->range->from_feed
                      ? feed_room_position(r->who->job->storage->feed, ids[i]) > r->range->since
                      : changed[i];
        if (is || all[i].position > r->range->since)
            list[(*list_n)++] = all[i];
    }
    for (size_t i = 0; i < r->account->n; i++)
        for (size_t j = 0; j < n; j++)
            if (r->account->list[i].room && all[j].room == r->account->list[i].room)
                rooms_add_room(list, list_n, &all[j]);
    return NULL;
}

const struct err *sync_rooms_changed(const struct sync_reader *who, const struct sync_range *range,
                                     const struct sync_account *account,
                                     const struct session_room **ret, size_t *ret_n)
{
    const struct rooms_reading r = {who, range, account};
    const struct session_room *recent, *all;
    size_t recent_n, all_n;
    struct session_room *list;
    size_t n = 0, max;
    if (session_rooms_changed_since(who->job, who->session, range->since, &recent, &recent_n)) {
        max = recent_n + TYPING_ROOMS_MAX;
        list = arena_alloc_array(who->job->arena, max, sizeof *list);
        memcpy(list, recent, recent_n * sizeof *list);
        n = recent_n;
    } else {
        session_rooms(who->job, who->session, &all, &all_n);
        max = all_n + TYPING_ROOMS_MAX;
        list = arena_alloc_array(who->job->arena, max, sizeof *list);
        TRY(rooms_add_changed(&r, all, all_n, list, &n));
    }
    rooms_add_typing(&r, list, &n, max);
    *ret = list;
    *ret_n = n;
    return NULL;
}

/* ret_is_there: false if the user had no membership at the end of the range. */
static const struct err *rooms_step_back(const struct sync_reader *who,
                                         const struct sync_range *range, struct session_room *at,
                                         bool *ret_is_there)
{
    *ret_is_there = true;
    if (at->position <= range->until)
        return NULL;
    const struct stored_event *e;
    TRY(room_state_get(job_tx(who->job), at->room, TYPE_MEMBER, who->caller->user_id, range->until,
                       &e));
    *ret_is_there = e != NULL;
    if (e) {
        at->position = e->since;
        at->event = e->position;
        at->membership = event_membership(e->event);
    }
    return NULL;
}

const struct err *sync_rooms_at_end(const struct sync_reader *who, const struct sync_range *range,
                                    const struct session_room *rooms, size_t n,
                                    const struct session_room **ret, size_t *ret_n)
{
    size_t there_n = 0;
    struct session_room *there = arena_alloc_array(who->job->arena, n + 1, sizeof *there);
    for (size_t i = 0; i < n; i++) {
        bool is_there;
        there[there_n] = rooms[i];
        TRY(rooms_step_back(who, range, &there[there_n], &is_there));
        there_n += is_there;
    }
    *ret = there;
    *ret_n = there_n;
    return NULL;
}

/* ---- the section of each room ---- */

struct room_plan {
    const struct sync_reader *who;
    const struct sync_range *range;
    bool full_state, include_leave;
};

/* The user's membership when the client last read the log. */
static const struct err *room_plan_membership_before(const struct room_plan *p,
                                                     const struct sync_room *room,
                                                     enum membership *ret)
{
    const struct stored_event *e = NULL;
    if (!p->range->is_initial)
        TRY(room_state_get(job_tx(p->who->job), room->room->id, TYPE_MEMBER,
                           p->who->caller->user_id, p->range->since, &e));
    *ret = e ? event_membership(e->event) : MEMBERSHIP_NONE;
    return NULL;
}

/* As much of the room as one timeline can hold: events from before this server joined cannot be in
 * one timeline with the state at the join. */
static void room_plan_begin_at_start(struct sync_room *room)
{
    int64_t joined_at = room_join_position(room->room);
    room->joined_at = joined_at <= room->until ? joined_at : 0;
    room->since = room->joined_at ? room->joined_at - 1 : 0;
}

static const struct err *room_plan_joined(const struct room_plan *p, struct sync_room *room)
{
    enum membership before = MEMBERSHIP_JOIN;
    if (p->range->is_initial)
        before = MEMBERSHIP_NONE;
    else if (room->at.position > p->range->since)
        TRY(room_plan_membership_before(p, room, &before));
    room->is_newly_joined = before != MEMBERSHIP_JOIN;
    room->is_full = room->is_newly_joined || p->full_state;
    room->may_hide = room->is_newly_joined || room->at.position > p->range->since;
    room->may_see_state = true;
    if (room->is_newly_joined)
        room_plan_begin_at_start(room);
    room->section = SYNC_JOIN;
    return NULL;
}

/* Whether the user was joined at any time between the client's token and their leave. */
static const struct err *room_plan_was_joined(const struct room_plan *p,
                                              const struct sync_room *room, bool *ret)
{
    const struct stored_event *list;
    size_t n;
    TRY(room_state_history_from(job_tx(p->who->job), room->room->id, TYPE_MEMBER,
                                p->who->caller->user_id, p->range->is_initial ? 0 : p->range->since,
                                &list, &n));
    *ret = false;
    for (size_t i = 0; i < n && list[i].since < room->at.position; i++)
        *ret |= event_membership(list[i].event) == MEMBERSHIP_JOIN;
    return NULL;
}

static const struct err *room_plan_left(const struct room_plan *p, struct sync_room *room)
{
    if (p->range->is_initial && !p->range->is_resync && (!p->include_leave || room->at.forgotten))
        return NULL;
    if (!p->range->is_initial && room->at.position <= p->range->since)
        return NULL;
    enum membership before;
    bool was_joined;
    TRY(room_plan_membership_before(p, room, &before));
    TRY(room_plan_was_joined(p, room, &was_joined));
    bool is_known = before == MEMBERSHIP_JOIN || !was_joined;
    room->until = room->at.position;
    if (!is_known)
        room_plan_begin_at_start(room);
    room->is_full = !is_known || p->range->is_initial || p->full_state;
    room->may_hide = true;
    room->may_see_state = was_joined; /* not a user who only rejected an invite */
    room->section = SYNC_LEAVE;
    return NULL;
}

/* "Servers must not send room invites from ignored users" (Ignoring Users). */
static const struct err *room_plan_invited(const struct room_plan *p, struct sync_room *room)
{
    const struct stored_event *e = NULL;
    if (p->who->ignored)
        TRY(events_get(job_tx(p->who->job), room->at.event, &e));
    room->section = e && sync_reader_ignores(p->who, e->event->sender) ? SYNC_OMITTED : SYNC_INVITE;
    return NULL;
}

const struct err *sync_room_plan(const struct sync_reader *who, const struct sync_range *range,
                                 bool full_state, bool include_leave, struct sync_room *room)
{
    const struct room_plan p = {who, range, full_state, include_leave};
    bool is_new = range->is_initial || room->at.position > range->since;
    room->section = SYNC_OMITTED;
    room->since = range->since;
    room->until = range->until;
    switch (room->at.membership) {
    case MEMBERSHIP_JOIN:
        return room_plan_joined(&p, room);
    case MEMBERSHIP_INVITE:
        return is_new ? room_plan_invited(&p, room) : NULL;
    case MEMBERSHIP_KNOCK:
        room->section = is_new ? SYNC_KNOCK : SYNC_OMITTED;
        return NULL;
    default:
        return room_plan_left(&p, room);
    }
}

const char *sync_section_name(enum sync_section section)
{
    static const char *const names[] = {"join", "invite", "knock", "leave"};
    return names[section];
}

bool sync_room_may_be_in(const struct session_room *at, enum sync_section section)
{
    switch (at->membership) {
    case MEMBERSHIP_JOIN:
        return section == SYNC_JOIN;
    case MEMBERSHIP_INVITE:
        return section == SYNC_INVITE;
    case MEMBERSHIP_KNOCK:
        return section == SYNC_KNOCK;
    default:
        return section == SYNC_LEAVE;
    }
}

const struct err *sync_room_stripped(const struct sync_reader *who, const struct sync_room *room,
                                     struct str *ret)
{
    return members_stripped(job_tx(who->job), room->room->id, who->caller->user, ret);
}
