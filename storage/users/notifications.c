#include "storage/users/notifications.h"

#include "storage/db/time_limit.h"
#include "storage/rooms/sql_numbers.h"

enum { EVENTS_A_ROOM = 100 /* read at once */, TIME_MAX_MS = 2000 };

/* An event's count is the difference to the counter of the event before it. For a room that was not
 * read completely, the position reached is returned: older events of other rooms must wait for the
 * next page. */
SQL(notifications_before_sql,
    "WITH looked AS MATERIALIZED (SELECT m.room, e.* FROM room_members m CROSS JOIN LATERAL ("
    " SELECT x.position, x.sender, x.is_state, "
    "  x.notify_total - lead(x.notify_total) OVER (ORDER BY x.position DESC) AS notify, "
    "  x.highlight_total - lead(x.highlight_total) OVER (ORDER BY x.position DESC) AS highlight, "
    "  row_number() OVER (ORDER BY x.position DESC) AS n "
    " FROM (SELECT position, sender, is_state, notify_total, highlight_total FROM events "
    "  WHERE room = m.room AND position < $2 ORDER BY position DESC LIMIT $5) x) e "
    " WHERE m.\"user\" = $1 AND m.membership = " MEMBERSHIP_JOIN_SQL "), "
    "floor AS (SELECT COALESCE(max(position), 0) AS position FROM looked WHERE n = $5) "
    "SELECT l.position, l.room, l.highlight + COALESCE(a.highlight, 0) > 0, f.position "
    "FROM floor f LEFT JOIN (looked l LEFT JOIN push_actions a ON a.\"user\" = $1 "
    " AND a.room = l.room AND a.event = l.position) ON l.position > f.position "
    " AND l.sender <> $1 AND (l.is_state OR l.sender <> ALL($6::bigint[])) AND l.notify + "
    "COALESCE(a.notify, 0) > 0 "
    " AND (NOT $3 OR l.highlight + COALESCE(a.highlight, 0) > 0) "
    "ORDER BY l.position DESC LIMIT $4")

const struct err *notifications_before(struct tx *tx, int64_t user, int64_t before,
                                       bool only_highlights, int64_t limit, const int64_t *ignored,
                                       size_t ignored_n, const struct notification **ret,
                                       size_t *ret_n, int64_t *ret_floor)
{
    struct rows rows;
    size_t n = 0;
    TRY(time_limit_query(tx, TIME_MAX_MS, &notifications_before_sql,
                         P(INT(user), INT(before), BOOL(only_highlights), INT(limit),
                           INT(EVENTS_A_ROOM + 1), INT_ARRAY(ignored, ignored_n)),
                         &rows));
    struct notification *list = arena_alloc_array(tx->arena, (size_t)rows.n + 1, sizeof *list);
    *ret_floor = 0;
    while (rows_next(&rows)) {
        *ret_floor = row_int(&rows, 3);
        if (!row_is_null(&rows, 0))
            list[n++] =
                (struct notification){row_int(&rows, 0), row_int(&rows, 1), row_bool(&rows, 2)};
    }
    *ret = list;
    *ret_n = n;
    return NULL;
}
