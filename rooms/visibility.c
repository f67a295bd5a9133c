#include "rooms/visibility.h"

#include "storage/intern.h"

/* From the loosest to the tightest. */
enum history { WORLD_READABLE, SHARED, INVITED, JOINED };

static enum history history_of(const struct event *e)
{
    const char *text = e ? json_text(event_content(e), "history_visibility") : NULL;
    if (!text)
        return SHARED; /* the spec's default, also for values it does not know */
    return strcmp(text, "world_readable") == 0 ? WORLD_READABLE
           : strcmp(text, "invited") == 0      ? INVITED
           : strcmp(text, "joined") == 0       ? JOINED
                                               : SHARED;
}

static enum membership membership_of(const struct event *e)
{
    return e ? membership_parse(json_text(event_content(e), "membership")) : MEMBERSHIP_NONE;
}

/* What the state said over time of one key: events in order of their positions. */
struct history_of_key {
    const struct stored_event *events;
    size_t n;
};

static const struct event *value_at(const struct history_of_key *h, int64_t position)
{
    const struct event *value = NULL;
    for (size_t i = 0; i < h->n && h->events[i].position <= position; i++)
        value = h->events[i].event;
    return value;
}

static bool joins_after(const struct history_of_key *members, int64_t position)
{
    for (size_t i = 0; i < members->n; i++)
        if (members->events[i].position > position &&
            membership_of(members->events[i].event) == MEMBERSHIP_JOIN)
            return true;
    return false;
}

/* client-server-api, "Room history visibility", the five rules. For the events that change one of
 * the two values, the looser of before and after counts. */
static bool may_see(const struct history_of_key *history, const struct history_of_key *members,
                    int64_t position)
{
    enum history before = history_of(value_at(history, position - 1));
    enum history after = history_of(value_at(history, position));
    enum history visible = before < after ? before : after;
    enum membership was = membership_of(value_at(members, position - 1));
    enum membership is = membership_of(value_at(members, position));
    if (visible == WORLD_READABLE || was == MEMBERSHIP_JOIN || is == MEMBERSHIP_JOIN)
        return true;
    if (visible == SHARED && joins_after(members, position))
        return true;
    if (visible <= INVITED && (was == MEMBERSHIP_INVITE || is == MEMBERSHIP_INVITE))
        return visible == INVITED;
    /* One's own leaving, and being banned or rejected, is always shown. */
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

/* The usual case, answered from memory: the user is joined, and either has been since before the
 * oldest of the events, or the room has shared its history all along. */
static const struct err *all_visible(struct job *job, struct room *room, int64_t user,
                                     int64_t oldest, bool *ret)
{
    struct room_member m = room_member(room, user);
    const struct event *e;
    int64_t position;
    TRY(room_state_at_head(job, room, "m.room.history_visibility", "", &e, &position));
    bool joined = m.membership == MEMBERSHIP_JOIN;
    bool unchanged = !e || position < oldest;
    *ret = (joined && m.position < oldest) || (unchanged && history_of(e) == WORLD_READABLE) ||
           (unchanged && history_of(e) == SHARED && joined);
    return NULL;
}

static const struct err *read_histories(struct job *job, struct room *room, const char *user_id,
                                        struct history_of_key *history,
                                        struct history_of_key *members)
{
    TRY(room_state_history(job_tx(job), room->id, TYPE_HISTORY_VISIBILITY, "", &history->events,
                           &history->n));
    return room_state_history(job_tx(job), room->id, TYPE_MEMBER, user_id, &members->events,
                              &members->n);
}

const struct err *visibility_filter(struct job *job, struct room *room, int64_t user,
                                    const char *user_id, const struct stored_event *const *events,
                                    size_t n, bool *ret_visible)
{
    if (!n)
        return NULL;
    bool all;
    TRY(all_visible(job, room, user, oldest_of(events, n), &all));
    struct history_of_key history = {0}, members = {0};
    if (!all)
        TRY(read_histories(job, room, user_id, &history, &members));
    const struct map *ignored;
    TRY(ignored_users(job, user, &ignored));
    for (size_t i = 0; i < n; i++)
        ret_visible[i] = (all || may_see(&history, &members, events[i]->position)) &&
                         (events[i]->is_state || !ignored ||
                          !map_get(ignored, str_of(events[i]->event->sender)));
    return NULL;
}

const struct err *visibility_may_see(struct job *job, struct room *room, int64_t user,
                                     const char *user_id, const struct stored_event *e, bool *ret)
{
    return visibility_filter(job, room, user, user_id, &e, 1, ret);
}

const struct err *visibility_membership_at(struct job *job, struct room *room, int64_t user,
                                           const char *user_id, int64_t position,
                                           enum membership *ret)
{
    struct room_member now = room_member(room, user);
    if (now.position <= position) {
        *ret = now.membership;
        return NULL;
    }
    const struct stored_event *e;
    TRY(room_state_get(job_tx(job), room->id, TYPE_MEMBER, user_id, position, &e));
    *ret = membership_of(e ? e->event : NULL);
    return NULL;
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
    if (m.membership == MEMBERSHIP_LEAVE || m.membership == MEMBERSHIP_BAN)
        TRY(members_remember(job_tx(job), room->id, user, &was_there));
    if (was_there)
        return NULL;
    return err(ERR_FORBIDDEN, "You are not in this room and cannot read its history");
}
