#include "storage/rooms/public_rooms.h"
#include "storage/rooms/sql_numbers.h"

SQL(public_rooms_sql, "SELECT r.id, r.room_id, (SELECT count(*) FROM room_members m "
                      "WHERE m.room = r.id AND m.membership = " MEMBERSHIP_JOIN_SQL ") "
                      "FROM rooms r WHERE r.id = ANY($1::int8[]) ORDER BY r.id")

const struct err *public_rooms_read(struct tx *tx, const int64_t *ids, size_t n,
                                    const struct public_room **ret, size_t *ret_n)
{
    struct rows rows;
    TRY(db_query(tx, &public_rooms_sql, P(INT_ARRAY(ids, n)), &rows));
    struct public_room *list = arena_alloc_array(tx->arena, (size_t)rows.n + 1, sizeof *list);
    for (struct public_room *r = list; rows_next(&rows); r++)
        *r = (struct public_room){.room = row_int(&rows, 0),
                                  .room_id = row_text(&rows, 1),
                                  .joined_n = row_int(&rows, 2)};
    *ret = list;
    *ret_n = (size_t)rows.n;
    return NULL;
}

/* Each is found by its key, however many rooms and types there are. */
SQL(public_rooms_state_sql,
    "SELECT u.room, s.type, e.json FROM unnest($1::int8[]) u(room) "
    "CROSS JOIN unnest($2::int8[]) t(type) CROSS JOIN LATERAL "
    "(SELECT type, event FROM room_state WHERE room = u.room AND type = t.type AND state_key = '' "
    "AND valid_to = " VALID_FOREVER_SQL " LIMIT 1) s CROSS JOIN LATERAL "
    "(SELECT json FROM events WHERE position = s.event LIMIT 1) e ORDER BY u.room")

const struct err *public_rooms_read_state(struct tx *tx, const int64_t *ids, size_t n,
                                          const int64_t *types, size_t types_n,
                                          const struct public_room_state **ret, size_t *ret_n)
{
    struct rows rows;
    TRY(db_query(tx, &public_rooms_state_sql, P(INT_ARRAY(ids, n), INT_ARRAY(types, types_n)),
                 &rows));
    struct public_room_state *list = arena_alloc_array(tx->arena, (size_t)rows.n + 1, sizeof *list);
    for (struct public_room_state *s = list; rows_next(&rows); s++)
        *s = (struct public_room_state){row_int(&rows, 0), row_int(&rows, 1), row_bytes(&rows, 2)};
    *ret = list;
    *ret_n = (size_t)rows.n;
    return NULL;
}
