#include "storage/servers/server_rooms.h"
#include "storage/rooms/sql_numbers.h"

/* server_of() is inlined to the expression of the index users_by_server. */
SQL(server_rooms_sql,
    "SELECT DISTINCT m.room FROM users u JOIN room_members m ON m.\"user\" = u.id "
    "WHERE server_of(u.user_id) = $1 AND m.membership = " MEMBERSHIP_JOIN_SQL " "
    "UNION SELECT room FROM partial_rooms WHERE $1 = ANY(servers)")

const struct err *server_rooms(struct tx *tx, const char *server, const int64_t **ret,
                               size_t *ret_n)
{
    return db_ints(tx, &server_rooms_sql, P(TEXT(server)), ret, ret_n);
}

SQL(server_was_in_room_sql,
    "SELECT EXISTS (SELECT FROM room_state s JOIN events e ON e.position = s.event "
    "WHERE s.room = $1 AND s.type = " TYPE_MEMBER_SQL " AND server_of(s.state_key) = $2 "
    "AND s.valid_from <= $3 AND s.valid_to > $3 "
    "AND (json_of(e.json) #>> '{content,membership}' = 'join' OR ($4 AND "
    "json_of(e.json) #>> '{content,membership}' = 'invite')))")

const struct err *server_was_in_room(struct tx *tx, int64_t room, const char *server, int64_t at,
                                     bool invited_too, bool *ret)
{
    return db_one(tx, &server_was_in_room_sql,
                  P(INT(room), TEXT(server), INT(at), BOOL(invited_too)), NULL, R(BOOL_OUT(ret)));
}
