/* Private to the reader of state: one reading of a room's state. */
#ifndef SERVER_SYNC_READ_STATE_READING_H
#define SERVER_SYNC_READ_STATE_READING_H

#include "server/sync/read/state.h"

struct state_reading {
    const struct sync_reader *who;
    const struct sync_range *range;
    const struct sync_room *room;
    const struct sync_timeline *line;
    const struct sync_state_wanted *wanted;
    const struct sync_state_sink *sink;
    /* Events that replace those with the same key; NULL: nothing is replaced. */
    const struct stored_event *const *newer;
    size_t newer_n;
    /* The keys added already, when changes are collected from several places. */
    struct map added;
    bool adds_each_once;
    int64_t entry; /* position of this server's first join, if it is in the timeline: the state has
                      the event before it; else 0 */
};

/* Passes the event on, unless the filter or `wants` excludes it, or its key has been added. */
const struct err *sync_state_add(struct state_reading *r, const struct stored_event *e);

static inline bool sync_state_is_wanted(const struct state_reading *r, const char *type,
                                        const char *state_key)
{
    return !r->wanted->wants || r->wanted->wants(r->wanted->wants_ctx, type, state_key);
}

bool sync_state_has_key_of(const struct stored_event *e, const struct event *other);

/* state_members.c: the member events at position `at` that this device needs and was not sent
 * lately. */
const struct err *sync_state_add_lazy_members(struct state_reading *r, int64_t at);
/* All of them, in pages of bounded memory. */
const struct err *sync_state_add_all_members(struct state_reading *r, int64_t at);

#endif
