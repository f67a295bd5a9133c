#include "storage/users/unread.h"

#include "matrix/event.h"
#include "storage/rooms/sql_numbers.h"

SQL(push_actions_write_sql,
    "INSERT INTO push_actions (\"user\", room, event, thread, notify, highlight) "
    "SELECT u.\"user\", u.room, (SELECT position FROM log_head) - u.back, u.thread, u.notify, "
    "u.highlight FROM unnest($1::bigint[], $2::bigint[], $3::bigint[], $4::bigint[], $5::int[], "
    "$6::int[]) AS u(\"user\", room, back, thread, notify, highlight)")
static const struct batch_table push_actions_table = {
    .sql = &push_actions_write_sql,
    .columns = {DB_INT8, DB_INT8, DB_POSITION, DB_INT8, DB_INT4, DB_INT4},
    .columns_n = 6,
    .order = BATCH_OTHER,
};

void push_actions_write(struct write *w, int64_t room, int64_t thread, const struct push_action *a,
                        int at)
{
    write_row(
        w, &push_actions_table,
        P(INT(a->user), INT(room), POSITION(at), INT(thread), INT4(a->notify), INT4(a->highlight)));
}

/* ---- how far a user has read ---- */

SQL(unread_totals_at_sql, "SELECT position, 0, notify_total, highlight_total FROM events "
                          "WHERE room = $1 AND position <= $2 ORDER BY position DESC LIMIT 1")
SQL(unread_receipts_sql,
    "SELECT thread, max(event) FROM receipts WHERE room = $1 AND \"user\" = $2 "
    "GROUP BY thread")
SQL(unread_member_events_sql,
    "SELECT s.valid_from, e.json FROM room_state s JOIN events e ON e.position = s.event "
    "WHERE s.room = $1 AND s.type = " TYPE_MEMBER_SQL
    " AND s.state_key = $2 ORDER BY s.valid_from DESC LIMIT 20")

static struct unread_row read_row(const struct rows *r)
{
    return (struct unread_row){row_int(r, 0), row_int(r, 1), row_int(r, 2), row_int(r, 3)};
}

const struct err *unread_read_marks(struct tx *tx, int64_t room, int64_t user, const char *user_id,
                                    int64_t until, struct unread_marks *ret)
{
    const struct db_param at[] = {INT(room), INT(until)}, of_user[] = {INT(room), INT(user)},
                          named[] = {INT(room), TEXT(user_id)};
    struct rows newest, receipts, member_events;
    struct unread_receipt receipt = {0};
    struct member_event member_event = {0};
    const struct db_batch_query queries[] = {
        {&unread_totals_at_sql, at, 2, &newest},
        {&unread_receipts_sql, of_user, 2, &receipts},
        {&unread_member_events_sql, named, 2, &member_events},
    };
    TRY(db_query_many(tx, queries, 3));
    *ret = (struct unread_marks){0};
    if (rows_next(&newest))
        ret->newest = read_row(&newest);
    rows_list(&receipts, R(TEXT_OUT(&receipt.thread), INT_OUT(&receipt.event)),
              LIST(receipt, &ret->receipts, &ret->receipts_n));
    rows_list(&member_events, R(INT_OUT(&member_event.position), BYTES_OUT(&member_event.json)),
              LIST(member_event, &ret->member_events, &ret->member_events_n));
    return NULL;
}

const struct err *unread_totals_at(struct tx *tx, int64_t room, int64_t position,
                                   struct unread_row *ret)
{
    struct rows rows;
    TRY(db_query(tx, &unread_totals_at_sql, P(INT(room), INT(position)), &rows));
    *ret = rows_next(&rows) ? read_row(&rows) : (struct unread_row){0};
    return NULL;
}

/* ---- events after that ---- */

SQL(unread_own_events_sql,
    "SELECT max(position), thread, 0, 0 FROM (SELECT position, thread, sender, type FROM events "
    "WHERE room = $1 AND position > $3 AND position <= $4 ORDER BY position DESC LIMIT $5) e "
    "WHERE sender = $2 AND type <> " TYPE_MEMBER_SQL
    " AND type IS DISTINCT FROM (SELECT id FROM event_types "
    "WHERE type = '" EVENT_TYPE_DUMMY "') GROUP BY thread")
