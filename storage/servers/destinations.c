#include "storage/servers/destinations.h"
#include "storage/nodes/lease.h"
#include "storage/rooms/sql_numbers.h"

/* ---- writing ---- */

SQL(destinations_write_sql,
    "INSERT INTO destinations AS d (server, sent_position, failing_since_ts, retry_at_ts, "
    "retry_interval_ms, last_success_ts, last_error, refusals) "
    "SELECT u.* FROM unnest($1::text[], $2::bigint[], $3::bigint[], $4::bigint[], $5::bigint[], "
    "$6::bigint[], $7::text[], $8::int[]) AS u ON CONFLICT (server) DO UPDATE SET "
    "sent_position = greatest(d.sent_position, excluded.sent_position), "
    "failing_since_ts = excluded.failing_since_ts, retry_at_ts = excluded.retry_at_ts, "
    "retry_interval_ms = excluded.retry_interval_ms, "
    "last_success_ts = greatest(d.last_success_ts, excluded.last_success_ts), "
    "last_error = excluded.last_error, refusals = excluded.refusals")
static const struct batch_table destinations_table = {
    .sql = &destinations_write_sql,
    .columns = {DB_TEXT, DB_INT8, DB_INT8, DB_INT8, DB_INT8, DB_INT8, DB_TEXT, DB_INT4},
    .columns_n = 8,
    .order = BATCH_OTHER,
    .key_columns = 1,
};

void destinations_write(struct write *w, const struct destination_row *r)
{
    write_row(w, &destinations_table,
              P(TEXT(r->server), INT(r->sent_position), INT(r->failing_since_ts),
                INT(r->retry_at_ts), INT(r->retry_interval_ms), INT(r->last_success_ts),
                TEXT(r->last_error), INT4(r->refusals)));
}

SQL(destinations_add_sql, "INSERT INTO destinations (server, sent_position) VALUES ($1, $2) "
                          "ON CONFLICT DO NOTHING")

const struct err *destinations_add(struct tx *tx, const char *server, int64_t sent_position)
{
    return db_exec(tx, &destinations_add_sql, P(TEXT(server), INT(sent_position)), NULL);
}

/* ---- reading ---- */

/* Any change in the rooms of its users, or for it alone. This may be more than it will be sent: a
 * false alarm costs a query, a missed change would be lost. */
#define HAS_PENDING                                                                                \
    "(EXISTS (SELECT FROM to_device_outbound o WHERE o.server = d.server "                         \
    "AND o.position > d.sent_position) "                                                           \
    "OR EXISTS (SELECT FROM device_changes c WHERE c.position > d.sent_position) "                 \
    "OR EXISTS (SELECT FROM users u JOIN room_members m ON m.\"user\" = u.id "                     \
    "WHERE server_of(u.user_id) = d.server AND (EXISTS (SELECT FROM events e "                     \
    "WHERE e.room = m.room AND e.position > d.sent_position) OR EXISTS (SELECT FROM receipts r "   \
    "WHERE r.room = m.room AND r.position > d.sent_position))) "                                   \
    "OR EXISTS (SELECT FROM partial_rooms p JOIN events e ON e.room = p.room "                     \
    "AND e.position > d.sent_position WHERE d.server = ANY (p.servers)))"

#define COLUMNS                                                                                    \
    "d.server, d.sent_position, d.failing_since_ts, d.retry_at_ts, d.retry_interval_ms, "          \
    "d.last_success_ts, d.last_error, d.refusals, "                                                \
    "(SELECT count(*) FROM federation_set_aside a WHERE a.server = d.server) AS refused_n, "       \
    "EXISTS (SELECT FROM federation_set_aside a WHERE a.server = d.server AND a.asked) "           \
    "AS must_resend, " HAS_PENDING

static const struct err *destinations_read(struct tx *tx, struct sql *sql,
                                           const struct db_param *params, size_t params_n,
                                           const struct destination_row **ret, size_t *ret_n)
{
    struct destination_row one = {0};
    return db_list(tx, sql, params, params_n,
                   R(TEXT_OUT(&one.server), INT_OUT(&one.sent_position),
                     INT_OUT(&one.failing_since_ts), INT_OUT(&one.retry_at_ts),
                     INT_OUT(&one.retry_interval_ms), INT_OUT(&one.last_success_ts),
                     TEXT_OUT(&one.last_error), ENUM_OUT(&one.refusals), INT_OUT(&one.refused_n),
                     BOOL_OUT(&one.must_resend), BOOL_OUT(&one.has_pending)),
                   LIST(one, ret, ret_n));
}

