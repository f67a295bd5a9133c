#include "storage/users/presence.h"
#include "storage/rooms/sql_numbers.h"

SQL(presence_write_sql,
    "INSERT INTO presence (\"user\", state, status_msg, last_active_ts, position, valid_until) "
    "SELECT u.\"user\", u.state, u.status_msg, u.ts, (SELECT position FROM log_head) - u.back, "
    "u.valid_until "
    "FROM unnest($1::bigint[], $2::int[], $3::text[], $4::bigint[], $5::bigint[], $6::bigint[]) "
    "AS u(\"user\", state, status_msg, ts, back, valid_until) "
    "ON CONFLICT (\"user\") DO UPDATE SET state = excluded.state, "
    "status_msg = excluded.status_msg, last_active_ts = excluded.last_active_ts, "
    "position = excluded.position, "
    "valid_until = GREATEST(presence.valid_until, excluded.valid_until)")
static const struct batch_table presence_table = {
    .sql = &presence_write_sql,
    .columns = {DB_INT8, DB_INT4, DB_TEXT, DB_INT8, DB_POSITION, DB_INT8},
    .columns_n = 6,
    .order = BATCH_OTHER,
    .key_columns = 1,
};

void presence_write(struct write *w, const struct presence_row *r, int at)
{
    write_row(w, &presence_table,
              P(INT(r->user), INT4(r->state), TEXT(r->status_msg), INT(r->last_active_ts),
                POSITION(at), INT(r->valid_until)));
}

SQL(presence_renew_sql,
    "WITH free AS (SELECT \"user\" FROM presence WHERE \"user\" = ANY($1) "
    "FOR NO KEY UPDATE SKIP LOCKED) "
    "UPDATE presence p SET valid_until = GREATEST(p.valid_until, u.valid_until), "
    "last_active_ts = GREATEST(p.last_active_ts, u.ts) "
    "FROM free JOIN unnest($1::bigint[], $2::bigint[], $3::bigint[]) "
    "AS u(\"user\", valid_until, ts) USING (\"user\") WHERE p.\"user\" = free.\"user\"")

const struct err *presence_renew(struct tx *tx, const int64_t *users, const int64_t *valid_until,
                                 const int64_t *last_active_ts, size_t n)
{
    return db_exec(tx, &presence_renew_sql,
                   P(INT_ARRAY(users, n), INT_ARRAY(valid_until, n), INT_ARRAY(last_active_ts, n)),
                   NULL);
}

SQL(presence_list_valid_sql, "SELECT \"user\", valid_until, last_active_ts FROM presence "
                             "WHERE \"user\" = ANY($1) AND valid_until > $2")

const struct err *presence_list_valid(struct tx *tx, const int64_t *users, size_t n, int64_t now,
                                      const struct presence_row **ret, size_t *ret_n)
{
    struct presence_row one = {0};
    return db_list(tx, &presence_list_valid_sql, P(INT_ARRAY(users, n), INT(now)),
                   R(INT_OUT(&one.user), INT_OUT(&one.valid_until), INT_OUT(&one.last_active_ts)),
                   LIST(one, ret, ret_n));
}

SQL(presence_expect_ended_sql, "SELECT expect_rows((SELECT count(*) FROM presence "
                               "WHERE \"user\" = ANY($1) AND valid_until > $2), 0)")

void presence_expect_ended(struct write *w, const int64_t *users, size_t n, int64_t now)
{
    write_statement(w, &presence_expect_ended_sql, P(INT_ARRAY(users, n), INT(now)));
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

#define PRESENCE_ROWS                                                                              \
    "SELECT p.\"user\", u.user_id, p.state, p.status_msg, p.last_active_ts, p.position, "          \
    "p.valid_until FROM presence p JOIN users u ON u.id = p.\"user\" "

SQL(presence_list_present_sql, PRESENCE_ROWS "WHERE p.state <> 0 ORDER BY p.position")
SQL(presence_list_after_sql, PRESENCE_ROWS "WHERE p.position > $1 ORDER BY p.position")

static const struct err *presence_list(struct tx *tx, struct sql *sql,
                                       const struct db_param *params, size_t params_n,
                                       const struct presence_row **ret, size_t *ret_n)
{
    struct presence_row one = {0};
    return db_list(tx, sql, params, params_n,
                   R(INT_OUT(&one.user), TEXT_OUT(&one.user_id), ENUM_OUT(&one.state),
                     TEXT_OUT(&one.status_msg), INT_OUT(&one.last_active_ts),
                     INT_OUT(&one.position), INT_OUT(&one.valid_until)),
                   LIST(one, ret, ret_n));
}

const struct err *presence_list_present(struct tx *tx, const struct presence_row **ret,
                                        size_t *ret_n)
{
    return presence_list(tx, &presence_list_present_sql, NO_PARAMS, ret, ret_n);
}

const struct err *presence_list_after(struct tx *tx, int64_t position,
                                      const struct presence_row **ret, size_t *ret_n)
{
    return presence_list(tx, &presence_list_after_sql, P(INT(position)), ret, ret_n);
}

SQL(presence_share_room_sql,
    "SELECT EXISTS (SELECT FROM room_members a JOIN room_members b ON b.room = a.room "
    "AND b.\"user\" = $2 AND b.membership = " MEMBERSHIP_JOIN_SQL
    " WHERE a.\"user\" = $1 AND a.membership = " MEMBERSHIP_JOIN_SQL ")")

const struct err *presence_share_room(struct tx *tx, int64_t one, int64_t other, bool *ret)
{
    return db_one(tx, &presence_share_room_sql, P(INT(one), INT(other)), NULL, R(BOOL_OUT(ret)));
}
