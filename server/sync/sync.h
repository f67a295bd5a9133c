/* GET /sync (client-server-api, "Syncing"), version 2. Private to server/sync/.
 *
 * A token (server/sync_token.h) says how far the client has read the log and the typing notices,
 * which are never stored. The reply covers (since, until] of the log, where every cache has seen
 * `until`. It is served from memory while the feed and the session reach back to the cursor. */
#ifndef SERVER_SYNC_SYNC_H
#define SERVER_SYNC_SYNC_H

#include "http/reply.h"
#include "rooms/read/serialize.h"
#include "server/account/caller.h"
#include "storage/users/account_data.h"
#include "users/session.h"

struct sync {
    struct reply *rp;
    struct job *job;
    const struct caller *caller;
    struct session *session;
    struct filter filter;
    struct viewer viewer;
    int64_t since, until; /* positions of the log */
    int64_t typing_since, typing_until;
    bool is_initial, full_state;
    /* The token is from history that the database has lost: an initial sync, with additions for a
     * client that takes it for an incremental one. is_initial is set, too. */
    bool is_resync;
    const char *state_after; /* the key to use, when the client asked for it; else NULL */
    bool from_feed;          /* the ring reaches back to since */
    bool members_changed;    /* a user joined or left a room of this one: devices to track */
    const struct account_data *account_data; /* changes, of all rooms and global */
    size_t account_data_n;
    const struct map *ignored;        /* user ids; NULL: none */
    const struct session_room *rooms; /* those with changes */
    size_t rooms_n;
    bool any; /* the reply is not empty */
};

/* One room of the reply. */
struct room_task {
    struct session_room at; /* the user's membership */
    struct room *room;
    int64_t since, until; /* its part of the log: 0 means from the start */
    int64_t joined_at; /* where this server joined the room through another one, if the range begins
                          there: older events were received as state; else 0 */
    bool is_full;      /* whole state: initial, newly joined, or requested */
    bool is_newly_joined;
    bool may_hide; /* the user was not in the room all the time: history visibility decides */
    bool may_see_state;
};

struct timeline {
    const struct stored_event **shown; /* oldest first */
    size_t visible_n;
    /* State events that the filter or the history visibility kept out of the timeline, oldest
     * first; only those after its start. */
    const struct stored_event **hidden;
    size_t hidden_n;
    bool limited;
    int64_t start; /* the first position that the timeline covers: older changes are state */
    enum relations_known relations;
};

/* sync/sync.c: a request's range of the log, and changes of account data in it. */
struct sync sync_of(struct request *rq, struct reply *rp);
const struct err *sync_open_range(struct sync *s, struct request *rq);
/* Passes `e` on, unless a parked request was woken while the database cannot be reached: it stays
 * parked, and soon runs once more. */
const struct err *sync_keep_parked(struct request *rq, struct reply *rp, const struct err *e);
const struct err *sync_read_account_data(struct sync *s);
/* Whether it is an initial sync, or has very many changes that are not in the feed: such requests
 * move to POOL_INITIAL. Call it before any room is read. */
bool sync_must_move(const struct sync *s, const struct request *rq);
/* sync/timeline.c */
const struct err *sync_read_timeline(struct sync *s, const struct room_task *t,
                                     struct timeline *ret);
/* sync/state.c: writes `"state":{"events":[…]}` or its state_after spelling; ret_any: not empty. */
const struct err *sync_write_state(struct sync *s, const struct room_task *t,
                                   const struct timeline *line, struct buf *out, bool *ret_any);
/* sync/summary.c: heroes of a room, at most 5, in the arena. */
const struct err *sync_heroes(struct sync *s, struct room *room, const char *const **ret,
                              size_t *ret_n);
/* sync/room.c */
bool sync_has_summary(const struct room_task *t, const struct timeline *line);
const struct err *sync_write_joined(struct sync *s, struct room_task *t, struct buf *out,
                                    bool *ret_any);
const struct err *sync_write_left(struct sync *s, struct room_task *t, struct buf *out);
/* sync/rooms.c */
const struct err *sync_choose_rooms(struct sync *s); /* needs sync_read_account_data */
const struct err *sync_write_rooms(struct sync *s, struct buf *out);
/* sync/user.c: account data, presence, to-device messages, device lists, key counts. */
const struct err *sync_write_account_data(struct sync *s, struct buf *out);
const struct err *sync_add_account_events(struct sync *s, struct buf *out); /* the bare list */
const struct err *sync_write_to_device(struct sync *s, struct buf *out);
const struct err *sync_write_presence(struct sync *s, struct buf *out);
const struct err *sync_write_device_lists(struct sync *s, struct buf *out);
const struct err *sync_write_key_counts(struct sync *s, struct buf *out);

bool sync_is_ignored(const struct sync *s, const char *user_id);

#endif
