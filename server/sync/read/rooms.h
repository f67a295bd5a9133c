/* Which of the user's rooms a sync is about, and which part of each. Values are in the arena. */
#ifndef SERVER_SYNC_READ_ROOMS_H
#define SERVER_SYNC_READ_ROOMS_H

#include "server/sync/read/account.h"

enum sync_section { SYNC_JOIN, SYNC_INVITE, SYNC_KNOCK, SYNC_LEAVE, SYNC_SECTIONS, SYNC_OMITTED };

/* "join", "invite", "knock", "leave" */
const char *sync_section_name(enum sync_section section);

struct sync_room {
    struct session_room at; /* the user's membership at the end of the range */
    struct room *room;
    enum sync_section section;
    int64_t since, until; /* its part of the log: 0 means from the start */
    int64_t joined_at; /* where this server joined the room through another one, if the range begins
                          there: older events were received as state; else 0 */
    bool is_full;      /* whole state: initial, newly joined, or requested */
    bool is_newly_joined;
    bool may_hide; /* the user was not in the room all the time: history visibility decides */
    bool may_see_state;
};

/* The rooms with changes of any kind in the range, typing and this account data included. No SQL
 * while the session or the feed reaches back to the range's start; else one query. */
const struct err *sync_rooms_changed(const struct sync_reader *who, const struct sync_range *range,
                                     const struct sync_account *account,
                                     const struct session_room **ret, size_t *ret_n);

/* The session may be ahead of the range: these rooms with the user's memberships at its end,
 * without those that had none. A query for each room whose membership has changed since. */
const struct err *sync_rooms_at_end(const struct sync_reader *who, const struct sync_range *range,
                                    const struct session_room *rooms, size_t n,
                                    const struct session_room **ret, size_t *ret_n);

/* The sections that a room with this membership can be in: one. */
bool sync_room_may_be_in(const struct session_room *at, enum sync_section section);

/* `room` has its `at` and `room`, the rest is zero, and is set. full_state: requested;
 * include_leave: of the filter. No SQL unless the membership has changed in the range, or an
 * invite's sender may be ignored. */
const struct err *sync_room_plan(const struct sync_reader *who, const struct sync_range *range,
                                 bool full_state, bool include_leave, struct sync_room *room);

/* The stripped state of an invite or a knock, a JSON array; p NULL: none. One query. */
const struct err *sync_room_stripped(const struct sync_reader *who, const struct sync_room *room,
                                     struct str *ret);

#endif
