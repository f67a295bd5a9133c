#include "storage/devices/to_device.h"

enum { SWEEP_PAGE = 1000, SWEEP_PAGES_MAX = 50 };

/* ---- messages ---- */

SQL(to_device_write_sql,
    "INSERT INTO to_device (device, position, json, source) "
    "SELECT u.device, (SELECT position FROM log_head) - u.back, u.json, u.source "
    "FROM unnest($1::bigint[], $2::bigint[], $3::bytea[], $4::bigint[]) "
    "AS u(device, back, json, source)")
static const struct batch_table to_device_table = {
    .sql = &to_device_write_sql,
    .columns = {DB_INT8, DB_POSITION, DB_BYTES, DB_INT8},
    .columns_n = 4,
    .order = BATCH_OTHER,
};

static int note_message(struct write *w, const struct to_device_address *to)
{
    return write_change(w, &(struct change){.kind = CHANGE_TO_DEVICE,
                                            .user = to->user,
                                            .device.device_id = to->device_id});
}

void to_device_write(struct write *w, const struct to_device_address *to, struct str json,
                     int64_t source)
{
    int at = note_message(w, to);
    write_row(w, &to_device_table, P(INT(to->device), POSITION(at), BYTES(json), INT(source)));
}

SQL(to_device_contents_write_sql,
    "INSERT INTO to_device_contents (position, source, json) "
    "SELECT (SELECT position FROM log_head) - u.back, u.source, u.json "
    "FROM unnest($1::bigint[], $2::bigint[], $3::bytea[]) AS u(back, source, json)")
static const struct batch_table to_device_contents_table = {
    .sql = &to_device_contents_write_sql,
    .columns = {DB_POSITION, DB_INT8, DB_BYTES},
    .columns_n = 3,
    .order = BATCH_OTHER,
};

SQL(to_device_refer_sql,
    "INSERT INTO to_device (device, position, content, source) "
    "SELECT u.device, h.position - u.back, h.position - u.content, u.source FROM log_head h, "
    "unnest($1::bigint[], $2::bigint[], $3::bigint[], $4::bigint[]) "
    "AS u(device, back, content, source)")
static const struct batch_table to_device_refer_table = {
    .sql = &to_device_refer_sql,
    .columns = {DB_INT8, DB_POSITION, DB_POSITION, DB_INT8},
    .columns_n = 4,
    .order = BATCH_OTHER,
};

void to_device_write_shared(struct write *w, const struct to_device_address *to, size_t n,
                            struct str json, int64_t source)
{
    int first = 0;
    for (size_t i = 0; i < n; i++) {
        int at = note_message(w, &to[i]);
        if (i == 0) {
            first = at;
            write_row(w, &to_device_contents_table, P(POSITION(at), INT(source), BYTES(json)));
        }
        write_row(w, &to_device_refer_table,
                  P(INT(to[i].device), POSITION(at), POSITION(first), INT(source)));
    }
}

static const struct err *to_device_read_messages(struct tx *tx, struct sql *sql,
                                                 const struct db_param *params, size_t params_n,
                                                 const struct to_device_message **ret,
                                                 size_t *ret_n)
{
    struct to_device_message one;
    return db_list(tx, sql, params, params_n, R(INT_OUT(&one.position), BYTES_OUT(&one.json)),
                   LIST(one, ret, ret_n));
}

SQL(to_device_read_sql, "SELECT t.position, COALESCE(t.json, "
                        "(SELECT c.json FROM to_device_contents c WHERE c.position = t.content)) "
                        "FROM to_device t WHERE device = $1 AND position > $2 AND position <= $3 "
                        "ORDER BY position LIMIT $4")

const struct err *to_device_read(struct tx *tx, int64_t device, int64_t since, int64_t until,
                                 int limit, const struct to_device_message **ret, size_t *ret_n,
                                 bool *ret_more)
{
    TRY(to_device_read_messages(tx, &to_device_read_sql,
                                P(INT(device), INT(since), INT(until), INT(limit + 1)), ret,
                                ret_n));
    *ret_more = *ret_n > (size_t)limit;
    if (*ret_more)
        *ret_n = (size_t)limit;
    return NULL;
}

/* A statement of its own after the one that deleted the references: if several delete the last
 * references at the same time, the last of these sees that none is left. */
SQL(to_device_contents_delete_sql,
    "DELETE FROM to_device_contents c WHERE c.position = ANY($1) "
    "AND NOT EXISTS (SELECT FROM to_device t WHERE t.content = c.position)")

