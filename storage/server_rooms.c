#include "storage/server_rooms.h"

/* The expression is that of the index users_by_server. */
SQL(server_rooms_sql,
    "SELECT DISTINCT m.room FROM users u JOIN room_members m ON m.\"user\" = u.id "
    "WHERE substr(u.user_id, strpos(u.user_id, ':') + 1) = $1 AND m.membership = 1 "
    "UNION SELECT room FROM partial_rooms WHERE $1 = ANY(servers)")

const struct err *server_rooms(struct tx *tx, const char *server, const int64_t **ret,
                               size_t *ret_n)
{
    struct rows rows;
    TRY(db_query(tx, &server_rooms_sql, P(TEXT(server)), &rows));
    int64_t *list = arena_alloc_array(tx->arena, (size_t)rows.n + 1, sizeof *list);
    size_t n = 0;
    while (rows_next(&rows))
        list[n++] = row_int(&rows, 0);
    rows_finish(&rows);
    *ret = list;
    *ret_n = n;
    return NULL;
}
