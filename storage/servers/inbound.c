#include "storage/servers/inbound.h"

SQL(inbound_insert_sql,
    "INSERT INTO inbound_pdus (room, event_id, origin, depth, received_ts, json) "
    "SELECT u.room, u.event_id, u.origin, u.depth, u.ts, u.json "
    "FROM unnest($1::int8[], $2::bytea[], $3::text[], $4::int8[], $5::int8[], $6::bytea[]) "
    "u(room, event_id, origin, depth, ts, json) ON CONFLICT DO NOTHING")

static const struct batch_table inbound_rows = {
    .sql = &inbound_insert_sql,
    .columns = {DB_INT8, DB_BYTES, DB_TEXT, DB_INT8, DB_INT8, DB_BYTES},
    .columns_n = 6,
    .order = BATCH_OTHER,
};

void inbound_pdus_write(struct write *w, int64_t room, const char *origin, const struct event *e,
                        int64_t now_ms)
{
    struct str id = event_id_to_bytes(write_arena(w), e->version, e->event_id);
    write_row(w, &inbound_rows,
              P(INT(room), BYTES(id), TEXT(origin), INT(e->depth), INT(now_ms), BYTES(e->json)));
}

SQL(inbound_lowest_sql, "SELECT id, event_id, json FROM inbound_pdus "
                        "WHERE room = $1 AND origin = $2 ORDER BY depth, id LIMIT $3")
SQL(inbound_highest_sql, "SELECT id, event_id, json FROM inbound_pdus "
                         "WHERE room = $1 AND origin = $2 ORDER BY depth DESC, id DESC LIMIT $3")

const struct err *inbound_pdus_list(struct tx *tx, int64_t room, const struct room_version *v,
                                    const char *origin, bool highest, int64_t limit,
                                    const struct inbound_pdu **ret, size_t *ret_n)
{
    struct rows rows;
    TRY(db_query(tx, highest ? &inbound_highest_sql : &inbound_lowest_sql,
                 P(INT(room), TEXT(origin), INT(limit)), &rows));
    struct inbound_pdu *list = arena_alloc_array(tx->arena, (size_t)rows.n + 1, sizeof *list);
    size_t n = 0;
    while (rows_next(&rows)) {
        struct event *e;
        TRY(event_parse_stored(v, event_id_from_bytes(tx->arena, v, row_bytes(&rows, 1)),
                               row_bytes(&rows, 2), &e));
        list[n++] = (struct inbound_pdu){row_int(&rows, 0), event_keep(tx->arena, e)};
    }
    rows_finish(&rows);
    *ret = list;
    *ret_n = n;
    return NULL;
}

SQL(inbound_delete_sql, "DELETE FROM inbound_pdus WHERE id = ANY($1)")

const struct err *inbound_pdus_delete(struct tx *tx, const int64_t *ids, size_t n)
{
    return n ? db_exec(tx, &inbound_delete_sql, P(INT_ARRAY(ids, n)), NULL) : NULL;
}

SQL(inbound_drop_sql, "DELETE FROM inbound_pdus WHERE room = $1 AND origin = $2")

const struct err *inbound_pdus_drop(struct tx *tx, int64_t room, const char *origin,
                                    int64_t *ret_dropped)
{
    return db_exec(tx, &inbound_drop_sql, P(INT(room), TEXT(origin)), ret_dropped);
}

SQL(inbound_trim_sql, "DELETE FROM inbound_pdus WHERE id IN (SELECT id FROM inbound_pdus "
                      "WHERE room = $1 AND origin = $2 ORDER BY id DESC OFFSET $3)")

const struct err *inbound_pdus_trim(struct tx *tx, int64_t room, const char *origin, int64_t keep,
                                    int64_t *ret_dropped)
{
    return db_exec(tx, &inbound_trim_sql, P(INT(room), TEXT(origin), INT(keep)), ret_dropped);
}

SQL(inbound_trim_origin_sql, "DELETE FROM inbound_pdus WHERE id IN (SELECT id FROM inbound_pdus "
                             "WHERE origin = $1 ORDER BY id DESC OFFSET $2)")

const struct err *inbound_pdus_trim_origin(struct tx *tx, const char *origin, int64_t keep,
                                           int64_t *ret_dropped)
{
    return db_exec(tx, &inbound_trim_origin_sql, P(TEXT(origin), INT(keep)), ret_dropped);
}

SQL(inbound_backlogs_sql,
    "SELECT room, origin, count(*) FROM inbound_pdus GROUP BY room, origin LIMIT $1")

const struct err *inbound_backlogs(struct tx *tx, int64_t limit, const struct inbound_backlog **ret,
                                   size_t *ret_n)
{
    struct inbound_backlog one = {0};
    return db_list(tx, &inbound_backlogs_sql, P(INT(limit)),
                   R(INT_OUT(&one.room), TEXT_OUT(&one.origin), INT_OUT(&one.n)),
                   LIST(one, ret, ret_n));
}
