/* Accounts of local users. An account is never deleted, so that its name is never reused: a
 * deactivated one has no password, no devices and no tokens.
 *
 * A write that ends sessions or changes what an account may do has a CHANGE_ACCOUNT
 * (users_write_changed), on which every node drops what it cached. */
#ifndef STORAGE_USERS_USERS_H
#define STORAGE_USERS_USERS_H

#include "storage/db/write.h"

struct account {
    int64_t user; /* users.id */
    const char *user_id;
    const char *password_hash; /* server/account/password.h; NULL: has none */
    bool is_admin, is_guest, deactivated, erased, locked, suspended;
    int64_t created_ts;
};

/* Everything is in the tx's arena. Without such an account, *ret_found is false. */
const struct err *users_find(struct tx *tx, const char *user_id, bool *ret_found,
                             struct account *ret);
const struct err *users_get(struct tx *tx, int64_t user, bool *ret_found, struct account *ret);

/* The users.id of those of these user ids (of any server) that are known; in any order. */
const struct err *users_find_ids(struct tx *tx, const char *const *user_ids, size_t n,
                                 const int64_t **ret, size_t *ret_n);

enum user_flag { USER_ADMIN = 1, USER_GUEST = 2 }; /* bits */

struct new_account {
    const char *localpart;
    const char *password_hash; /* NULL: has none */
    const char *displayname;   /* NULL: the localpart */
    unsigned flags;
};

/* In the transaction of the job's tx if there is one. M_INVALID_USERNAME when the name cannot be
 * registered (grammar, length), M_USER_IN_USE when it is taken, also by a deactivated account. */
const struct err *users_create(struct job *job, const struct new_account *account,
                               int64_t *ret_user, const char **ret_user_id);

/* Checks that the name can be registered. The errors of users_create. */
const struct err *users_check_available(struct job *job, const char *localpart,
                                        const char **ret_user_id);

/* Stores a better hash of the same password, unless the password was changed meanwhile. */
const struct err *users_rehash(struct tx *tx, int64_t user, const char *old, const char *better);

/* Parts of a write. Each needs users_write_changed in the same write. */
void users_write_changed(struct write *w, int64_t user, const char *user_id);
void users_write_password(struct write *w, int64_t user, const char *password_hash);
/* Also makes a guest a user. */
void users_write_upgrade(struct write *w, int64_t user, const char *password_hash);
void users_write_locked(struct write *w, int64_t user, bool on);
void users_write_suspended(struct write *w, int64_t user, bool on);
/* Also deletes the password, account data and one-time tokens. The rooms are left afterwards: the
 * account counts as parting until users_write_parted. */
void users_write_deactivation(struct write *w, int64_t user);

/* Deactivated accounts that still have rooms to leave, at most `max` of them. */
const struct err *users_list_parting(struct tx *tx, int64_t max, const struct account **ret,
                                     size_t *ret_n);
/* The user has left the rooms that they were in at this position of the log. A user who joined
 * another since, by a concurrent request, is still parting. */
void users_write_parted(struct write *w, int64_t user, int64_t position);

#endif
