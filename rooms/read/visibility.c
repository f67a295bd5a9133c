#include "rooms/read/visibility.h"

#include "rooms/account_cache.h"
#include "rooms/state/state_at.h"
#include "storage/db/intern.h"
#include "storage/rooms/room_state.h"

/* From the least to the most restrictive. */
enum history { WORLD_READABLE, SHARED, INVITED, JOINED };

static enum history history_of(const struct event *e)
{
    const char *text = e ? json_text(event_content(e), "history_visibility") : NULL;
    if (!text)
        return SHARED; /* the default of the specification, also for unknown values */
    return strcmp(text, "world_readable") == 0 ? WORLD_READABLE
           : strcmp(text, "invited") == 0      ? INVITED
           : strcmp(text, "joined") == 0       ? JOINED
                                               : SHARED;
}

static enum membership membership_of(const struct event *e)
{
    return event_membership(e);
}

static const struct event *value_at(const struct stored_event *events, size_t n, int64_t position)
{
    const struct event *value = NULL;
    for (size_t i = 0; i < n && events[i].since <= position; i++)
        value = events[i].event;
    return value;
}

enum membership visibility_membership(const struct visibility *s, int64_t position)
{
    if (s->now.position <= position)
        return s->now.membership;
    return membership_of(value_at(s->members, s->members_n, position));
}

static enum history history_at(const struct visibility *s, int64_t position)
{
    return history_of(value_at(s->history, s->history_n, position));
}

static bool joins_after(const struct visibility *s, int64_t position)
{
    for (size_t i = s->members_n; i-- > 0 && s->members[i].since > position;)
        if (membership_of(s->members[i].event) == MEMBERSHIP_JOIN)
            return true;
    return false;
}

/* The five rules. For events that change the history visibility or the user's membership, the less
 * restrictive of before and after counts. */
bool visibility_allows(const struct visibility *s, int64_t position)
{
    if (s->all)
        return true;
    enum history before = history_at(s, position - 1), after = history_at(s, position);
    enum history visible = before < after ? before : after;
    enum membership was = visibility_membership(s, position - 1),
                    is = visibility_membership(s, position);
    if (visible == WORLD_READABLE || was == MEMBERSHIP_JOIN || is == MEMBERSHIP_JOIN)
        return true;
    if (visible == SHARED && joins_after(s, position))
        return true;
    if (visible == INVITED && (was == MEMBERSHIP_INVITE || is == MEMBERSHIP_INVITE))
        return true;
    /* The user's own leave, ban or refused knock is always visible. */
    return is != was && was != MEMBERSHIP_NONE;
}

static int64_t oldest_of(const struct stored_event *const *events, size_t n)
{
    int64_t oldest = INT64_MAX;
    for (size_t i = 0; i < n; i++)
        if (events[i]->position < oldest)
            oldest = events[i]->position;
    return oldest;
}

/* The usual case, from memory: the user is joined, and either has been since before the oldest of
 * the events, or the history has always been shared. */
static bool all_is_visible(const struct visibility *s, const struct event *history, int64_t changed,
                           int64_t from)
{
    bool joined = s->now.membership == MEMBERSHIP_JOIN;
    bool unchanged = !history || changed < from;
    return (joined && s->now.position < from) ||
           (unchanged && history_of(history) == WORLD_READABLE) ||
           (unchanged && history_of(history) == SHARED && joined);
}

const struct err *visibility_open(struct job *job, struct room *room, int64_t user,
                                  const char *user_id, int64_t from, struct visibility *ret)
{
    struct visibility s = {.now = room_member(room, user), .end = VALID_FOREVER};
    const struct event *history;
    int64_t changed;
    if (s.now.membership == MEMBERSHIP_NONE)
        s.now.position = 0; /* a membership that resolution has dropped: only memory has its end */
    TRY(room_state_at_head(job, room, "m.room.history_visibility", "", &history, &changed));
    s.all = all_is_visible(&s, history, changed, from);
    if (!s.all)
        TRY(room_state_history_from(job_tx(job), room->id, TYPE_HISTORY_VISIBILITY, "", from - 1,
                                    &s.history, &s.history_n));
    if (!s.all || s.now.position >= from)
        TRY(room_state_history_from(job_tx(job), room->id, TYPE_MEMBER, user_id, from - 1,
                                    &s.members, &s.members_n));
    bool is_in = s.now.membership == MEMBERSHIP_JOIN || s.now.membership == MEMBERSHIP_INVITE;
    if (!is_in && history_of(history) != WORLD_READABLE)
        s.end = s.now.position > changed ? s.now.position : changed;
    *ret = s;
    return NULL;
}

/* For history that was fetched later the state at each event decides, since it has no intervals. */
static const struct err *may_see_old(struct job *job, struct room *room, const struct visibility *s,
                                     const char *user_id, const struct stored_event *e, bool *ret)
{
    const struct stored_event *history, *member;
    TRY(state_after_get(job, room, e->position, TYPE_HISTORY_VISIBILITY, "", &history));
    enum history visible = history_of(history ? history->event : NULL);
    *ret = visible == WORLD_READABLE ||
           (visible == SHARED &&
            (s->now.membership == MEMBERSHIP_JOIN || joins_after(s, e->position)));
    if (*ret)
        return NULL;
    TRY(state_after_get(job, room, e->position, TYPE_MEMBER, user_id, &member));
    enum membership was = membership_of(member ? member->event : NULL);
    *ret = was == MEMBERSHIP_JOIN || (visible == INVITED && was == MEMBERSHIP_INVITE);
    return NULL;
}

const struct err *visibility_filter(struct job *job, struct room *room, int64_t user,
                                    const char *user_id, const struct stored_event *const *events,
                                    size_t n, bool *ret_visible)
{
    if (!n)
        return NULL;
    struct visibility s;
    TRY(visibility_open(job, room, user, user_id, oldest_of(events, n), &s));
    const struct map *ignored;
    TRY(ignored_users(job, user, &ignored));
    for (size_t i = 0; i < n; i++) {
        if (events[i]->position > 0)
            ret_visible[i] = visibility_allows(&s, events[i]->position);
        else
            TRY(may_see_old(job, room, &s, user_id, events[i], &ret_visible[i]));
        if (events[i]->is_withheld)
            ret_visible[i] = false;
        if (ignored && !events[i]->is_state && map_get(ignored, str_of(events[i]->event->sender)))
            ret_visible[i] = false;
    }
    return NULL;
}

const struct err *visibility_may_see(struct job *job, struct room *room, int64_t user,
                                     const char *user_id, const struct stored_event *e, bool *ret)
{
    return visibility_filter(job, room, user, user_id, &e, 1, ret);
}

const struct err *visibility_need_room(struct job *job, struct room *room, int64_t user)
{
    struct room_member m = room_member(room, user);
    if (m.membership == MEMBERSHIP_JOIN)
        return NULL;
    const struct event *e;
    TRY(room_state(job, room, "m.room.history_visibility", "", &e));
    if (history_of(e) == WORLD_READABLE)
        return NULL;
    bool was_there = false;
    if (m.membership == MEMBERSHIP_LEAVE)
        TRY(members_remember(job_tx(job), room->id, user, &was_there));
    if (was_there)
        return NULL;
    return err(ERR_FORBIDDEN, "You are not in this room and cannot read its history");
}
