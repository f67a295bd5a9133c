#include "storage/users/pushers.h"

SQL(pushers_set_sql,
    "WITH others AS (DELETE FROM pushers WHERE $6 AND app_id = $3 AND pushkey = $4 "
    "AND \"user\" <> $1) "
    "INSERT INTO pushers AS p (\"user\", device, app_id, pushkey, json, sent_position) "
    "SELECT $1, $2, $3, $4, $5, (SELECT position FROM log_head) "
    "WHERE (SELECT count(*) FROM pushers WHERE \"user\" = $1 "
    "AND (app_id, pushkey) <> ($3, $4)) < $7 "
    "ON CONFLICT (app_id, pushkey, \"user\") DO UPDATE SET device = excluded.device, "
    "json = excluded.json")

const struct err *pushers_set(struct tx *tx, const struct pusher *p, bool alone)
{
    int64_t rows;
    TRY(db_exec(tx, &pushers_set_sql,
                P(INT(p->user), INT(p->device), TEXT(p->app_id), TEXT(p->pushkey), BYTES(p->json),
                  BOOL(alone), INT(PUSHERS_MAX)),
                &rows));
    return rows ? NULL : err(ERR_TOO_LARGE, "A user may have %d pushers", PUSHERS_MAX);
}

SQL(pushers_delete_sql, "DELETE FROM pushers WHERE \"user\" = $1 AND app_id = $2 AND pushkey = $3")

const struct err *pushers_delete(struct tx *tx, int64_t user, const char *app_id,
                                 const char *pushkey)
{
    return db_exec(tx, &pushers_delete_sql, P(INT(user), TEXT(app_id), TEXT(pushkey)), NULL);
}

SQL(pushers_list_sql, "SELECT json FROM pushers WHERE \"user\" = $1 ORDER BY id")

const struct err *pushers_list(struct tx *tx, int64_t user, const struct str **ret, size_t *ret_n)
{
    struct str one;
    return db_list(tx, &pushers_list_sql, P(INT(user)), R(BYTES_OUT(&one)), LIST(one, ret, ret_n));
}
