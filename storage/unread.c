#include "storage/unread.h"

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

SQL(unread_totals_sql,
    "SELECT x.notify_total, x.highlight_total FROM unnest($2::bigint[]) WITH ORDINALITY "
    "AS w(position, n) LEFT JOIN LATERAL (SELECT notify_total, highlight_total FROM events "
    "WHERE room = $1 AND position <= w.position ORDER BY position DESC LIMIT 1) x ON true "
    "ORDER BY w.n")

const struct err *unread_totals(struct tx *tx, int64_t room, int64_t one, int64_t other,
                                struct unread_row *ret_one, struct unread_row *ret_other)
{
    struct rows rows;
    const int64_t positions[] = {one, other};
    struct unread_row found[2] = {0};
    TRY(db_query(tx, &unread_totals_sql, P(INT(room), INT_ARRAY(positions, 2)), &rows));
    for (int i = 0; i < 2 && rows_next(&rows); i++)
        found[i] = (struct unread_row){.notify = row_int(&rows, 0), .highlight = row_int(&rows, 1)};
    *ret_one = found[0];
    *ret_other = found[1];
    return NULL;
}

static const struct err *read_rows(struct tx *tx, struct sql *sql, const struct db_param *params,
                                   size_t params_n, const struct unread_row **ret, size_t *ret_n)
{
    struct rows rows;
    TRY(db_query(tx, sql, params, params_n, &rows));
    struct unread_row *list = arena_alloc_array(tx->arena, (size_t)rows.n + 1, sizeof *list);
    for (struct unread_row *r = list; rows_next(&rows); r++)
        *r = (struct unread_row){row_int(&rows, 0), row_int(&rows, 1), row_int(&rows, 2),
                                 row_int(&rows, 3)};
    *ret = list;
    *ret_n = (size_t)rows.n;
    return NULL;
}

SQL(unread_in_threads_sql,
    "SELECT e.position, e.thread, e.notify_total - COALESCE(p.notify_total, 0), "
    "e.highlight_total - COALESCE(p.highlight_total, 0) FROM events e "
    "LEFT JOIN LATERAL (SELECT notify_total, highlight_total FROM events "
    "WHERE room = e.room AND position < e.position ORDER BY position DESC LIMIT 1) p ON true "
    "WHERE e.room = $1 AND e.thread > 0 AND e.position > $2 AND e.position <= $3 "
    "ORDER BY e.position DESC LIMIT $4")

const struct err *unread_in_threads(struct tx *tx, int64_t room, int64_t since, int64_t until,
                                    const struct unread_row **ret, size_t *ret_n)
{
    return read_rows(tx, &unread_in_threads_sql,
                     P(INT(room), INT(since), INT(until), INT(UNREAD_ROWS_MAX)), ret, ret_n);
}

SQL(unread_exceptions_sql,
    "SELECT event, thread, notify, highlight FROM push_actions WHERE \"user\" = $1 AND room = $2 "
    "AND event > $3 AND event <= $4 ORDER BY event DESC LIMIT $5")

const struct err *unread_exceptions(struct tx *tx, int64_t room, int64_t user, int64_t since,
                                    int64_t until, const struct unread_row **ret, size_t *ret_n)
{
    return read_rows(tx, &unread_exceptions_sql,
                     P(INT(user), INT(room), INT(since), INT(until), INT(UNREAD_ROWS_MAX)), ret,
                     ret_n);
}

SQL(unread_own_events_sql,
    "SELECT max(position), thread, 0, 0 FROM (SELECT position, thread, sender, type FROM events "
    "WHERE room = $1 AND position > $3 AND position <= $4 ORDER BY position DESC LIMIT $5) e "
    "WHERE sender = $2 AND type <> 1 GROUP BY thread")

const struct err *unread_own_events(struct tx *tx, int64_t room, int64_t sender, int64_t since,
                                    int64_t until, const struct unread_row **ret, size_t *ret_n)
{
    return read_rows(tx, &unread_own_events_sql,
                     P(INT(room), INT(sender), INT(since), INT(until), INT(UNREAD_ROWS_MAX)), ret,
                     ret_n);
}

SQL(unread_member_events_sql,
    "SELECT s.event, e.json FROM room_state s JOIN events e ON e.position = s.event "
    "WHERE s.room = $1 AND s.type = 1 AND s.state_key = $2 ORDER BY s.valid_from DESC LIMIT 20")

const struct err *unread_member_events(struct tx *tx, int64_t room, const char *user_id,
                                       const struct member_event **ret, size_t *ret_n)
{
    struct rows rows;
    TRY(db_query(tx, &unread_member_events_sql, P(INT(room), TEXT(user_id)), &rows));
    struct member_event *list = arena_alloc_array(tx->arena, (size_t)rows.n + 1, sizeof *list);
    for (struct member_event *m = list; rows_next(&rows); m++)
        *m = (struct member_event){row_int(&rows, 0), row_bytes(&rows, 1)};
    *ret = list;
    *ret_n = (size_t)rows.n;
    return NULL;
}

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
    "WHERE m.room = $1 AND m.membership = 1 AND m.is_local")

const struct err *unread_local_members(struct tx *tx, int64_t room, const struct local_member **ret,
                                       size_t *ret_n)
{
    struct rows rows;
    TRY(db_query(tx, &unread_local_members_sql, P(INT(room)), &rows));
    struct local_member *list = arena_alloc_array(tx->arena, (size_t)rows.n + 1, sizeof *list);
    for (struct local_member *m = list; rows_next(&rows); m++)
        *m = (struct local_member){row_int(&rows, 0), row_bytes(&rows, 1)};
    *ret = list;
    *ret_n = (size_t)rows.n;
    return NULL;
}
