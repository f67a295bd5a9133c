#include "storage/rooms/outlines.h"

#include "storage/rooms/sql_numbers.h"

static const struct err *outlines_positions(struct tx *tx, struct sql *s,
                                            const struct db_param *params, size_t params_n,
                                            int64_t *ret)
{
    struct rows rows;
    TRY(db_query(tx, s, params, params_n, &rows));
    while (rows_next(&rows))
        ret[row_int(&rows, 0) - 1] = row_int(&rows, 1);
    rows_finish(&rows);
    return NULL;
}

SQL(outlines_newest_sql,
    "SELECT r.n, (SELECT e.position FROM events e WHERE e.room = r.room AND e.position > 0 "
    "ORDER BY e.position DESC LIMIT 1) FROM unnest($1::bigint[]) WITH ORDINALITY r(room, n)")

const struct err *outlines_newest(struct tx *tx, const int64_t *rooms, size_t n, int64_t *ret)
{
    return outlines_positions(tx, &outlines_newest_sql, P(INT_ARRAY(rooms, n)), ret);
}

SQL(outlines_newest_of_sql,
    "SELECT r.n, (SELECT COALESCE(max(e.position) FILTER (WHERE e.type IN "
    "(SELECT id FROM event_types WHERE type = ANY($2))), min(e.position)) FROM "
    "(SELECT position, type FROM events WHERE room = r.room AND position > 0 "
    " ORDER BY position DESC LIMIT $3) e) FROM unnest($1::bigint[]) WITH ORDINALITY r(room, n)")

const struct err *outlines_newest_of(struct tx *tx, const int64_t *rooms, size_t n,
                                     const char *const *types, size_t types_n, int64_t *ret)
{
    return outlines_positions(
        tx, &outlines_newest_of_sql,
        P(INT_ARRAY(rooms, n), TEXT_ARRAY(types, types_n), INT(OUTLINE_BUMP_SCAN)), ret);
}

SQL(outlines_state_sql,
    "SELECT s.room, s.type, CASE WHEN s.type <> " TYPE_ENCRYPTION_SQL " THEN e.json END "
    "FROM unnest($1::bigint[]) r(room) JOIN room_state s ON s.room = r.room AND s.type IN "
    "(" TYPE_CREATE_SQL ", " TYPE_NAME_SQL ", " TYPE_ENCRYPTION_SQL ") AND s.state_key = '' "
    "AND s.valid_to = " VALID_FOREVER_SQL " JOIN events e ON e.position = s.event")

const struct err *outlines_state(struct tx *tx, const int64_t *rooms, size_t n,
                                 const struct outline_state **ret, size_t *ret_n)
{
    struct outline_state one = {0};
    return db_list(tx, &outlines_state_sql, P(INT_ARRAY(rooms, n)),
                   R(INT_OUT(&one.room), INT_OUT(&one.type), BYTES_OUT(&one.json)),
                   LIST(one, ret, ret_n));
}

SQL(outlines_senders_sql, "SELECT r.n, (SELECT e.sender FROM events e WHERE e.position = r.at) "
                          "FROM unnest($1::bigint[]) WITH ORDINALITY r(at, n)")

const struct err *outlines_senders(struct tx *tx, const int64_t *positions, size_t n, int64_t *ret)
{
    return outlines_positions(tx, &outlines_senders_sql, P(INT_ARRAY(positions, n)), ret);
}
