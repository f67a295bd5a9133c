#include "storage/devices/remote_devices.h"
#include "storage/rooms/sql_numbers.h"

/* ---- reading ---- */

#define SHARES_A_ROOM(who)                                                                         \
    "EXISTS (SELECT FROM room_members m WHERE m.\"user\" = " who                                   \
    " AND m.membership = " MEMBERSHIP_JOIN_SQL " "                                                 \
    " AND EXISTS (SELECT FROM room_members o WHERE o.room = m.room AND o.is_local "                \
    "  AND o.membership = " MEMBERSHIP_JOIN_SQL "))"

SQL(remote_lists_get_sql,
    "SELECT w.n, u.id, l.\"user\" IS NOT NULL, l.state, COALESCE(l.stream_id, -1), l.touched, "
    " l.failures, " SHARES_A_ROOM(
        "u.id") ", l.server, "
                "l.complete_at > 0 "
                "FROM unnest($1::text[]) WITH ORDINALITY AS w(user_id, n) "
                "JOIN users u ON u.user_id = w.user_id "
                "LEFT JOIN remote_device_lists l ON l.\"user\" = u.id")

const struct err *remote_lists_get(struct tx *tx, const char *const *user_ids, size_t n,
                                   struct remote_list *ret)
{
    struct rows rows;
    TRY(db_query(tx, &remote_lists_get_sql, P(TEXT_ARRAY(user_ids, n)), &rows));
    for (size_t i = 0; i < n; i++)
        ret[i] = (struct remote_list){.user_id = user_ids[i], .stream_id = -1};
    while (rows_next(&rows)) {
        struct remote_list *l = &ret[row_int(&rows, 0) - 1];
        l->user = row_int(&rows, 1);
        l->exists = row_bool(&rows, 2);
        l->state = (enum remote_list_state)row_int(&rows, 3);
        l->stream_id = row_int(&rows, 4);
        l->touched = row_int(&rows, 5);
        l->failures = (int)row_int(&rows, 6);
        l->shares_room = row_bool(&rows, 7);
        l->server = row_text(&rows, 8);
        l->was_known = row_bool(&rows, 9);
    }
    return NULL;
}

const struct err *remote_list_get(struct tx *tx, const char *user_id, struct remote_list *ret)
{
    return remote_lists_get(tx, &user_id, 1, ret);
}

/* Both joined the room before the list was received, and neither left since. */
SQL(remote_lists_usable_sql,
    "SELECT w.n FROM unnest($2::text[]) WITH ORDINALITY AS w(user_id, n) "
    "JOIN users u ON u.user_id = w.user_id "
    "JOIN remote_device_lists l ON l.\"user\" = u.id AND l.state = 2 "
    "WHERE EXISTS (SELECT FROM room_members t WHERE t.\"user\" = u.id AND t.membership "
    "= " MEMBERSHIP_JOIN_SQL " "
    " AND t.since <= l.complete_at AND EXISTS (SELECT FROM room_members m WHERE m.room = t.room "
    "  AND m.\"user\" = $1 AND m.membership = " MEMBERSHIP_JOIN_SQL
    " AND m.since <= l.complete_at))")

const struct err *remote_lists_usable(struct tx *tx, int64_t requester, const char *const *user_ids,
                                      size_t n, bool *ret)
{
    struct rows rows;
    TRY(db_query(tx, &remote_lists_usable_sql, P(INT(requester), TEXT_ARRAY(user_ids, n)), &rows));
    memset(ret, 0, n * sizeof *ret);
    while (rows_next(&rows))
        ret[row_int(&rows, 0) - 1] = true;
    return NULL;
}

/* ---- writing ---- */

SQL(remote_lists_open_sql,
    "INSERT INTO remote_device_lists (\"user\", server, state, complete_at, touched) "
    "SELECT u.id, substr(u.user_id, strpos(u.user_id, ':') + 1), 0, 0, 0 FROM users u "
    "WHERE u.id = ANY($1) ON CONFLICT (\"user\") DO NOTHING")

const struct err *remote_lists_open(struct tx *tx, const int64_t *users, size_t n)
{
    return db_exec(tx, &remote_lists_open_sql, P(INT_ARRAY(users, n)), NULL);
}

SQL(remote_list_whole_sql,
    "UPDATE remote_device_lists SET complete_at = $3, stream_id = NULLIF($4, -1), failures = 0, "
    "retry_ts = 0, state = CASE WHEN NOT " SHARES_A_ROOM(
        "$1") " THEN 0 WHEN touched = $2 THEN 2 ELSE 1 END WHERE \"user\" = $1")

void remote_list_write_whole(struct write *w, const struct remote_list *l, int64_t position,
                             int64_t stream_id)
{
    write_statement(w, &remote_list_whole_sql,
                    P(INT(l->user), INT(l->touched), INT(position), INT(stream_id)));
}

SQL(remote_list_update_sql,
    "WITH done AS (UPDATE remote_device_lists SET stream_id = $3, touched = touched + 1 "
    " WHERE \"user\" = $1 AND state = 2 AND touched = $2 RETURNING 1) "
    "SELECT expect_rows((SELECT count(*) FROM done), 1)")

