/* Whose keys a user must ask for anew, and whose they may forget, between two positions of the log
 * (end-to-end encryption, "Tracking the device list for a user"). */
#ifndef STORAGE_DEVICES_KEY_CHANGES_H
#define STORAGE_DEVICES_KEY_CHANGES_H

#include "storage/db/db.h"

/* Of so many changes of the log a few may be of device lists; of more all of them. */
enum { LONG_RANGE = 20000 };

/* Both lists are user ids, each once.
 *   changed: users with whom a room is shared now (and the user's own id) whose keys changed after
 *            `since` and not after `until`, users whose keys this user has signed since, and users
 *            who began to share a room after `since` (also who did before and stopped meanwhile) or
 *            were invited or knocked there. The user's own id, too, after joining a room.
 *   left:    users with whom a room was shared at `since` and none is now.
 * members_too false: no user joined or left a room of the user's since; that half is not looked at.
 */
const struct err *key_changes_read(struct tx *tx, int64_t user, const char *user_id, int64_t since,
                                   int64_t until, bool members_too, const char *const **ret_changed,
                                   size_t *ret_changed_n, const char *const **ret_left,
                                   size_t *ret_left_n);

#endif
