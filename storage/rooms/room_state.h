/* room_state: a room's state as intervals, one for each change of a key (docs/architecture.md). */
#ifndef STORAGE_ROOMS_ROOM_STATE_H
#define STORAGE_ROOMS_ROOM_STATE_H

#include "storage/rooms/events.h"

#define VALID_FOREVER INT64_MAX /* the end of the current intervals */

/* Change `at` makes this event the current one of its key. The interval of the event before it
 * (had_predecessor) ends there, also if that event is of this write or of one queued earlier. */
void room_state_write(struct write *w, int64_t room, int64_t type, const char *state_key, int at,
                      bool had_predecessor);
/* The same for an event that is already stored, at that position. */
void room_state_write_known(struct write *w, int64_t room, int64_t type, const char *state_key,
                            int64_t event, int at, bool had_predecessor);
/* Adds an interval that was learned late: the event was current from that position to change `at`.
 */
void room_state_write_past(struct write *w, int64_t room, int64_t type, const char *state_key,
                           int64_t event, int64_t from, int at);
/* The key has no event any more. */
void room_state_end(struct write *w, int64_t room, int64_t type, const char *state_key, int at);

/* The position of the last change of the current state; 0: never changed. */
const struct err *room_state_newest(struct tx *tx, int64_t room, int64_t *ret);

/* One key's event at a position (VALID_FOREVER - 1: now); NULL if there was none. */
const struct err *room_state_get(struct tx *tx, int64_t room, int64_t type, const char *state_key,
                                 int64_t at_position, const struct stored_event **ret);
enum state_part { STATE_ALL, STATE_WITHOUT_MEMBERS, STATE_ONLY_MEMBERS };
/* The state at a position. */
const struct err *room_state_list(struct tx *tx, int64_t room, int64_t at_position,
                                  enum state_part part, const struct stored_event **ret,
                                  size_t *ret_n);
/* The keys whose event changed in (from, to]: their events at `to`. with_backdated: also members
 * whose event was the same at `from`, but was learned later (room_state_write_past). */
const struct err *room_state_changes(struct tx *tx, int64_t room, int64_t from, int64_t to,
                                     bool with_backdated, const struct stored_event **ret,
                                     size_t *ret_n);
/* All events that one key ever had, oldest first. */
const struct err *room_state_history(struct tx *tx, int64_t room, int64_t type,
                                     const char *state_key, const struct stored_event **ret,
                                     size_t *ret_n);
/* Those of them that were current at `from` or later. */
const struct err *room_state_history_from(struct tx *tx, int64_t room, int64_t type,
                                          const char *state_key, int64_t from,
                                          const struct stored_event **ret, size_t *ret_n);
/* Member events of these users at a position. */
const struct err *room_state_members(struct tx *tx, int64_t room, int64_t at_position,
                                     const char *const *user_ids, size_t n,
                                     const struct stored_event **ret, size_t *ret_n);
/* The position from which the room's first member event was state; 0: it has none. */
const struct err *room_state_first_member(struct tx *tx, int64_t room, int64_t *ret);
/* Member events at a position in steps of `limit`, for large rooms that are streamed: state keys
 * after `after` ("" to start). */
const struct err *room_state_members_page(struct tx *tx, int64_t room, int64_t at_position,
                                          const char *after, int64_t limit,
                                          const struct stored_event **ret, size_t *ret_n);

/* An event that a state event replaced in the state before it. */
struct replaced_event {
    int64_t by; /* position of the event that replaced it */
    struct stored_event event;
};
/* What these state events replaced, be they in the log, on a fork or in history
 * (storage/rooms/replaced_state.c). Those that replaced nothing are left out. */
const struct err *room_state_replaced(struct tx *tx, int64_t room,
                                      const struct stored_event *const *events, size_t n,
                                      const struct replaced_event **ret, size_t *ret_n);

#endif
