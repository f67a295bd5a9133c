/* pushers: where a user's notifications are to be sent, and up to which position they were
 * (server/push/push.h). */
#ifndef STORAGE_USERS_PUSHERS_H
#define STORAGE_USERS_PUSHERS_H

#include "storage/nodes/lease.h"

enum { PUSHERS_MAX = 100 }; /* of one user */

struct pusher {
    int64_t user, device; /* device: that set it; deleted with it */
    const char *app_id, *pushkey;
    struct str json; /* as GET /pushers returns it, but for device_id */
    int64_t set_ts;
};

/* ---- for the client-server API ---- */

/* M_TOO_LARGE when the user may not have this one, too. */
const struct err *pushers_check_space(struct tx *tx, const struct pusher *p);
/* Other users with a pusher of this app and key. */
const struct err *pushers_find_others(struct tx *tx, const struct pusher *p, const int64_t **ret,
                                      size_t *ret_n);
/* Adds or replaces the user's pusher of this app and key, beginning at change `at`. alone: deletes
 * those of other users. */
void pushers_write(struct write *w, const struct pusher *p, bool alone, int at);
void pushers_write_deletion(struct write *w, int64_t user, const char *app_id, const char *pushkey);

struct listed_pusher {
    struct str json;
    const char *device_id; /* NULL: the device is gone */
};
const struct err *pushers_list(struct tx *tx, int64_t user, const struct listed_pusher **ret,
                               size_t *ret_n);

/* ---- for sending ---- */

struct pusher_row {
    int64_t id, user;
    const char *user_id, *app_id, *pushkey;
    struct str json;
    int64_t sent_position, set_ts;
    bool is_behind;
    bool may_ignore; /* the user has a list of ignored users */
};
/* Of slices (lease_slice_of_id()), or of one user. */
const struct err *pushers_of_slices(struct tx *tx, const int64_t *slices, size_t n,
                                    const struct pusher_row **ret, size_t *ret_n);
const struct err *pushers_of_user(struct tx *tx, int64_t user, const struct pusher_row **ret,
                                  size_t *ret_n);
/* Its gateway has rejected the key. */
const struct err *pushers_reject(struct tx *tx, int64_t id, const char *pushkey);

struct pusher_cursor {
    int64_t id, position;
    bool is_behind;
};
void pushers_write_cursors(struct write *w, const struct pusher_cursor *list, size_t n);

/* The positions of slices; 0: it has none yet. */
const struct err *push_slices_read(struct tx *tx, int64_t ret[static LEASE_SLICES]);
/* positions: of all slices; 0: left as it is. */
void push_slices_write(struct write *w, const int64_t positions[static LEASE_SLICES]);

/* Rooms in which the user may have something unread, or is invited; the newest. */
enum { PUSH_UNREAD_ROOMS_MAX = 5000 };
const struct err *pushers_unread_rooms(struct tx *tx, int64_t user, const int64_t **ret,
                                       size_t *ret_n);

#endif
