/* What ends or changes a whole account, whether it is asked for by its owner, an administrator, the
 * command line. */
#ifndef SERVER_ACCOUNT_ACCOUNTS_H
#define SERVER_ACCOUNT_ACCOUNTS_H

#include "storage/users/users.h"

/* A new password. logout: all devices but the one of this row (0: none is spared) are signed out.
 * The password was checked (credentials_check_new). */
const struct err *accounts_set_password(struct job *job, int64_t user, const char *user_id,
                                        const char *password, bool logout, int64_t but_device);

/* Signs the user out for good: no password, devices, keys or account data are left, and the user
 * leaves all rooms. erase: their profile is removed too, and what they said is erased
 * (rooms/read/erasure.h), also when the account was deactivated before. What is interrupted goes on
 * by accounts_part_all. */
const struct err *accounts_deactivate(struct job *job, int64_t user, const char *user_id,
                                      bool erase);

/* Leaves the rooms of deactivated users that are still in some. */
const struct err *accounts_part_all(struct job *job);

#endif
