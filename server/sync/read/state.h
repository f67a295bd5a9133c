/* The state events that a client needs beside a room's timeline: all of the state, or what changed
 * in it. They are passed on one by one, so that the largest room fits into bounded memory. */
#ifndef SERVER_SYNC_READ_STATE_H
#define SERVER_SYNC_READ_STATE_H

#include "server/sync/read/timeline.h"

struct sync_state_wanted {
    const struct event_filter *filter; /* with lazy_load_members, include_redundant_members */
    bool at_end;               /* the state after the timeline, not before it (use_state_after) */
    const char *const *heroes; /* members wanted beside the senders, if they are loaded lazily */
    size_t heroes_n;
    /* Which of those that the filter lets pass; also asked of members, before they are looked for.
     * NULL: all. */
    bool (*wants)(const void *ctx, const char *type, const char *state_key);
    const void *wants_ctx;
};

/* Receives the events. An error ends the reading, and is returned. */
struct sync_state_sink {
    void *ctx;
    /* The event is valid during the call; each (type, state key) comes once. */
    const struct err *(*add)(void *ctx, const struct stored_event *e);
    const struct err *(*end_page)(void *ctx); /* many members have been added, and more may come */
};

/* Without SQL: changes while the feed reaches back to the range's start; whole state without
 * members, and members loaded lazily, while nothing of them is newer than the wanted state. Pages
 * of members, state at an older position, and the changes of a gap are queries. A lazily loaded
 * member counts as sent to the device (users/session.h). */
const struct err *sync_state_read(const struct sync_reader *who, const struct sync_range *range,
                                  const struct sync_room *room, const struct sync_timeline *line,
                                  const struct sync_state_wanted *wanted,
                                  const struct sync_state_sink *sink);

#endif
