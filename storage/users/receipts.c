#include "storage/users/receipts.h"
#include "storage/rooms/sql_numbers.h"

SQL(receipts_write_sql,
    "INSERT INTO receipts AS r (room, \"user\", type, thread, event_id, event, ts, position) "
    "SELECT u.room, u.\"user\", u.type, u.thread, u.event_id, u.event, u.ts, "
    "(SELECT position FROM log_head) - u.back "
    "FROM unnest($1::bigint[], $2::bigint[], $3::int[], $4::text[], $5::text[], $6::bigint[], "
    "$7::bigint[], $8::bigint[]) AS u(room, \"user\", type, thread, event_id, event, ts, back) "
    "ON CONFLICT (room, \"user\", type, thread) DO UPDATE SET event_id = excluded.event_id, "
    "event = excluded.event, ts = excluded.ts, position = excluded.position "
    "WHERE r.event <= excluded.event")

/* Of two receipts with the same key in one batch, the later one counts. */
static void merge(struct db_param *older, const struct db_param *newer)
{
    enum { EVENT = 5, COLUMNS = 8 };
    if (newer[EVENT].i >= older[EVENT].i)
        memcpy(older, newer, COLUMNS * sizeof *older);
}

static const struct batch_table receipts_table = {
    .sql = &receipts_write_sql,
    .columns = {DB_INT8, DB_INT8, DB_INT4, DB_TEXT, DB_TEXT, DB_INT8, DB_INT8, DB_POSITION},
    .columns_n = 8,
    .order = BATCH_OTHER,
    .key_columns = 4,
    .merge = merge,
};

void receipts_write(struct write *w, int64_t room, const struct receipt *r, int at)
{
    write_row(w, &receipts_table,
              P(INT(room), INT(r->user), INT4(r->type), TEXT(r->thread), TEXT(r->event_id),
                INT(r->event), INT(r->ts), POSITION(at)));
}

SQL(receipts_drop_oldest_sql,
    "DELETE FROM receipts WHERE room = $1 AND \"user\" = $2 AND thread NOT IN ('', 'main') "
    "AND event <= (SELECT event FROM receipts WHERE room = $1 AND \"user\" = $2 "
    " AND thread NOT IN ('', 'main') ORDER BY event DESC OFFSET $3 LIMIT 1)")

void receipts_drop_oldest(struct write *w, int64_t room, int64_t user, int64_t keep)
{
    write_statement(w, &receipts_drop_oldest_sql, P(INT(room), INT(user), INT(keep)));
}

static const struct err *receipts_read_receipts(struct tx *tx, struct sql *sql,
                                                const struct db_param *params, size_t params_n,
                                                const struct receipt **ret, size_t *ret_n)
{
    struct receipt one = {0};
    return db_list(tx, sql, params, params_n,
                   R(INT_OUT(&one.user), TEXT_OUT(&one.user_id), ENUM_OUT(&one.type),
                     TEXT_OUT(&one.thread), TEXT_OUT(&one.event_id), INT_OUT(&one.event),
                     INT_OUT(&one.ts)),
                   LIST(one, ret, ret_n));
}

SQL(receipts_of_user_sql,
    "SELECT \"user\", NULL::text, type, thread, event_id, event, ts FROM receipts "
    "WHERE room = $1 AND \"user\" = $2")

const struct err *receipts_of_user(struct tx *tx, int64_t room, int64_t user,
                                   const struct receipt **ret, size_t *ret_n)
{
    return receipts_read_receipts(tx, &receipts_of_user_sql, P(INT(room), INT(user)), ret, ret_n);
}

SQL(receipts_since_sql,
    "SELECT r.\"user\", u.user_id, r.type, r.thread, r.event_id, r.event, r.ts FROM receipts r "
    "JOIN users u ON u.id = r.\"user\" "
    "WHERE r.room = $1 AND r.position > $3 AND r.position <= $4 "
    "AND (r.type = " RECEIPT_READ_SQL " OR r.\"user\" = $2) ORDER BY r.position")

const struct err *receipts_since(struct tx *tx, int64_t room, int64_t user, int64_t since,
                                 int64_t until, const struct receipt **ret, size_t *ret_n)
{
    return receipts_read_receipts(tx, &receipts_since_sql,
                                  P(INT(room), INT(user), INT(since), INT(until)), ret, ret_n);
}

SQL(receipts_of_events_sql,
    "SELECT r.\"user\", u.user_id, r.type, r.thread, r.event_id, r.event, r.ts FROM receipts r "
    "JOIN users u ON u.id = r.\"user\" WHERE r.room = $1 AND r.position <= $4 "
    "AND (r.\"user\" = $2 OR (r.event >= $3 AND r.type = " RECEIPT_READ_SQL
    ")) ORDER BY r.position")

const struct err *receipts_of_events(struct tx *tx, int64_t room, int64_t user, int64_t from,
                                     int64_t until, const struct receipt **ret, size_t *ret_n)
{
    return receipts_read_receipts(tx, &receipts_of_events_sql,
                                  P(INT(room), INT(user), INT(from), INT(until)), ret, ret_n);
}
