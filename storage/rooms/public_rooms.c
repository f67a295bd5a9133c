#include "storage/rooms/public_rooms.h"
#include "storage/rooms/sql_numbers.h"

SQL(public_rooms_sql, "SELECT r.id, r.room_id, (SELECT count(*) FROM room_members m "
                      "WHERE m.room = r.id AND m.membership = " MEMBERSHIP_JOIN_SQL ") "
                      "FROM rooms r WHERE r.id = ANY($1::int8[]) ORDER BY r.id")

const struct err *public_rooms_read(struct tx *tx, const int64_t *ids, size_t n,
                                    const struct public_room **ret, size_t *ret_n)
{
    struct public_room one = {0};
    return db_list(tx, &public_rooms_sql, P(INT_ARRAY(ids, n)),
                   R(INT_OUT(&one.room), TEXT_OUT(&one.room_id), INT_OUT(&one.joined_n)),
                   LIST(one, ret, ret_n));
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
    struct public_room_state one = {0};
    return db_list(tx, &public_rooms_state_sql, P(INT_ARRAY(ids, n), INT_ARRAY(types, types_n)),
                   R(INT_OUT(&one.room), INT_OUT(&one.type), BYTES_OUT(&one.json)),
                   LIST(one, ret, ret_n));
}
