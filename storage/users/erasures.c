#include "storage/users/erasures.h"
#include "storage/rooms/sql_numbers.h"

SQL(erasures_account_sql,
    "UPDATE accounts SET erased = true, password_hash = NULL, position = log_at($2), "
    "erased_at = COALESCE(erased_at, log_at($2)) WHERE \"user\" = $1")
SQL(erasures_begin_sql, "WITH earlier AS (DELETE FROM search_forgetting) "
                        "INSERT INTO search_forgetting VALUES (-9223372036854775808)")

void erasures_write(struct write *w, int64_t user, const char *user_id)
{
    int at = write_change(w, &(struct change){.kind = CHANGE_ACCOUNT,
                                              .user = user,
                                              .account = {user_id, .is_erasure = true}});
    write_statement(w, &erasures_account_sql, P(INT(user), POSITION(at)));
    write_statement(w, &erasures_begin_sql, NULL, 0);
}

SQL(erasures_list_sql, "SELECT u.user_id, a.erased_at FROM accounts a "
                       "JOIN users u ON u.id = a.\"user\" WHERE a.erased_at IS NOT NULL")

const struct err *erasures_list(struct tx *tx, const struct erasure_row **ret, size_t *ret_n)
{
    struct erasure_row one = {0};
    return db_list(tx, &erasures_list_sql, NULL, 0,
                   R(TEXT_OUT(&one.user_id), INT_OUT(&one.position)), LIST(one, ret, ret_n));
}

/* ---- the search index ---- */

SQL(erasures_forgetting_sql, "SELECT position FROM search_forgetting FOR UPDATE")
SQL(erasures_forget_sql,
    "WITH piece AS (SELECT event FROM search_index WHERE event > $1 ORDER BY event LIMIT $2), "
    "gone AS (DELETE FROM search_index s USING piece p, events e, accounts a "
    "WHERE s.event = p.event AND e.position = p.event AND a.\"user\" = e.sender "
    "AND a.erased_at IS NOT NULL) "
    "SELECT count(*), COALESCE(max(event), 0) FROM piece")
SQL(erasures_forgotten_to_sql, "UPDATE search_forgetting SET position = $1")
SQL(erasures_forgotten_sql, "DELETE FROM search_forgetting")

const struct err *erasures_forget_words(struct tx *tx, int64_t limit, bool *ret_more)
{
    int64_t from, n, to;
    bool is_due;
    TRY(db_one(tx, &erasures_forgetting_sql, NULL, 0, &is_due, R(INT_OUT(&from))));
    *ret_more = false;
    if (!is_due)
        return NULL;
    TRY(db_one(tx, &erasures_forget_sql, P(INT(from), INT(limit)), NULL,
               R(INT_OUT(&n), INT_OUT(&to))));
    *ret_more = n == limit;
    return *ret_more ? db_exec(tx, &erasures_forgotten_to_sql, P(INT(to)), NULL)
                     : db_exec(tx, &erasures_forgotten_sql, NULL, 0, NULL);
}

/* ---- membership intervals ---- */

/* The ranges of positions in which the member events `s` are joins, merged as far as possible. */
#define RANGES                                                                                     \
    "SELECT lower(r), upper(r) FROM (SELECT unnest(range_agg(int8range(valid_from, valid_to))) "   \
    "AS r FROM ("
#define JOINED                                                                                     \
    "s.valid_from < s.valid_to AND EXISTS (SELECT FROM events e WHERE e.position = s.event "       \
    "AND json_of(e.json) #>> '{content,membership}' = 'join') "

SQL(join_intervals_of_user_sql,
    RANGES "SELECT s.valid_from, s.valid_to FROM room_state s "
           "WHERE s.room = $1 AND s.type = " TYPE_MEMBER_SQL " AND s.state_key = $2 AND " JOINED
           ") stays) ranges ORDER BY 1")
/* While a room's state is partial, its listed servers count as joined. */
SQL(join_intervals_of_server_sql, RANGES
    "SELECT s.valid_from, s.valid_to FROM users u "
    "JOIN room_members m ON m.\"user\" = u.id AND m.room = $1 "
    "JOIN room_state s ON s.room = $1 AND s.type = " TYPE_MEMBER_SQL " AND s.state_key = u.user_id "
    "WHERE server_of(u.user_id) = $2 AND " JOINED "UNION ALL SELECT p.position, " VALID_FOREVER_SQL
    " FROM partial_rooms p "
    "WHERE p.room = $1 AND $2 = ANY(p.servers)) stays) ranges ORDER BY 1")

static const struct err *read_join_intervals(struct tx *tx, struct sql *sql, int64_t room,
                                             const char *whose, const struct join_interval **ret,
                                             size_t *ret_n)
{
    struct join_interval one = {0};
    return db_list(tx, sql, P(INT(room), TEXT(whose)), R(INT_OUT(&one.from), INT_OUT(&one.to)),
                   LIST(one, ret, ret_n));
}

const struct err *join_intervals_of_user(struct tx *tx, int64_t room, const char *user_id,
                                         const struct join_interval **ret, size_t *ret_n)
{
    return read_join_intervals(tx, &join_intervals_of_user_sql, room, user_id, ret, ret_n);
}

const struct err *join_intervals_of_server(struct tx *tx, int64_t room, const char *server,
                                           const struct join_interval **ret, size_t *ret_n)
{
    return read_join_intervals(tx, &join_intervals_of_server_sql, room, server, ret, ret_n);
}
