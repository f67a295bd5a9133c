#include "storage/servers/outbound.h"
#include "storage/rooms/sql_numbers.h"

/* $1 server, $2 own name, $3 from, $4 to, $5 limit. */

/* Sent by one of our users, or received from another server to be relayed (EVENT_RELAYED). Not our
 * own first join: the resident server sends it to the others. */
#define SENT_BY_US                                                                                 \
    "(e.status = " EVENT_RELAYED_SQL " OR EXISTS (SELECT FROM users s WHERE s.id = e.sender "      \
    "AND server_of(s.user_id) = $2) AND NOT EXISTS (SELECT FROM rooms r WHERE r.id = e.room "      \
    "AND r.entered = e.position))"

/* stays: one row for each room that the server was in, with the intervals, and whether it still is.
 * about: member events about its users, except invites, which it has signed. */
#define STAYS                                                                                      \
    "WITH stays AS MATERIALIZED (SELECT room, range_agg(int8range(valid_from, valid_to)) AS "      \
    "span, "                                                                                       \
    "max(valid_to) > $4 AS is_there FROM server_stays($1, $3) GROUP BY room), "                    \
    "about AS MATERIALIZED (SELECT e.position, e.room FROM server_member_events($1, $3, $4) e "    \
    "WHERE " SENT_BY_US " AND json_of(e.json) #>> '{content,membership}' IS DISTINCT FROM "        \
    "'invite') "

/* Events of one room, by the index of events; r is the room's row of stays. */
#define OF_ROOM                                                                                    \
    "FROM events e WHERE e.room = r.room AND e.position > $3 AND e.position <= $4 "                \
    "AND r.span @> e.position AND " SENT_BY_US

/* Reads all, then sorts: only good for few. */
SQL(outbound_few_sql,
    STAYS "SELECT e.position FROM stays r CROSS JOIN LATERAL (SELECT e.position " OF_ROOM ") e "
          "UNION SELECT position FROM about ORDER BY 1 LIMIT $5")

/* Reads the log in order until there are enough: only good for many. */
SQL(outbound_many_sql,
    STAYS "SELECT e.position FROM events e LEFT JOIN stays r ON r.room = e.room "
          "WHERE e.position > $3 AND e.position <= $4 AND " SENT_BY_US " AND (r.span @> e.position "
          "OR e.position IN (SELECT position FROM about)) ORDER BY 1 LIMIT $5")

SQL(outbound_newest_sql,
    STAYS "SELECT o.position FROM (SELECT (SELECT e.position " OF_ROOM
          " ORDER BY e.position DESC LIMIT 1) AS position FROM stays r WHERE r.is_there "
          "UNION SELECT a.position FROM about a "
          "WHERE NOT EXISTS (SELECT FROM stays r WHERE r.room = a.room AND r.is_there)) o "
          "WHERE o.position IS NOT NULL ORDER BY 1 LIMIT $5")

SQL(outbound_count_sql,
    STAYS "SELECT least($5::bigint, (SELECT count(*) FROM about a WHERE NOT EXISTS (SELECT "
          "FROM stays r WHERE r.room = a.room AND r.span @> a.position)) + (SELECT count(*) FROM "
          "(SELECT FROM stays r CROSS JOIN LATERAL (SELECT " OF_ROOM " LIMIT $5) e LIMIT $5) n))")

#define RANGE(r) P(TEXT((r)->server), TEXT((r)->own), INT((r)->from), INT((r)->to), INT((r)->limit))

const struct err *outbound_events(struct tx *tx, const struct outbound_range *r,
                                  const int64_t **ret, size_t *ret_n)
{
    int64_t n;
    TRY(outbound_count(tx, r, &n));
    return db_ints(tx, n < r->limit ? &outbound_few_sql : &outbound_many_sql, RANGE(r), ret, ret_n);
}

const struct err *outbound_newest(struct tx *tx, const struct outbound_range *r,
                                  const int64_t **ret, size_t *ret_n)
{
    return db_ints(tx, &outbound_newest_sql, RANGE(r), ret, ret_n);
}

const struct err *outbound_count(struct tx *tx, const struct outbound_range *r, int64_t *ret)
{
    return db_one(tx, &outbound_count_sql, RANGE(r), NULL, R(INT_OUT(ret)));
}

SQL(servers_changed_sql,
    "SELECT c.server, EXISTS (SELECT FROM room_state s JOIN events e ON e.position = s.event "
    "WHERE s.room = $1 AND s.type = " TYPE_MEMBER_SQL " AND s.valid_from <= $2 AND s.valid_to > $2 "
    "AND server_of(s.state_key) = c.server "
    "AND json_of(e.json) #>> '{content,membership}' = 'join') "
    "OR EXISTS (SELECT FROM partial_rooms p WHERE p.room = $1 AND p.position <= $2 "
    "AND c.server = ANY (p.servers)) FROM (SELECT DISTINCT server_of(state_key) AS server "
    "FROM room_state WHERE room = $1 AND type = " TYPE_MEMBER_SQL " AND valid_from > $2) c")

const struct err *outbound_servers_changed(struct tx *tx, int64_t room, int64_t position,
                                           const struct outbound_server **ret, size_t *ret_n)
{
    struct outbound_server one = {0};
    return db_list(tx, &servers_changed_sql, P(INT(room), INT(position)),
                   R(TEXT_OUT(&one.name), BOOL_OUT(&one.was_there)), LIST(one, ret, ret_n));
}
