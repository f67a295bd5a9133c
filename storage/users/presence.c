#include "storage/users/presence.h"
#include "storage/rooms/sql_numbers.h"

SQL(presence_write_sql,
    "INSERT INTO presence (\"user\", state, status_msg, last_active_ts, position) "
    "SELECT u.\"user\", u.state, u.status_msg, u.ts, (SELECT position FROM log_head) - u.back "
    "FROM unnest($1::bigint[], $2::int[], $3::text[], $4::bigint[], $5::bigint[]) "
    "AS u(\"user\", state, status_msg, ts, back) "
    "ON CONFLICT (\"user\") DO UPDATE SET state = excluded.state, "
    "status_msg = excluded.status_msg, last_active_ts = excluded.last_active_ts, "
    "position = excluded.position")
static const struct batch_table presence_table = {
    .sql = &presence_write_sql,
    .columns = {DB_INT8, DB_INT4, DB_TEXT, DB_INT8, DB_POSITION},
    .columns_n = 5,
    .order = BATCH_OTHER,
    .key_columns = 1,
};

void presence_write(struct write *w, const struct presence_row *r, int at)
{
    write_row(
        w, &presence_table,
        P(INT(r->user), INT4(r->state), TEXT(r->status_msg), INT(r->last_active_ts), POSITION(at)));
}

SQL(presence_find_sql, "SELECT state, status_msg, last_active_ts, position FROM presence "
                       "WHERE \"user\" = $1")

const struct err *presence_find(struct tx *tx, int64_t user, bool *ret_found,
                                struct presence_row *ret)
{
    int64_t state;
    *ret = (struct presence_row){.user = user};
    TRY(db_one(tx, &presence_find_sql, P(INT(user)), ret_found,
               R(INT_OUT(&state), TEXT_OUT(&ret->status_msg), INT_OUT(&ret->last_active_ts),
                 INT_OUT(&ret->position))));
    ret->state = (enum presence_state)state;
    return NULL;
}

SQL(presence_list_present_sql,
    "SELECT p.\"user\", u.user_id, p.state, p.status_msg, p.last_active_ts, p.position "
    "FROM presence p JOIN users u ON u.id = p.\"user\" WHERE p.state <> 0")

const struct err *presence_list_present(struct tx *tx, const struct presence_row **ret,
                                        size_t *ret_n)
{
    struct presence_row one = {0};
    return db_list(tx, &presence_list_present_sql, NO_PARAMS,
                   R(INT_OUT(&one.user), TEXT_OUT(&one.user_id), ENUM_OUT(&one.state),
                     TEXT_OUT(&one.status_msg), INT_OUT(&one.last_active_ts),
                     INT_OUT(&one.position)),
                   LIST(one, ret, ret_n));
}

SQL(presence_share_room_sql,
    "SELECT EXISTS (SELECT FROM room_members a JOIN room_members b ON b.room = a.room "
    "AND b.\"user\" = $2 AND b.membership = " MEMBERSHIP_JOIN_SQL
    " WHERE a.\"user\" = $1 AND a.membership = " MEMBERSHIP_JOIN_SQL ")")

const struct err *presence_share_room(struct tx *tx, int64_t one, int64_t other, bool *ret)
{
    return db_one(tx, &presence_share_room_sql, P(INT(one), INT(other)), NULL, R(BOOL_OUT(ret)));
}
