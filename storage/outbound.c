#include "storage/outbound.h"

/* $1 server, $2 own name, $3 from, $4 to, $5 limit. */

/* Sent by one of our users, or to be relayed (EVENT_RELAYED) though somebody else sent it. Not how
 * we came into the room: whoever let us in tells the others. */
#define IS_OURS                                                                                    \
    "(e.status = 1 OR EXISTS (SELECT FROM users s WHERE s.id = e.sender "                          \
    "AND server_of(s.user_id) = $2) AND NOT EXISTS (SELECT FROM rooms r WHERE r.id = e.room "      \
    "AND r.entered = e.position))"

/* Member events about the server's users. */
#define ABOUT_ITS_USERS                                                                            \
    "SELECT e.position, e.room FROM users u JOIN room_members m ON m.\"user\" = u.id "             \
    "JOIN room_state s ON s.room = m.room AND s.type = 1 AND s.state_key = u.user_id "             \
    "AND s.valid_from > $3 AND s.valid_from <= $4 "                                                \
    "JOIN events e ON e.position = s.event AND e.position > $3 "                                   \
    "WHERE server_of(u.user_id) = $1 AND " IS_OURS

#define OUTBOUND                                                                                   \
    "WITH stays AS MATERIALIZED (SELECT * FROM server_stays($1, $3)) "                             \
    "SELECT o.position FROM (SELECT e.position "                                                   \
    "FROM (SELECT DISTINCT room FROM stays) r JOIN events e "                                      \
    "ON e.room = r.room AND e.position > $3 AND e.position <= $4 "                                 \
    "WHERE " IS_OURS " AND EXISTS (SELECT FROM stays t WHERE t.room = e.room "                     \
    "AND t.valid_from <= e.position AND t.valid_to > e.position) "                                 \
    "UNION SELECT a.position FROM (" ABOUT_ITS_USERS ") a) o ORDER BY 1 LIMIT $5"

SQL(outbound_events_sql, OUTBOUND)

SQL(outbound_newest_sql,
    "WITH stays AS MATERIALIZED (SELECT DISTINCT room FROM server_stays($1, $3) "
    "WHERE valid_to > $4) "
    "SELECT o.position FROM (SELECT (SELECT e.position FROM events e WHERE e.room = r.room "
    "AND e.position > $3 AND e.position <= $4 AND " IS_OURS
    " ORDER BY e.position DESC LIMIT 1) AS position FROM stays r "
    "UNION SELECT a.position FROM (" ABOUT_ITS_USERS ") a "
    "WHERE NOT EXISTS (SELECT FROM stays r WHERE r.room = a.room)) o "
    "WHERE o.position IS NOT NULL ORDER BY 1 LIMIT $5")

SQL(outbound_count_sql, "SELECT count(*) FROM (" OUTBOUND ") o")

#define RANGE(r) P(TEXT((r)->server), TEXT((r)->own), INT((r)->from), INT((r)->to), INT((r)->limit))

static const struct err *read_positions(struct tx *tx, struct sql *sql,
                                        const struct outbound_range *r, const int64_t **ret,
                                        size_t *ret_n)
{
    struct rows rows;
    TRY(db_query(tx, sql, RANGE(r), &rows));
    int64_t *list = arena_alloc_array(tx->arena, (size_t)rows.n + 1, sizeof *list);
    size_t n = 0;
    while (rows_next(&rows))
        list[n++] = row_int(&rows, 0);
    rows_finish(&rows);
    *ret = list;
    *ret_n = n;
    return NULL;
}

const struct err *outbound_events(struct tx *tx, const struct outbound_range *r,
                                  const int64_t **ret, size_t *ret_n)
{
    return read_positions(tx, &outbound_events_sql, r, ret, ret_n);
}

const struct err *outbound_newest(struct tx *tx, const struct outbound_range *r,
                                  const int64_t **ret, size_t *ret_n)
{
    return read_positions(tx, &outbound_newest_sql, r, ret, ret_n);
}

const struct err *outbound_count(struct tx *tx, const struct outbound_range *r, int64_t *ret)
{
    return db_one(tx, &outbound_count_sql, RANGE(r), NULL, R(INT_OUT(ret)));
}
