#include "storage/users/users.h"

#include "base/clock.h"
#include "matrix/id.h"
#include "matrix/json_scan.h"
#include "storage/db/intern.h"
#include "storage/rooms/sql_numbers.h"
#include "storage/users/profiles.h"

#define ACCOUNT_COLUMNS                                                                            \
    "u.id, u.user_id, a.password_hash, a.is_admin, a.is_guest, a.deactivated, a.erased, "          \
    "a.locked, a.suspended, a.created_ts FROM users u JOIN accounts a ON a.\"user\" = u.id "

SQL(users_find_sql, "SELECT " ACCOUNT_COLUMNS "WHERE u.user_id = $1")
SQL(users_get_sql, "SELECT " ACCOUNT_COLUMNS "WHERE u.id = $1")

static const struct err *read_account(struct tx *tx, struct sql *sql, struct db_param key,
                                      bool *ret_found, struct account *ret)
{
    struct account a;
    TRY(db_one(tx, sql, P(key), ret_found,
               R(INT_OUT(&a.user), TEXT_OUT(&a.user_id), TEXT_OUT(&a.password_hash),
                 BOOL_OUT(&a.is_admin), BOOL_OUT(&a.is_guest), BOOL_OUT(&a.deactivated),
                 BOOL_OUT(&a.erased), BOOL_OUT(&a.locked), BOOL_OUT(&a.suspended),
                 INT_OUT(&a.created_ts))));
    *ret = a;
    return NULL;
}

const struct err *users_find(struct tx *tx, const char *user_id, bool *ret_found,
                             struct account *ret)
{
    return read_account(tx, &users_find_sql, TEXT(user_id), ret_found, ret);
}

const struct err *users_get(struct tx *tx, int64_t user, bool *ret_found, struct account *ret)
{
    return read_account(tx, &users_get_sql, INT(user), ret_found, ret);
}

SQL(users_find_ids_sql, "SELECT id FROM users WHERE user_id = ANY($1)")

const struct err *users_find_ids(struct tx *tx, const char *const *user_ids, size_t n,
                                 const int64_t **ret, size_t *ret_n)
{
    return db_ints(tx, &users_find_ids_sql, P(TEXT_ARRAY(user_ids, n)), ret, ret_n);
}

/* ---- new accounts ---- */

static const struct err *check_localpart(struct job *job, const char *localpart,
                                         const char **ret_user_id)
{
    if (!id_is_new_localpart(str_of(localpart)))
        return err(ERR_INVALID_USERNAME,
                   "A user name may only have the characters a-z, 0-9 and ._=-/+");
    const char *id = arena_printf(job->arena, "@%s:%s", localpart, job->config->server_name);
    if (strlen(id) > ID_LENGTH_MAX)
        return err(ERR_INVALID_USERNAME, "The user id would have more than %d bytes",
                   ID_LENGTH_MAX);
    *ret_user_id = id;
    return NULL;
}

const struct err *users_check_available(struct job *job, const char *localpart,
                                        const char **ret_user_id)
{
    const char *user_id;
    TRY(check_localpart(job, localpart, &user_id));
    struct account a;
    bool found;
    TRY(users_find(job_tx(job), user_id, &found, &a));
    if (found)
        return err(ERR_USER_IN_USE, "That user name is taken");
    *ret_user_id = user_id;
    return NULL;
}

/* No user shares a room with a new user, so the profile needs no change: position 0. */
SQL(users_create_sql,
    "WITH made AS ("
    "INSERT INTO accounts (\"user\", password_hash, is_admin, is_guest, created_ts) "
    "VALUES ($1, $2, $3, $4, $5) ON CONFLICT DO NOTHING RETURNING \"user\"), "
    "profile AS ("
    "INSERT INTO profiles (\"user\", fields, position, search_name) "
    "SELECT \"user\", $6, 0, $7 FROM made) "
    "SELECT \"user\" FROM made")

static struct str first_profile(struct arena *a, const struct new_account *account)
{
    buf_auto struct buf fields = {0};
    BUF_LIT(&fields, "{\"displayname\":");
    buf_add_json_string(&fields,
                        str_of(account->displayname ? account->displayname : account->localpart));
    BUF_LIT(&fields, "}");
    return (struct str){arena_memdup(a, fields.p, fields.n), fields.n};
}