void remote_list_write_update(struct write *w, const struct remote_list *l, int64_t stream_id)
{
    write_statement(w, &remote_list_update_sql, P(INT(l->user), INT(l->touched), INT(stream_id)));
}

SQL(remote_list_stale_sql, "UPDATE remote_device_lists SET state = 1, touched = touched + 1, "
                           "failures = 0, retry_ts = 0 WHERE \"user\" = $1")

const struct err *remote_list_set_stale(struct tx *tx, int64_t user)
{
    return db_exec(tx, &remote_list_stale_sql, P(INT(user)), NULL);
}

SQL(remote_list_touched_sql,
    "UPDATE remote_device_lists SET touched = touched + 1 WHERE \"user\" = $1")

void remote_list_write_touched(struct write *w, int64_t user)
{
    write_statement(w, &remote_list_touched_sql, P(INT(user)));
}

/* ---- stale ones ---- */

SQL(remote_list_take_sql,
    "UPDATE remote_device_lists l SET retry_ts = $2 FROM users u WHERE u.id = l.\"user\" "
    "AND l.\"user\" = (SELECT \"user\" FROM remote_device_lists WHERE state = 1 "
    " AND retry_ts <= $1 AND server <> ALL($3) ORDER BY retry_ts LIMIT 1 FOR UPDATE SKIP LOCKED) "
    "RETURNING l.\"user\", u.user_id, l.server, l.touched, l.failures")

const struct err *remote_list_take_stale(struct tx *tx, int64_t now, int64_t lease_until,
                                         const char *const *busy, size_t busy_n,
                                         struct remote_list *ret)
{
    int64_t failures;
    struct remote_list l = {
        .exists = true, .state = REMOTE_LIST_STALE, .stream_id = -1, .was_known = true};
    TRY(db_one(tx, &remote_list_take_sql, P(INT(now), INT(lease_until), TEXT_ARRAY(busy, busy_n)),
               NULL,
               R(INT_OUT(&l.user), TEXT_OUT(&l.user_id), TEXT_OUT(&l.server), INT_OUT(&l.touched),
                 INT_OUT(&failures))));
    l.failures = (int)failures;
    *ret = l;
    return NULL;
}

SQL(remote_lists_next_sql, "SELECT min(retry_ts) + 1 FROM remote_device_lists WHERE state = 1")

const struct err *remote_lists_next(struct tx *tx, int64_t *ret)
{
    return db_one(tx, &remote_lists_next_sql, NO_PARAMS, NULL, R(INT_OUT(ret)));
}

SQL(remote_list_failed_sql, "UPDATE remote_device_lists SET failures = failures + 1, retry_ts = $2 "
                            "WHERE \"user\" = $1 AND state = 1")

const struct err *remote_list_failed(struct tx *tx, int64_t user, int64_t retry_ts)
{
    return db_exec(tx, &remote_list_failed_sql, P(INT(user), INT(retry_ts)), NULL);
}

/* ---- forgetting ---- */

SQL(remote_lists_forget_sql,
    "WITH gone AS (DELETE FROM remote_device_lists WHERE \"user\" IN (SELECT l.\"user\" "
    "  FROM remote_device_lists l WHERE l.complete_at <= $1 AND NOT " SHARES_A_ROOM(
        "l.\"user\"") " LIMIT $2) RETURNING \"user\"), "
                      "devices AS (DELETE FROM device_keys d USING gone g WHERE d.\"user\" = "
                      "g.\"user\"), "
                      "keys AS (DELETE FROM cross_signing_keys k USING gone g WHERE k.\"user\" = "
                      "g.\"user\"), "
                      "signatures AS (DELETE FROM key_signatures s USING gone g WHERE s.target = "
                      "g.\"user\" AND s.signer = s.target) "
                      "SELECT count(*) FROM gone")

const struct err *remote_lists_forget(struct tx *tx, int64_t position, int64_t max, int64_t *ret_n)
{
    return db_one(tx, &remote_lists_forget_sql, P(INT(position), INT(max)), NULL,
                  R(INT_OUT(ret_n)));
}

/* ---- to-device messages ---- */

SQL(to_device_was_received_sql, "SELECT EXISTS (SELECT FROM to_device_received WHERE message = $1)")

const struct err *to_device_was_received(struct tx *tx, struct str message, bool *ret)
{
    return db_one(tx, &to_device_was_received_sql, P(BYTES(message)), NULL, R(BOOL_OUT(ret)));
}

SQL(to_device_received_sql, "INSERT INTO to_device_received (message, ts) "
                            "SELECT * FROM unnest($1::bytea[], $2::bigint[])")
static const struct batch_table to_device_received_table = {
    .sql = &to_device_received_sql,
    .columns = {DB_BYTES, DB_INT8},
    .columns_n = 2,
    .order = BATCH_OTHER,
};

void to_device_received_write(struct write *w, struct str message, int64_t ts)
{
    write_row(w, &to_device_received_table, P(BYTES(message), INT(ts)));
}

SQL(to_device_received_delete_sql, "DELETE FROM to_device_received WHERE ts < $1")

const struct err *to_device_received_delete_before(struct tx *tx, int64_t ts)
{
    return db_exec(tx, &to_device_received_delete_sql, P(INT(ts)), NULL);
}
