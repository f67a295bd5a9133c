#include "storage/rooms/partial_rooms.h"

#define PARTIAL_SELECT                                                                             \
    "SELECT p.room, r.room_id, p.join_event, p.resident, p.servers, p.position "                   \
    "FROM partial_rooms p JOIN rooms r ON r.id = p.room "
SQL(partial_rooms_list_sql, PARTIAL_SELECT "ORDER BY p.position")
SQL(partial_rooms_get_sql, PARTIAL_SELECT "WHERE p.room = $1")

static const char *const *partial_rooms_read_servers(struct arena *a, const struct rows *rows,
                                                     size_t *ret_n)
{
    const struct str *list = row_bytes_array(rows, 4, ret_n);
    const char **servers = arena_alloc_array(a, *ret_n + 1, sizeof *servers);
    for (size_t i = 0; i < *ret_n; i++)
        servers[i] = str_dup(a, list[i]);
    return servers;
}

static const struct err *partial_rooms_read(struct tx *tx, struct sql *s,
                                            const struct db_param *params, size_t n,
                                            const struct partial_room **ret, size_t *ret_n)
{
    struct rows rows;
    TRY(db_query(tx, s, params, n, &rows));
    struct partial_room *list = arena_alloc_array(tx->arena, (size_t)rows.n + 1, sizeof *list);
    size_t found = 0;
    while (rows_next(&rows)) {
        struct partial_room *p = &list[found++];
        p->room = row_int(&rows, 0);
        p->room_id = arena_strdup(tx->arena, row_text(&rows, 1));
        p->join_event_id = arena_strdup(tx->arena, row_text(&rows, 2));
        p->resident = arena_strdup(tx->arena, row_text(&rows, 3));
        p->servers = partial_rooms_read_servers(tx->arena, &rows, &p->servers_n);
        p->position = row_int(&rows, 5);
    }
    rows_finish(&rows);
    *ret = list;
    *ret_n = found;
    return NULL;
}

const struct err *rooms_partial_list(struct tx *tx, const struct partial_room **ret, size_t *ret_n)
{
    return partial_rooms_read(tx, &partial_rooms_list_sql, NO_PARAMS, ret, ret_n);
}

const struct err *partial_room_get(struct tx *tx, int64_t room, const struct partial_room **ret)
{
    size_t n;
    TRY(partial_rooms_read(tx, &partial_rooms_get_sql, P(INT(room)), ret, &n));
    if (!n)
        *ret = NULL;
    return NULL;
}

SQL(partial_rooms_insert_sql,
    "INSERT INTO partial_rooms (room, position, join_event, resident, servers) "
    "VALUES ($1, log_at($2), $3, $4, $5) ON CONFLICT (room) DO UPDATE SET "
    "position = excluded.position, join_event = excluded.join_event, "
    "resident = excluded.resident, servers = excluded.servers")
SQL(partial_rooms_delete_sql, "DELETE FROM partial_rooms WHERE room = $1")

void partial_room_write(struct write *w, const struct partial_room *p, int at)
{
    write_statement(w, &partial_rooms_insert_sql,
                    P(INT(p->room), POSITION(at), TEXT(p->join_event_id), TEXT(p->resident),
                      TEXT_ARRAY(p->servers, p->servers_n)));
}

void partial_room_end(struct write *w, int64_t room)
{
    write_statement(w, &partial_rooms_delete_sql, P(INT(room)));
}
