#include "storage/to_device.h"

/* ---- messages ---- */

SQL(to_device_write_sql,
    "INSERT INTO to_device (device, position, json) "
    "SELECT u.device, (SELECT position FROM log_head) - u.back, u.json "
    "FROM unnest($1::bigint[], $2::bigint[], $3::bytea[]) AS u(device, back, json)")
static const struct batch_table to_device_table = {
    .sql = &to_device_write_sql,
    .columns = {DB_INT8, DB_POSITION, DB_BYTES},
    .columns_n = 3,
    .order = BATCH_OTHER,
};

void to_device_write(struct write *w, int64_t user, int64_t device, const char *device_id,
                     struct str json)
{
    int at = write_change(
        w, &(struct change){.kind = CHANGE_TO_DEVICE, .user = user, .device = device_id});
    write_row(w, &to_device_table, P(INT(device), POSITION(at), BYTES(json)));
}

static const struct err *read_messages(struct tx *tx, struct sql *sql,
                                       const struct db_param *params, size_t params_n,
                                       const struct to_device_message **ret, size_t *ret_n)
{
    struct rows rows;
    TRY(db_query(tx, sql, params, params_n, &rows));
    struct to_device_message *m = arena_alloc_array(tx->arena, (size_t)rows.n, sizeof *m);
    *ret = m;
    *ret_n = (size_t)rows.n;
    for (; rows_next(&rows); m++)
        *m = (struct to_device_message){row_int(&rows, 0), row_bytes(&rows, 1)};
    return NULL;
}

SQL(to_device_read_sql, "SELECT position, json FROM to_device WHERE device = $1 "
                        "AND position > $2 AND position <= $3 ORDER BY position LIMIT $4")

const struct err *to_device_read(struct tx *tx, int64_t device, int64_t since, int64_t until,
                                 int limit, const struct to_device_message **ret, size_t *ret_n,
                                 bool *ret_more)
{
    TRY(read_messages(tx, &to_device_read_sql,
                      P(INT(device), INT(since), INT(until), INT(limit + 1)), ret, ret_n));
    *ret_more = *ret_n > (size_t)limit;
    if (*ret_more)
        *ret_n = (size_t)limit;
    return NULL;
}

SQL(to_device_delete_sql, "DELETE FROM to_device WHERE device = $1 AND position <= $2")

const struct err *to_device_delete(struct tx *tx, int64_t device, int64_t until)
{
    return db_exec(tx, &to_device_delete_sql, P(INT(device), INT(until)), NULL);
}

SQL(device_summary_sql,
    "SELECT (jsonb_build_object('signed_curve25519', 0) || COALESCE((SELECT "
    " jsonb_object_agg(algorithm, n) FROM (SELECT algorithm, count(*) AS n FROM one_time_keys "
    " WHERE device = $1 GROUP BY algorithm) c), '{}'))::text, "
    "COALESCE((SELECT jsonb_agg(algorithm) FROM fallback_keys WHERE device = $1 AND NOT used), "
    " '[]')::text, "
    "(SELECT min(position) FROM to_device WHERE device = $1), "
    "(SELECT max(position) FROM to_device WHERE device = $1)")

const struct err *device_summary_read(struct tx *tx, int64_t device, struct device_summary *ret)
{
    return db_one(tx, &device_summary_sql, P(INT(device)), NULL,
                  R(TEXT_OUT(&ret->one_time_key_counts), TEXT_OUT(&ret->unused_fallback_types),
                    INT_OUT(&ret->first_message), INT_OUT(&ret->last_message)));
}

/* ---- for other servers ---- */

SQL(to_device_outbound_write_sql,
    "INSERT INTO to_device_outbound (server, position, json) "
    "SELECT u.server, (SELECT position FROM log_head) - u.back, u.json "
    "FROM unnest($1::text[], $2::bigint[], $3::bytea[]) AS u(server, back, json)")
static const struct batch_table to_device_outbound_table = {
    .sql = &to_device_outbound_write_sql,
    .columns = {DB_TEXT, DB_POSITION, DB_BYTES},
    .columns_n = 3,
    .order = BATCH_OTHER,
};

