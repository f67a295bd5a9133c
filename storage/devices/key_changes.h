/* Users whose keys a user must query anew, and users whose keys they may forget, between two
 * positions of the log (end-to-end encryption, "Tracking the device list for a user"). */
#ifndef STORAGE_DEVICES_KEY_CHANGES_H
#define STORAGE_DEVICES_KEY_CHANGES_H

#include "storage/db/db.h"

/* A range of the log longer than this is read by users, a shorter one by changes. */
enum { LONG_RANGE = 20000 };

/* Both lists are user ids, each once.
 *   changed: users who share a room with this user now (and the user's own id) and whose keys
 *            changed after `since` and not after `until`, users whose keys this user has signed
 *            since, and users who began to share a room after `since` (also if they did before and
 *            stopped meanwhile) or were invited or knocked there. Also the user's own id after
 *            joining a room.
 *   left:    users who shared a room at `since` and share none now.
 * members_too false: no user joined or left a room of the user's since then, so this part is
 * skipped. */
const struct err *key_changes_read(struct tx *tx, int64_t user, const char *user_id, int64_t since,
                                   int64_t until, bool members_too, const char *const **ret_changed,
                                   size_t *ret_changed_n, const char *const **ret_left,
                                   size_t *ret_left_n);

#endif
