/* Device lists of other servers' users: remote_device_lists, one row for each user whose keys were
 * queried; and the ids of to-device messages received from other servers (server-server API,
 * "Device Management", "Send-to-device messaging"). The keys: storage/devices/e2ee_keys.h.
 *
 * A list may be used without asking again if it is fresh and one of our users has shared a room
 * with its owner ever since it was received whole: only then the owner's server sends us its
 * changes. */
#ifndef STORAGE_DEVICES_REMOTE_DEVICES_H
#define STORAGE_DEVICES_REMOTE_DEVICES_H

#include "storage/db/write.h"

enum remote_list_state {                            /* stored as these numbers */
                         REMOTE_LIST_UNTRACKED = 0, /* no server sends us changes */
                         REMOTE_LIST_STALE = 1, /* changes were missed; device_watch queries them */
                         REMOTE_LIST_FRESH = 2
};

struct remote_list {
    int64_t user; /* 0: a name that was never seen here */
    bool exists;  /* has a row */
    enum remote_list_state state;
    int64_t stream_id; /* -1: not known */
    int64_t touched;
    int failures;
    bool was_known;   /* their server has sent the list once */
    bool shares_room; /* with one of our users */
    const char *user_id, *server;
};

/* The list of one user, or of many in their order (user_id is the argument's). */
const struct err *remote_list_get(struct tx *tx, const char *user_id, struct remote_list *ret);
const struct err *remote_lists_get(struct tx *tx, const char *const *user_ids, size_t n,
                                   struct remote_list *ret);

/* Which of these lists can be used as they are when this user of ours asks. */
const struct err *remote_lists_usable(struct tx *tx, int64_t requester, const char *const *user_ids,
                                      size_t n, bool *ret);

/* Adds missing rows before the server is asked: updates received meanwhile are counted in
 * `touched`. */
const struct err *remote_lists_open(struct tx *tx, const int64_t *users, size_t n);

/* The whole list was received; when it was asked for, the head of the log was `position` and the
 * list as in l. It becomes fresh if it was not touched meanwhile and a room is shared, else stale
 * or untracked. stream_id -1: not given by their server. */
void remote_list_write_whole(struct write *w, const struct remote_list *l, int64_t position,
                             int64_t stream_id);
/* An update that follows the stored one. The write fails with ERR_CONFLICT if the list is no longer
 * as in l. */
void remote_list_write_update(struct write *w, const struct remote_list *l, int64_t stream_id);
/* After an update that does not follow the stored one: stale, to be queried at once. */
const struct err *remote_list_set_stale(struct tx *tx, int64_t user);
/* After an update without a stream id. */
void remote_list_write_touched(struct write *w, int64_t user);

/* A stale list that is due to be queried, of a server that is not in `busy`; not returned again
 * before lease_until. ret->user 0: none. */
const struct err *remote_list_take_stale(struct tx *tx, int64_t now, int64_t lease_until,
                                         const char *const *busy, size_t busy_n,
                                         struct remote_list *ret);
/* When the next stale list is to be queried (ms since the epoch); 0: there is none. */
const struct err *remote_lists_next(struct tx *tx, int64_t *ret);
const struct err *remote_list_failed(struct tx *tx, int64_t user, int64_t retry_ts);

/* Deletes lists, and the keys in them, of users who share no room with any of ours, except those
 * that were queried after `position`; at most `max` at once. */
const struct err *remote_lists_forget(struct tx *tx, int64_t position, int64_t max, int64_t *ret_n);

/* To-device messages by a hash of where they came from. The write fails with ERR_CONFLICT when it
 * was received before. */
const struct err *to_device_was_received(struct tx *tx, struct str message, bool *ret);
void to_device_received_write(struct write *w, struct str message, int64_t ts);
const struct err *to_device_received_delete_before(struct tx *tx, int64_t ts);

#endif
