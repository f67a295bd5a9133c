#include "storage/servers/joins.h"

#include "base/clock.h"

enum {
    OF_ROOM_MAX = 500,
    OF_ROOM_AND_ORIGIN_MAX = 250,
    BYTES_MAX = 16 << 20, /* of all rooms */
    OF_ORIGIN_BYTES_MAX = 4 << 20,
    JOINS_MAX = 1000
};

/* ---- joins ---- */

#define LIVES "EXISTS (SELECT FROM nodes n WHERE n.id = joins.node)"

SQL(join_take_sql, "INSERT INTO joins (room_id, node) VALUES ($1, $2) ON CONFLICT (room_id) "
                   "DO UPDATE SET node = $2 WHERE joins.node = $2 OR NOT " LIVES)

const struct err *joins_take(struct tx *tx, const char *room_id, int64_t node, bool *ret_taken)
{
    int64_t rows;
    TRY(db_exec(tx, &join_take_sql, P(TEXT(room_id), INT(node)), &rows));
    *ret_taken = rows;
    return NULL;
}

SQL(join_check_sql, "SELECT join_check($1, $2)")

void joins_check_write(struct write *w, const char *room_id, int64_t node)
{
    write_statement(w, &join_check_sql, P(TEXT(room_id), INT(node)));
}

SQL(join_end_sql, "DELETE FROM joins WHERE room_id = $1 AND node = $2")

const struct err *joins_end(struct tx *tx, const char *room_id, int64_t node)
{
    return db_exec(tx, &join_end_sql, P(TEXT(room_id), INT(node)), NULL);
}

SQL(joins_end_gone_sql, "DELETE FROM joins WHERE NOT " LIVES)

const struct err *joins_end_gone(struct tx *tx)
{
    return db_exec(tx, &joins_end_gone_sql, NO_PARAMS, NULL);
}

SQL(joins_of_node_sql, "SELECT room_id FROM joins WHERE node = $1 LIMIT $2")

const struct err *joins_of_node(struct tx *tx, int64_t node, const char *const **ret, size_t *ret_n)
{
    const char *one = NULL;
    return db_list(tx, &joins_of_node_sql, P(INT(node), INT(JOINS_MAX)), R(TEXT_OUT(&one)),
                   LIST(one, ret, ret_n));
}

/* ---- PDUs that arrive meanwhile ---- */

/* The row of the join is locked: it ends after this, or has ended. */
SQL(early_pdus_keep_sql,
    "WITH under_way AS MATERIALIZED ("
    " SELECT FROM joins WHERE room_id = $1 AND " LIVES " FOR KEY SHARE OF joins), "
    "kept AS (SELECT count(*) FILTER (WHERE room_id = $1) AS of_room, "
    " count(*) FILTER (WHERE room_id = $1 AND origin = $2) AS of_both, "
    " COALESCE(sum(octet_length(json)), 0) AS bytes, "
    " COALESCE(sum(octet_length(json)) FILTER (WHERE origin = $2), 0) AS of_origin "
    " FROM early_pdus) "
    "INSERT INTO early_pdus (room_id, origin, received_ts, json) "
    "SELECT $1, $2, $3, p.json FROM under_way, kept k, "
    "unnest($4::bytea[]) WITH ORDINALITY AS p (json, n) "
    "WHERE k.of_room + $5::int8 <= $7::int8 AND k.of_both + $5::int8 <= $8::int8 "
    "AND k.bytes + $6::int8 <= $9::int8 AND k.of_origin + $6::int8 <= $10::int8 ORDER BY p.n")

const struct err *early_pdus_keep(struct tx *tx, const char *room_id, const char *origin,
                                  const struct str *raw, size_t n, bool *ret_kept)
{
    int64_t rows, bytes = 0;
    for (size_t i = 0; i < n; i++)
        bytes += (int64_t)raw[i].n;
    TRY(db_exec(tx, &early_pdus_keep_sql,
                P(TEXT(room_id), TEXT(origin), INT(now_ms()), BYTES_ARRAY(raw, n), INT((int64_t)n),
                  INT(bytes), INT(OF_ROOM_MAX), INT(OF_ROOM_AND_ORIGIN_MAX), INT(BYTES_MAX),
                  INT(OF_ORIGIN_BYTES_MAX)),
                &rows));
    *ret_kept = rows;
    return NULL;
}

SQL(early_pdus_list_sql,
    "SELECT id, origin, json FROM early_pdus WHERE room_id = $1 ORDER BY id LIMIT $2")

const struct err *early_pdus_list(struct tx *tx, const char *room_id, int64_t limit,
                                  const struct early_pdu **ret, size_t *ret_n)
{
    struct early_pdu one = {0};
    return db_list(tx, &early_pdus_list_sql, P(TEXT(room_id), INT(limit)),
                   R(INT_OUT(&one.id), TEXT_OUT(&one.origin), BYTES_OUT(&one.raw)),
                   LIST(one, ret, ret_n));
}

SQL(early_pdus_delete_sql, "DELETE FROM early_pdus WHERE id = ANY($1)")

const struct err *early_pdus_delete(struct tx *tx, const int64_t *ids, size_t n)
{
    return db_exec(tx, &early_pdus_delete_sql, P(INT_ARRAY(ids, n)), NULL);
}

SQL(early_pdus_rooms_sql,
    "SELECT DISTINCT room_id FROM early_pdus e WHERE NOT EXISTS "
    "(SELECT FROM joins WHERE joins.room_id = e.room_id AND " LIVES ") LIMIT $1")

const struct err *early_pdus_rooms(struct tx *tx, int64_t limit, const char *const **ret,
                                   size_t *ret_n)
{
    const char *one = NULL;
    return db_list(tx, &early_pdus_rooms_sql, P(INT(limit)), R(TEXT_OUT(&one)),
                   LIST(one, ret, ret_n));
}

SQL(early_pdus_expire_sql, "DELETE FROM early_pdus WHERE received_ts < $1")

const struct err *early_pdus_expire(struct tx *tx, int64_t before_ts)
{
    return db_exec(tx, &early_pdus_expire_sql, P(INT(before_ts)), NULL);
}