/* What each event of `source` adds to the room's counters: the difference to the event before. */
#define EACH_ADDS(source, more)                                                                    \
    "SELECT e.position, e.thread, e.notify_total - COALESCE(p.notify_total, 0)" more(              \
        notify) ", "                                                                               \
                "e.highlight_total - COALESCE(p.highlight_total, 0)" more(                         \
                    highlight) " FROM " source " e "                                               \
                               "LEFT JOIN LATERAL (SELECT notify_total, highlight_total FROM "     \
                               "events "                                                           \
                               "WHERE room = e.room AND position < e.position ORDER BY position "  \
                               "DESC LIMIT 1) p ON true "
#define NO_MORE(column) ""
#define AND_ACTION(column) " + COALESCE(a." #column ", 0)"
SQL(unread_in_threads_sql,
    EACH_ADDS("events", NO_MORE) "WHERE e.room = $1 AND e.thread > 0 AND e.position > $2 "
                                 "AND e.position <= $3 ORDER BY e.position DESC LIMIT $4")
SQL(unread_exceptions_sql,
    "SELECT event, thread, notify, highlight FROM push_actions WHERE \"user\" = $2 AND room = $1 "
    "AND event > $3 AND event <= $4 ORDER BY event DESC LIMIT $5")
/* State events of ignored users are sent to clients, and count. */
SQL(unread_ignored_sql,
    EACH_ADDS("(SELECT position, room, thread, sender, is_state, notify_total, highlight_total "
              "FROM events WHERE room = $1 AND position > $3 AND position <= $4 "
              "ORDER BY position DESC LIMIT $5)",
              AND_ACTION) "LEFT JOIN push_actions a ON a.\"user\" = $2 AND a.room = e.room "
                          "AND a.event = e.position "
                          "WHERE NOT e.is_state AND e.sender = ANY($6::bigint[])")

static void unread_read_rows(struct rows *rows, const struct unread_row **ret, size_t *ret_n)
{
    struct unread_row one = {0};
    rows_list(rows,
              R(INT_OUT(&one.position), INT_OUT(&one.thread), INT_OUT(&one.notify),
                INT_OUT(&one.highlight)),
              LIST(one, ret, ret_n));
}

const struct err *unread_read_range(struct tx *tx, const struct unread_reader *reader,
                                    int64_t since, int64_t until, struct unread_range *ret)
{
    const struct db_param of_user[] = {INT(reader->room),
                                       INT(reader->user),
                                       INT(since),
                                       INT(until),
                                       INT(UNREAD_ROWS_MAX),
                                       INT_ARRAY(reader->ignored, reader->ignored_n)},
                          of_all[] = {INT(reader->room), INT(since), INT(until),
                                      INT(UNREAD_ROWS_MAX)};
    struct rows own, in_threads, exceptions, ignored = {0};
    const struct db_batch_query queries[] = {
        {&unread_own_events_sql, of_user, 5, &own},
        {&unread_in_threads_sql, of_all, 4, &in_threads},
        {&unread_exceptions_sql, of_user, 5, &exceptions},
        {&unread_ignored_sql, of_user, 6, &ignored},
    };
    TRY(db_query_many(tx, queries, reader->ignored_n ? 4 : 3));
    unread_read_rows(&own, &ret->own, &ret->own_n);
    unread_read_rows(&in_threads, &ret->in_threads, &ret->in_threads_n);
    unread_read_rows(&exceptions, &ret->exceptions, &ret->exceptions_n);
    if (reader->ignored_n)
        unread_read_rows(&ignored, &ret->ignored, &ret->ignored_n);
    return NULL;
}

/* ---- other queries ---- */

SQL(unread_event_ids_sql, "SELECT e.event_id FROM unnest($1::bigint[]) WITH ORDINALITY "
                          "AS w(position, n) LEFT JOIN events e USING (position) ORDER BY w.n")

const struct err *unread_event_ids(struct tx *tx, const int64_t *positions, size_t n,
                                   struct str *ret)
{
    struct rows rows;
    TRY(db_query(tx, &unread_event_ids_sql, P(INT_ARRAY(positions, n)), &rows));
    for (size_t i = 0; i < n && rows_next(&rows); i++)
        ret[i] = row_bytes(&rows, 0);
    return NULL;
}

SQL(unread_local_members_sql,
    "SELECT m.\"user\", e.json FROM room_members m JOIN events e ON e.position = m.event "
    "WHERE m.room = $1 AND m.membership = " MEMBERSHIP_JOIN_SQL " AND m.is_local")

const struct err *unread_local_members(struct tx *tx, int64_t room, const struct local_member **ret,
                                       size_t *ret_n)
{
    struct local_member one = {0};
    return db_list(tx, &unread_local_members_sql, P(INT(room)),
                   R(INT_OUT(&one.user), BYTES_OUT(&one.json)), LIST(one, ret, ret_n));
}