void to_device_outbound_write(struct write *w, const char *server, struct str json)
{
    int at = write_change(w, &(struct change){.kind = CHANGE_TO_SERVER, .device = server});
    write_row(w, &to_device_outbound_table, P(TEXT(server), POSITION(at), BYTES(json)));
}

SQL(to_device_outbound_read_sql, "SELECT position, json FROM to_device_outbound "
                                 "WHERE server = $1 AND position > $2 ORDER BY position LIMIT $3")

const struct err *to_device_outbound_read(struct tx *tx, const char *server, int64_t since,
                                          int limit, const struct to_device_message **ret,
                                          size_t *ret_n)
{
    return read_messages(tx, &to_device_outbound_read_sql, P(TEXT(server), INT(since), INT(limit)),
                         ret, ret_n);
}

SQL(to_device_outbound_delete_sql,
    "DELETE FROM to_device_outbound WHERE server = $1 AND position <= $2")

const struct err *to_device_outbound_delete(struct tx *tx, const char *server, int64_t until)
{
    return db_exec(tx, &to_device_outbound_delete_sql, P(TEXT(server), INT(until)), NULL);
}

/* ---- who gets one ---- */

SQL(to_device_targets_sql,
    "SELECT w.n, u.id, d.id, d.device_id FROM unnest($1::text[], $2::text[]) WITH ORDINALITY "
    "AS w(user_id, device_id, n) JOIN users u ON u.user_id = w.user_id "
    "JOIN devices d ON d.\"user\" = u.id AND (w.device_id = '*' OR d.device_id = w.device_id) "
    "ORDER BY w.n")

const struct err *to_device_targets(struct tx *tx, const char *const *user_ids,
                                    const char *const *device_ids, size_t n,
                                    const struct device_target **ret, size_t *ret_n)
{
    struct rows rows;
    TRY(db_query(tx, &to_device_targets_sql, P(TEXT_ARRAY(user_ids, n), TEXT_ARRAY(device_ids, n)),
                 &rows));
    struct device_target *targets = arena_alloc_array(tx->arena, (size_t)rows.n, sizeof *targets);
    for (struct device_target *t = targets; rows_next(&rows); t++) {
        size_t wanted = (size_t)row_int(&rows, 0) - 1;
        *t = (struct device_target){.user_id = user_ids[wanted],
                                    .device_id = row_text(&rows, 3),
                                    .wanted = wanted,
                                    .user = row_int(&rows, 1),
                                    .device = row_int(&rows, 2)};
    }
    *ret = targets;
    *ret_n = (size_t)rows.n;
    return NULL;
}

/* ---- transaction ids ---- */

SQL(to_device_txn_exists_sql,
    "SELECT EXISTS (SELECT FROM to_device_txns WHERE device = $1 AND txn = $2)")

const struct err *to_device_txn_exists(struct tx *tx, int64_t device, struct str txn, bool *ret)
{
    return db_one(tx, &to_device_txn_exists_sql, P(INT(device), BYTES(txn)), NULL,
                  R(BOOL_OUT(ret)));
}

SQL(to_device_txn_write_sql, "INSERT INTO to_device_txns (device, txn, ts) "
                             "SELECT * FROM unnest($1::bigint[], $2::bytea[], $3::bigint[])")
static const struct batch_table to_device_txns_table = {
    .sql = &to_device_txn_write_sql,
    .columns = {DB_INT8, DB_BYTES, DB_INT8},
    .columns_n = 3,
    .order = BATCH_OTHER,
};

void to_device_txn_write(struct write *w, int64_t device, struct str txn, int64_t ts)
{
    write_row(w, &to_device_txns_table, P(INT(device), BYTES(txn), INT(ts)));
}

SQL(to_device_txns_delete_sql, "DELETE FROM to_device_txns WHERE ts < $1")

const struct err *to_device_txns_delete_before(struct tx *tx, int64_t ts)
{
    return db_exec(tx, &to_device_txns_delete_sql, P(INT(ts)), NULL);
}
