#include "storage/rooms/noted_rooms.h"

#include "storage/rooms/events.h"
#include "storage/rooms/rooms.h"
#include "storage/rooms/sql_numbers.h"

SQL(noted_room_insert_sql, "UPDATE rooms SET noted = (SELECT position FROM log_head) WHERE id = $1")

void noted_room_write(struct write *w, int64_t room)
{
    write_statement(w, &noted_room_insert_sql, P(INT(room)));
}

SQL(noted_room_touch_sql, "UPDATE rooms SET noted = (SELECT position FROM log_head) "
                          "WHERE id = $1 AND noted IS NOT NULL")

const struct err *noted_room_touch(struct tx *tx, int64_t room, bool *ret)
{
    int64_t n;
    TRY(db_exec(tx, &noted_room_touch_sql, P(INT(room)), &n));
    *ret = n > 0;
    return NULL;
}

SQL(noted_rooms_list_sql,
    "SELECT id, version FROM rooms WHERE noted <= $1 ORDER BY noted, id LIMIT $2")

const struct err *noted_rooms_list(struct tx *tx, int64_t position, int64_t max,
                                   const struct noted_room **ret, size_t *ret_n)
{
    struct noted_room one = {0};
    return db_list(tx, &noted_rooms_list_sql, P(INT(position), INT(max)),
                   R(INT_OUT(&one.id), INT_OUT(&one.version)), LIST(one, ret, ret_n));
}

SQL(noted_rooms_keep_sql,
    "UPDATE rooms r SET noted = (SELECT position FROM log_head) "
    "WHERE r.id = ANY($1) AND r.noted IS NOT NULL AND ("
    "EXISTS (SELECT FROM room_members m WHERE m.room = r.id AND m.is_local "
    " AND (m.membership IN (" MEMBERSHIPS_EXPECTED_SQL ") OR m.since > $2)) OR "
    "EXISTS (SELECT FROM untold_leaves u WHERE u.room = r.id)) RETURNING r.id")

const struct err *noted_rooms_keep(struct tx *tx, const int64_t *rooms, size_t n, int64_t position,
                                   const int64_t **ret, size_t *ret_n)
{
    return db_ints(tx, &noted_rooms_keep_sql, P(INT_ARRAY(rooms, n), INT(position)), ret, ret_n);
}

SQL(noted_room_drop_outliers_sql,
    "DELETE FROM events WHERE position = ANY(ARRAY(SELECT e.position FROM events e "
    "WHERE e.room = $1 AND e.position < $3 LIMIT $4)) "
    "AND EXISTS (SELECT FROM rooms r WHERE r.id = $1 AND r.noted <= $2 FOR UPDATE)")

const struct err *noted_room_drop_outliers(struct tx *tx, int64_t room, int64_t position,
                                           int64_t max, int64_t *ret_n)
{
    return db_exec(tx, &noted_room_drop_outliers_sql,
                   P(INT(room), INT(position), INT(EVENT_OFF_TIMELINE_MAX), INT(max)), ret_n);
}

SQL(noted_room_delete_sql,
    "WITH gone AS (DELETE FROM rooms WHERE id = $1 AND version = $2 AND noted <= $3 RETURNING 1) "
    "SELECT CASE WHEN n = 1 THEN true ELSE expect_rows(n, 1) END "
    "FROM (SELECT count(*) AS n FROM gone) c")
SQL(noted_room_drop_actions_sql,
    "DELETE FROM push_actions a USING room_members m WHERE m.room = $1 AND m.is_local "
    "AND a.\"user\" = m.\"user\" AND a.room = $1")

void noted_room_write_gone(struct write *w, const struct noted_room *room, int64_t position)
{
    write_statement(w, &noted_room_delete_sql, P(INT(room->id), INT(room->version), INT(position)));
    write_statement(w, &noted_room_drop_actions_sql, P(INT(room->id)));
    rooms_write_drop_contents(w, room->id);
}
