/* Changes or ends a whole account, for its owner, an administrator or the command line. */
#ifndef SERVER_ACCOUNT_ACCOUNTS_H
#define SERVER_ACCOUNT_ACCOUNTS_H

#include "storage/users/users.h"

/* Sets a password. logout: signs out all devices except this row's (0: all). The password was
 * checked (credentials_check_new). */
const struct err *accounts_set_password(struct job *job, int64_t user, const char *user_id,
                                        const char *password, bool logout, int64_t but_device);

/* Deactivates the user: removes password, devices, keys and account data, and leaves all rooms.
 * erase: removes the profile too and erases the user's messages (rooms/read/erasure.h), even if the
 * account was deactivated before. accounts_part_all continues after an interruption. */
const struct err *accounts_deactivate(struct job *job, int64_t user, const char *user_id,
                                      bool erase);

/* Leaves the rooms of deactivated users that are still in some. */
const struct err *accounts_part_all(struct job *job);

#endif