static const struct err *delete_contents(struct tx *tx, const int64_t *contents, size_t n)
{
    return n ? db_exec(tx, &to_device_contents_delete_sql, P(INT_ARRAY(contents, n)), NULL) : NULL;
}

/* Deletes messages; sql returns their contents. */
static const struct err *to_device_drop(struct tx *tx, struct sql *sql,
                                        const struct db_param *params, size_t params_n,
                                        int64_t *ret_n)
{
    struct rows rows;
    TRY(db_query(tx, sql, params, params_n, &rows));
    int64_t *contents = arena_alloc_array(tx->arena, (size_t)rows.n + 1, sizeof *contents);
    size_t n = 0;
    for (int64_t last = 0; rows_next(&rows);) {
        int64_t content = row_int(&rows, 0); /* NULL: 0 */
        if (content && content != last)
            contents[n++] = last = content;
    }
    *ret_n = rows.n;
    return delete_contents(tx, contents, n);
}

SQL(to_device_delete_sql,
    "DELETE FROM to_device WHERE device = $1 AND position <= $2 RETURNING content")

const struct err *to_device_delete(struct tx *tx, int64_t device, int64_t until)
{
    int64_t n;
    return to_device_drop(tx, &to_device_delete_sql, P(INT(device), INT(until)), &n);
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
    "INSERT INTO to_device_outbound (server, position, json, source) "
    "SELECT u.server, (SELECT position FROM log_head) - u.back, u.json, u.source "
    "FROM unnest($1::text[], $2::bigint[], $3::bytea[], $4::bigint[]) "
    "AS u(server, back, json, source)")
static const struct batch_table to_device_outbound_table = {
    .sql = &to_device_outbound_write_sql,
    .columns = {DB_TEXT, DB_POSITION, DB_BYTES, DB_INT8},
    .columns_n = 4,
    .order = BATCH_OTHER,
};

void to_device_outbound_write(struct write *w, const char *server, struct str json, int64_t source)
{
    int at =
        write_change(w, &(struct change){.kind = CHANGE_TO_SERVER, .to_server.server = server});
    write_row(w, &to_device_outbound_table,
              P(TEXT(server), POSITION(at), BYTES(json), INT(source)));
}

SQL(to_device_outbound_read_sql, "SELECT position, json FROM to_device_outbound "
                                 "WHERE server = $1 AND position > $2 ORDER BY position LIMIT $3")

const struct err *to_device_outbound_read(struct tx *tx, const char *server, int64_t since,
                                          int limit, const struct to_device_message **ret,
                                          size_t *ret_n)
{
    return to_device_read_messages(tx, &to_device_outbound_read_sql,
                                   P(TEXT(server), INT(since), INT(limit)), ret, ret_n);
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
    "ORDER BY w.n LIMIT $3")

const struct err *to_device_targets(struct tx *tx, const char *const *user_ids,
                                    const char *const *device_ids, size_t n, int64_t limit,
                                    const struct device_target **ret, size_t *ret_n)
{
    struct rows rows;
    TRY(db_query(tx, &to_device_targets_sql,
                 P(TEXT_ARRAY(user_ids, n), TEXT_ARRAY(device_ids, n), INT(limit)), &rows));
    struct device_target *targets = arena_alloc_array(tx->arena, (size_t)rows.n, sizeof *targets);
    for (struct device_target *t = targets; rows_next(&rows); t++) {
        size_t wanted = (size_t)row_int(&rows, 0) - 1;
        *t = (struct device_target){
            .to = {row_int(&rows, 1), row_int(&rows, 2), row_text(&rows, 3)}, .wanted = wanted};
    }
    *ret = targets;
    *ret_n = (size_t)rows.n;
    return NULL;
}

/* ---- how much waits ---- */

#define ROW_BYTES "256" /* TO_DEVICE_ROW_BYTES: a row in its table and indexes */

SQL(to_device_caused_sql,
    "SELECT count(*), COALESCE(sum(" ROW_BYTES " + COALESCE(bytes, 0)), 0)::bigint FROM ("
    "SELECT octet_length(json) AS bytes FROM to_device WHERE source = $1 UNION ALL "
    "SELECT octet_length(json) FROM to_device_contents WHERE source = $1 UNION ALL "
    "SELECT octet_length(json) FROM to_device_outbound WHERE source = $1) AS w")

static const struct err *to_device_measure(struct tx *tx, struct sql *sql, int64_t id,
                                           struct to_device_amount *ret)
{
    return db_one(tx, sql, P(INT(id)), NULL, R(INT_OUT(&ret->n), INT_OUT(&ret->bytes)));
}