const struct err *users_create(struct job *job, const struct new_account *account,
                               int64_t *ret_user, const char **ret_user_id)
{
    const char *user_id;
    TRY(check_localpart(job, account->localpart, &user_id));
    int64_t user, made;
    TRY(intern_id(job->storage->intern, INTERN_USER, user_id, &user));
    struct str fields = first_profile(job->arena, account);
    bool is_new;
    TRY(db_one(job_tx(job), &users_create_sql,
               P(INT(user), TEXT(account->password_hash), BOOL((account->flags & USER_ADMIN) != 0),
                 BOOL((account->flags & USER_GUEST) != 0), INT(now_ms()), BYTES(fields),
                 TEXT(profile_search_name(job->arena, json_scan_get(fields, "displayname")))),
               &is_new, R(INT_OUT(&made))));
    if (!is_new)
        return err(ERR_USER_IN_USE, "That user name is taken");
    *ret_user = user;
    *ret_user_id = user_id;
    return NULL;
}

/* ---- changes ---- */

SQL(users_rehash_sql,
    "UPDATE accounts SET password_hash = $3 WHERE \"user\" = $1 AND password_hash = $2")

const struct err *users_rehash(struct tx *tx, int64_t user, const char *old, const char *better)
{
    return db_exec(tx, &users_rehash_sql, P(INT(user), TEXT(old), TEXT(better)), NULL);
}

SQL(users_changed_sql, "UPDATE accounts SET position = log_at($2) WHERE \"user\" = $1")

void users_write_changed(struct write *w, int64_t user, const char *user_id)
{
    int at = write_change(
        w, &(struct change){.kind = CHANGE_ACCOUNT, .user = user, .account.user_id = user_id});
    write_statement(w, &users_changed_sql, P(INT(user), POSITION(at)));
}

SQL(users_password_sql, "UPDATE accounts SET password_hash = $2 WHERE \"user\" = $1")

void users_write_password(struct write *w, int64_t user, const char *password_hash)
{
    write_statement(w, &users_password_sql, P(INT(user), TEXT(password_hash)));
}

SQL(users_upgrade_sql, "UPDATE accounts SET is_guest = false, password_hash = $2 "
                       "WHERE \"user\" = $1")

void users_write_upgrade(struct write *w, int64_t user, const char *password_hash)
{
    write_statement(w, &users_upgrade_sql, P(INT(user), TEXT(password_hash)));
}

SQL(users_locked_sql, "UPDATE accounts SET locked = $2 WHERE \"user\" = $1")
SQL(users_suspended_sql, "UPDATE accounts SET suspended = $2 WHERE \"user\" = $1")

void users_write_locked(struct write *w, int64_t user, bool on)
{
    write_statement(w, &users_locked_sql, P(INT(user), BOOL(on)));
}

void users_write_suspended(struct write *w, int64_t user, bool on)
{
    write_statement(w, &users_suspended_sql, P(INT(user), BOOL(on)));
}

/* The password is kept unless the account is erased, so that its owner learns why they cannot sign
 * in. */
SQL(users_deactivate_sql,
    "WITH data AS (DELETE FROM account_data WHERE \"user\" = $1), "
    "given AS (DELETE FROM passes WHERE \"user\" = $1), "
    "filter AS (DELETE FROM filters WHERE \"user\" = $1), "
    "network AS (DELETE FROM known_networks WHERE \"user\" = $1) "
    "UPDATE accounts SET deactivated = true, parting = true, is_admin = false WHERE \"user\" = $1")

void users_write_deactivation(struct write *w, int64_t user)
{
    write_statement(w, &users_deactivate_sql, P(INT(user)));
}

SQL(users_parting_sql, "SELECT u.id, u.user_id FROM accounts a JOIN users u ON u.id = a.\"user\" "
                       "WHERE a.parting ORDER BY u.id LIMIT $1")

const struct err *users_list_parting(struct tx *tx, int64_t max, const struct account **ret,
                                     size_t *ret_n)
{
    struct account one = {.deactivated = true};
    return db_list(tx, &users_parting_sql, P(INT(max)),
                   R(INT_OUT(&one.user), TEXT_OUT(&one.user_id)), LIST(one, ret, ret_n));
}

/* In a transaction of the log, so that no join is committed concurrently. */
SQL(users_parted_sql,
    "UPDATE accounts SET parting = EXISTS (SELECT FROM room_members m WHERE m.\"user\" = $1 "
    "AND m.membership IN (" MEMBERSHIPS_EXPECTED_SQL ") AND m.since > $2) WHERE \"user\" = $1")

void users_write_parted(struct write *w, int64_t user, int64_t position)
{
    write_statement(w, &users_parted_sql, P(INT(user), INT(position)));
}