/* As lease_slice_of_name() says. */
#define SLICE_IS(name, slices)                                                                     \
    "get_byte(sha256(convert_to(" name ", 'UTF8')), 0) % 32 = ANY(" slices ")"
static_assert(LEASE_SLICES == 32, "SLICE_IS");

#define HAS_NO_ROW(name) "NOT EXISTS (SELECT FROM destinations d WHERE d.server = " name ") "

/* Servers without a row, and the position before the first change that they may have to be sent. */
#define UNKNOWN                                                                                    \
    "SELECT server_of(u.user_id) AS server, greatest(m.event, 1) - 1 AS before "                   \
    "FROM users u JOIN room_members m ON m.\"user\" = u.id AND m.membership "                      \
    "= " MEMBERSHIP_JOIN_SQL " "                                                                   \
    "WHERE NOT m.is_local AND " HAS_NO_ROW(                                                        \
        "server_of(u.user_id)") "AND EXISTS (SELECT FROM events e JOIN users s ON s.id = "         \
                                "e.sender "                                                        \
                                "WHERE e.room = m.room AND e.position > greatest(m.event, 0) AND " \
                                "server_of(s.user_id) = $1) "                                      \
                                "UNION ALL SELECT o.server, o.position - 1 FROM "                  \
                                "to_device_outbound o "                                            \
                                "WHERE " HAS_NO_ROW("o.server")

SQL(destinations_busy_sql,
    "SELECT * FROM (SELECT " COLUMNS " AS has_pending FROM destinations d "
    "WHERE " SLICE_IS("d.server",
                      "$2::int8[]") ") d "
                                    "WHERE has_pending OR failing_since_ts > 0 OR must_resend "
                                    "UNION ALL SELECT x.server, min(x.before), 0, 0, 0, 0, NULL, "
                                    "0, 0, false, true FROM (" UNKNOWN
                                    ") x WHERE " SLICE_IS("x.server", "$2::int8[]") " GROUP BY 1")

const struct err *destinations_busy(struct tx *tx, const char *own, const int64_t *slices,
                                    size_t slices_n, const struct destination_row **ret,
                                    size_t *ret_n)
{
    return destinations_read(tx, &destinations_busy_sql, P(TEXT(own), INT_ARRAY(slices, slices_n)),
                             ret, ret_n);
}

SQL(destinations_list_sql, "SELECT " COLUMNS " FROM destinations d "
                           "WHERE $1::text IS NULL OR d.server = $1 ORDER BY d.server")

const struct err *destinations_list(struct tx *tx, const char *server,
                                    const struct destination_row **ret, size_t *ret_n)
{
    return destinations_read(tx, &destinations_list_sql, P(TEXT(server)), ret, ret_n);
}

/* ---- commands of the operator ---- */

SQL(destinations_ask_sql,
    "WITH asked AS (UPDATE destinations SET asked = $2::int WHERE server = $1 RETURNING 1) "
    "SELECT expect_rows(count(*), 1) FROM asked")

void destinations_write_asked(struct write *w, const char *server, enum destination_asked what)
{
    write_change(w, &(struct change){.kind = CHANGE_TO_SERVER,
                                     .to_server.server = server,
                                     .local.is_asked = true});
    write_statement(w, &destinations_ask_sql, P(TEXT(server), INT4(what)));
}

SQL(destinations_take_asked_sql,
    "UPDATE destinations d SET asked = 0 FROM (SELECT server, asked FROM destinations "
    "WHERE asked <> 0 AND " SLICE_IS(
        "server",
        "$1::int8[]") " FOR UPDATE) o WHERE o.server = d.server RETURNING o.server, o.asked")

const struct err *destinations_take_asked(struct tx *tx, const int64_t *slices, size_t slices_n,
                                          const struct destination_wish **ret, size_t *ret_n)
{
    struct destination_wish one = {0};
    return db_list(tx, &destinations_take_asked_sql, P(INT_ARRAY(slices, slices_n)),
                   R(TEXT_OUT(&one.server), ENUM_OUT(&one.what)), LIST(one, ret, ret_n));
}
