#include "storage/devices/sliding_connections.h"

#include "base/clock.h"

enum { SWEEP_MAX = 10000 };

/* A device that is deleted meanwhile gets no row. */
SQL(sliding_store_sql,
    "WITH quick AS (SELECT set_config('synchronous_commit', 'off', true)), "
    "gone AS (DELETE FROM sliding_connections s USING quick WHERE s.device = $1 AND s.conn_id IN "
    " (SELECT o.conn_id FROM sliding_connections o WHERE o.device = $1 AND o.conn_id <> $2 "
    "  ORDER BY o.used_ts DESC, o.conn_id OFFSET $8)) "
    "INSERT INTO sliding_connections SELECT $1, $2, $3, $4, $5, $6, $7 FROM quick "
    "WHERE EXISTS (SELECT FROM devices WHERE id = $1) "
    "ON CONFLICT (device, conn_id) DO UPDATE SET number = excluded.number, state = excluded.state, "
    "previous_number = excluded.previous_number, previous = excluded.previous, "
    "used_ts = excluded.used_ts")

const struct err *sliding_connections_store(struct tx *tx, int64_t device, const char *conn_id,
                                            const struct sliding_row *row, int64_t now_ms)
{
    return db_exec(tx, &sliding_store_sql,
                   P(INT(device), TEXT(conn_id), INT(row->number), BYTES(row->state),
                     INT(row->previous_number), BYTES(row->previous), INT(now_ms),
                     INT(SLIDING_CONNECTIONS_MAX - 1)),
                   NULL);
}

SQL(sliding_load_sql, "SELECT number, state, previous_number, previous, used_ts "
                      "FROM sliding_connections WHERE device = $1 AND conn_id = $2")
SQL(sliding_use_sql,
    "UPDATE sliding_connections SET used_ts = $3 WHERE device = $1 AND conn_id = $2")

const struct err *sliding_connections_load(struct tx *tx, int64_t device, const char *conn_id,
                                           int64_t now_ms, struct sliding_row *ret)
{
    struct sliding_row row = {0};
    int64_t used_ts;
    TRY(db_one(tx, &sliding_load_sql, P(INT(device), TEXT(conn_id)), NULL,
               R(INT_OUT(&row.number), BYTES_OUT(&row.state), INT_OUT(&row.previous_number),
                 BYTES_OUT(&row.previous), INT_OUT(&used_ts))));
    if (row.number && used_ts < now_ms - DAY_MS)
        TRY(db_exec(tx, &sliding_use_sql, P(INT(device), TEXT(conn_id), INT(now_ms)), NULL));
    *ret = row;
    return NULL;
}

SQL(sliding_sweep_sql,
    "DELETE FROM sliding_connections WHERE ctid = ANY(ARRAY(SELECT ctid FROM sliding_connections "
    "WHERE used_ts < $1 LIMIT $2))")

const struct err *sliding_connections_sweep(struct tx *tx, int64_t now_ms)
{
    return db_exec(tx, &sliding_sweep_sql,
                   P(INT(now_ms - SLIDING_CONNECTIONS_DAYS * DAY_MS), INT(SWEEP_MAX)), NULL);
}