const struct err *to_device_caused(struct tx *tx, int64_t source, struct to_device_amount *ret)
{
    return to_device_measure(tx, &to_device_caused_sql, source, ret);
}

/* A shared content counts for each message that refers to it. */
SQL(to_device_waiting_sql,
    "SELECT count(*), COALESCE(sum(" ROW_BYTES " + octet_length(COALESCE(t.json, c.json))), "
    "0)::bigint FROM to_device t LEFT JOIN to_device_contents c ON c.position = t.content "
    "WHERE t.device = $1")

const struct err *to_device_waiting(struct tx *tx, int64_t device, struct to_device_amount *ret)
{
    return to_device_measure(tx, &to_device_waiting_sql, device, ret);
}

/* The oldest of each table; those of both together would be only slightly different. */
SQL(to_device_drop_caused_sql,
    "WITH here AS (DELETE FROM to_device WHERE ctid = ANY(ARRAY(SELECT ctid FROM to_device "
    " WHERE source = $1 ORDER BY position LIMIT $2)) RETURNING content), "
    "there AS (DELETE FROM to_device_outbound WHERE ctid = ANY(ARRAY(SELECT ctid "
    " FROM to_device_outbound WHERE source = $1 ORDER BY position LIMIT $2)) RETURNING 1) "
    "SELECT content FROM here UNION ALL SELECT NULL FROM there")

const struct err *to_device_drop_caused(struct tx *tx, int64_t source, int64_t max, int64_t *ret_n)
{
    return to_device_drop(tx, &to_device_drop_caused_sql, P(INT(source), INT(max)), ret_n);
}

SQL(to_device_drop_waiting_sql,
    "WITH most AS (SELECT t.source FROM to_device t LEFT JOIN to_device_contents c "
    " ON c.position = t.content WHERE t.device = $1 GROUP BY t.source "
    " ORDER BY sum(" ROW_BYTES " + octet_length(COALESCE(t.json, c.json))) DESC LIMIT 1) "
    "DELETE FROM to_device WHERE device = $1 AND position IN (SELECT t.position FROM to_device t, "
    " most m WHERE t.device = $1 AND t.source IS NOT DISTINCT FROM m.source "
    " ORDER BY t.position LIMIT $2) RETURNING content")

const struct err *to_device_drop_waiting(struct tx *tx, int64_t device, int64_t max, int64_t *ret_n)
{
    return to_device_drop(tx, &to_device_drop_waiting_sql, P(INT(device), INT(max)), ret_n);
}

/* A message may have been stored while the device was deleted: the device is removed when none is
 * left. */
SQL(to_device_gone_sql,
    "DELETE FROM to_device WHERE ctid = ANY(ARRAY(SELECT t.ctid FROM to_device_gone g "
    "JOIN to_device t ON t.device = g.device LIMIT $1))")
SQL(to_device_gone_done_sql, "DELETE FROM to_device_gone g WHERE NOT EXISTS "
                             "(SELECT FROM to_device t WHERE t.device = g.device)")
SQL(to_device_contents_unused_sql,
    "WITH page AS MATERIALIZED (SELECT position FROM to_device_contents WHERE position > $1 "
    " ORDER BY position LIMIT $2), "
    "gone AS (DELETE FROM to_device_contents c USING page p WHERE c.position = p.position "
    " AND NOT EXISTS (SELECT FROM to_device t WHERE t.content = c.position)) "
    "SELECT COALESCE(max(position), 0)::bigint, count(*) FROM page")

static const struct err *sweep_gone(struct tx *tx)
{
    int64_t n = SWEEP_PAGE;
    for (int i = 0; i < SWEEP_PAGES_MAX && n == SWEEP_PAGE; i++)
        TRY(db_exec(tx, &to_device_gone_sql, P(INT(SWEEP_PAGE)), &n));
    return db_exec(tx, &to_device_gone_done_sql, NO_PARAMS, NULL);
}

const struct err *to_device_sweep(struct tx *tx, int64_t *place)
{
    TRY(sweep_gone(tx));
    for (int i = 0; i < SWEEP_PAGES_MAX; i++) {
        int64_t last = 0, n = 0;
        TRY(db_one(tx, &to_device_contents_unused_sql, P(INT(*place), INT(SWEEP_PAGE)), NULL,
                   R(INT_OUT(&last), INT_OUT(&n))));
        *place = n == SWEEP_PAGE ? last : 0;
        if (!*place)
            break;
    }
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
