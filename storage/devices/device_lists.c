#include "storage/devices/device_lists.h"
#include "storage/rooms/sql_numbers.h"

/* ---- for clients ---- */

SQL(device_lists_sql, "INSERT INTO device_list_changes (\"user\", position) "
                      "SELECT u.who, (SELECT position FROM log_head) - u.back "
                      "FROM unnest($1::bigint[], $2::bigint[]) AS u(who, back) "
                      "ON CONFLICT (\"user\") DO UPDATE SET position = excluded.position")
static const struct batch_table device_lists_table = {
    .sql = &device_lists_sql,
    .columns = {DB_INT8, DB_POSITION},
    .columns_n = 2,
    .order = BATCH_OTHER,
    .key_columns = 1,
};

void device_lists_write(struct write *w, int64_t user, int at)
{
    write_row(w, &device_lists_table, P(INT(user), POSITION(at)));
}

/* ---- for other servers ---- */

SQL(device_changes_sql,
    "INSERT INTO device_changes (\"user\", position, device_id) "
    "SELECT u.who, (SELECT position FROM log_head) - u.back, u.device "
    "FROM unnest($1::bigint[], $2::bigint[], $3::text[]) AS u(who, back, device)")
static const struct batch_table device_changes_table = {
    .sql = &device_changes_sql,
    .columns = {DB_INT8, DB_POSITION, DB_TEXT},
    .columns_n = 3,
    .order = BATCH_OTHER,
};

void device_change_write(struct write *w, int64_t user, const char *device_id, int at)
{
    write_row(w, &device_changes_table, P(INT(user), POSITION(at), TEXT(device_id)));
}

SQL(device_changes_prune_sql,
    "DELETE FROM device_changes WHERE \"user\" = $1 AND position <= (SELECT position "
    "FROM device_changes WHERE \"user\" = $1 ORDER BY position DESC OFFSET 500 LIMIT 1)")

void device_changes_prune(struct write *w, int64_t user)
{
    write_statement(w, &device_changes_prune_sql, P(INT(user)));
}

SQL(device_changes_read_sql,
    "SELECT c.\"user\", u.user_id, c.position, c.device_id, "
    " (SELECT max(p.position) FROM device_changes p WHERE p.\"user\" = c.\"user\" "
    "  AND p.position <= $2 AND p.device_id <> ''), "
    " EXISTS (SELECT FROM devices d WHERE d.\"user\" = c.\"user\" AND d.device_id = c.device_id) "
    "FROM device_changes c JOIN users u ON u.id = c.\"user\" "
    "WHERE c.position > $2 AND c.position <= $3 "
    "AND EXISTS (SELECT FROM room_members m WHERE m.\"user\" = c.\"user\" AND m.membership "
    "= " MEMBERSHIP_JOIN_SQL " "
    " AND m.room = ANY($1)) ORDER BY c.position LIMIT $4")

const struct err *device_changes_read(struct tx *tx, const int64_t *rooms, size_t rooms_n,
                                      int64_t from, int64_t until, int limit,
                                      const struct device_change **ret, size_t *ret_n)
{
    struct device_change one = {0};
    return db_list(tx, &device_changes_read_sql,
                   P(INT_ARRAY(rooms, rooms_n), INT(from), INT(until), INT(limit)),
                   R(INT_OUT(&one.user), TEXT_OUT(&one.user_id), INT_OUT(&one.position),
                     TEXT_OUT(&one.device_id), INT_OUT(&one.before), BOOL_OUT(&one.is_there)),
                   LIST(one, ret, ret_n));
}

#define IS_JOIN(event)                                                                             \
    "EXISTS (SELECT FROM events e WHERE e.position = " event                                       \
    " AND json_of(e.json) #>> '{content,membership}' = 'join')"

SQL(device_joiners_sql,
    "WITH came AS MATERIALIZED (SELECT u.id, u.user_id, min(s.valid_from) AS joined "
    "FROM room_state s JOIN users u ON u.user_id = s.state_key "
    "JOIN room_members m ON m.room = s.room AND m.\"user\" = u.id AND m.is_local "
    "AND m.membership = " MEMBERSHIP_JOIN_SQL
    " WHERE s.room = ANY($1) AND s.type = " TYPE_MEMBER_SQL " AND s.valid_from > $2 "
    "AND s.valid_from <= $3 AND " IS_JOIN(
        "s.event") " GROUP BY 1, 2) "
                   "SELECT c.id, c.user_id, d.position, d.device_id, (SELECT max(p.position) "
                   "FROM device_changes p WHERE p.\"user\" = c.id AND p.position < d.position "
                   "AND p.device_id <> ''), c.joined, EXISTS (SELECT FROM devices v WHERE "
                   "v.\"user\" = c.id "
                   "AND v.device_id = d.device_id) FROM came c CROSS JOIN LATERAL (SELECT "
                   "position, device_id "
                   "FROM device_changes WHERE \"user\" = c.id AND device_id <> '' ORDER BY "
                   "position DESC LIMIT 1) "
                   "d WHERE d.position <= $2 AND NOT EXISTS (SELECT FROM room_state s WHERE s.room "
                   "= ANY($1) "
                   "AND s.type = " TYPE_MEMBER_SQL
                   " AND s.state_key = c.user_id AND s.valid_from <= $2 AND "
                   "s.valid_to > $2 "
                   "AND " IS_JOIN("s.event") ") ORDER BY c.joined LIMIT $4")

const struct err *device_joiners_read(struct tx *tx, const int64_t *rooms, size_t rooms_n,
                                      int64_t from, int64_t until, int limit,
                                      const struct device_joiner **ret, size_t *ret_n)
{
    struct device_joiner one = {0};
    struct device_change *change = &one.change;
    return db_list(tx, &device_joiners_sql,
                   P(INT_ARRAY(rooms, rooms_n), INT(from), INT(until), INT(limit)),
                   R(INT_OUT(&change->user), TEXT_OUT(&change->user_id), INT_OUT(&change->position),
                     TEXT_OUT(&change->device_id), INT_OUT(&change->before), INT_OUT(&one.joined),
                     BOOL_OUT(&change->is_there)),
                   LIST(one, ret, ret_n));
}

SQL(device_changes_exist_sql,
    "SELECT EXISTS (SELECT FROM device_changes WHERE position > $1 AND position <= $2)")

const struct err *device_changes_exist(struct tx *tx, int64_t from, int64_t until, bool *ret)
{
    return db_one(tx, &device_changes_exist_sql, P(INT(from), INT(until)), NULL, R(BOOL_OUT(ret)));
}

SQL(device_changes_newest_sql,
    "SELECT max(position) FROM device_changes WHERE \"user\" = $1 AND device_id <> ''")

const struct err *device_changes_newest(struct tx *tx, int64_t user, int64_t *ret)
{
    return db_one(tx, &device_changes_newest_sql, P(INT(user)), NULL, R(INT_OUT(ret)));
}
