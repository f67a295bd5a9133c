#include "storage/rooms/members.h"
#include "storage/rooms/sql_numbers.h"

/* A user who was deactivated during their join has one more room to leave (users_write_parted). */
SQL(members_upsert_sql,
    "WITH u AS (SELECT * FROM unnest($1::int8[], $2::int8[], $3::int4[], $4::int8[], $5::int8[], "
    "$6::bool[], $7::bytea[]) u(room, \"user\", membership, back, event, is_local, stripped)), "
    "parting AS (UPDATE accounts a SET parting = true FROM u WHERE a.\"user\" = u.\"user\" "
    "AND u.is_local AND u.membership IN (" MEMBERSHIPS_EXPECTED_SQL ") AND a.deactivated) "
    "INSERT INTO room_members (room, \"user\", membership, event, since, is_local, stripped) "
    "SELECT u.room, u.\"user\", u.membership, CASE WHEN u.event = 0 THEN h.position - u.back "
    "ELSE u.event END, h.position - u.back, u.is_local, u.stripped FROM u, log_head h "
    "ON CONFLICT (room, \"user\") DO UPDATE SET membership = excluded.membership, "
    "event = excluded.event, since = excluded.since, forgotten = false, stripped = "
    "excluded.stripped")

static const struct batch_table members_rows = {
    .sql = &members_upsert_sql,
    .columns = {DB_INT8, DB_INT8, DB_INT4, DB_POSITION, DB_INT8, DB_BOOL, DB_BYTES},
    .columns_n = 7,
    .order = BATCH_OTHER,
    .key_columns = 2,
};

void members_write(struct write *w, int64_t room, int64_t user, enum membership m, int at,
                   int64_t event, bool is_local, struct str stripped)
{
    write_row(w, &members_rows,
              P(INT(room), INT(user), INT4(m), POSITION(at), INT(event), BOOL(is_local),
                BYTES(stripped)));
}

SQL(members_delete_sql, "DELETE FROM room_members WHERE room = $1 AND \"user\" = ANY($2)")

void members_write_none(struct write *w, int64_t room, const int64_t *users, size_t n)
{
    write_statement(w, &members_delete_sql, P(INT(room), INT_ARRAY(users, n)));
}

static const struct err *members_read_members(struct tx *tx, struct sql *s, int64_t key,
                                              const struct member_row **ret, size_t *ret_n)
{
    struct rows rows;
    TRY(db_query(tx, s, P(INT(key)), &rows));
    struct member_row *list = arena_alloc_array(tx->arena, (size_t)rows.n + 1, sizeof *list);
    size_t n = 0;
    while (rows_next(&rows)) {
        struct str stripped = row_bytes(&rows, 8);
        list[n++] = (struct member_row){
            .room = row_int(&rows, 0),
            .user = row_int(&rows, 1),
            .membership = (enum membership)row_int(&rows, 2),
            .event = row_int(&rows, 3),
            .since = row_int(&rows, 4),
            .is_local = row_bool(&rows, 5),
            .forgotten = row_bool(&rows, 6),
            .has_own_rules = row_bool(&rows, 7),
            .stripped = {stripped.p ? str_dup(tx->arena, stripped) : NULL, stripped.n},
        };
    }
    rows_finish(&rows);
    *ret = list;
    *ret_n = n;
    return NULL;
}

SQL(members_of_room_sql,
    "SELECT m.room, m.\"user\", m.membership, m.event, m.since, m.is_local, m.forgotten, "
    "d.\"user\" IS NOT NULL, NULL::bytea FROM room_members m LEFT JOIN account_data d "
    "ON m.is_local AND d.\"user\" = m.\"user\" AND d.room = 0 AND d.type = 'm.push_rules' "
    "WHERE m.room = $1")

const struct err *members_of_room(struct tx *tx, int64_t room, const struct member_row **ret,
                                  size_t *ret_n)
{
    return members_read_members(tx, &members_of_room_sql, room, ret, ret_n);
}

#define OF_USER                                                                                    \
    "SELECT room, \"user\", membership, event, since, is_local, forgotten, false, stripped "       \
    "FROM room_members WHERE \"user\" = $1 "
SQL(members_of_user_sql, OF_USER "AND NOT forgotten")
/* 1000: FORGOTTEN_MAX */
SQL(members_of_user_and_forgotten_sql,
    OF_USER "AND NOT forgotten UNION ALL (" OF_USER "AND membership IN (" MEMBERSHIPS_ENDED_SQL
            ") AND forgotten ORDER BY since DESC LIMIT 1000)")

const struct err *members_of_user(struct tx *tx, int64_t user, const struct member_row **ret,
                                  size_t *ret_n)
{
    return members_read_members(tx, &members_of_user_sql, user, ret, ret_n);
}

const struct err *members_of_user_and_forgotten(struct tx *tx, int64_t user,
                                                const struct member_row **ret, size_t *ret_n)
{
    return members_read_members(tx, &members_of_user_and_forgotten_sql, user, ret, ret_n);
}

SQL(members_forget_sql,
    "UPDATE room_members SET forgotten = true WHERE room = $1 AND \"user\" = $2 "
    "AND membership IN (" MEMBERSHIPS_ENDED_SQL ")")

void members_write_forgotten(struct write *w, int64_t room, int64_t user)
{
    write_change(w, &(struct change){.kind = CHANGE_FORGET, .room = room, .user = user});
    write_statement(w, &members_forget_sql, P(INT(room), INT(user)));
}

SQL(members_count_invites_sql,
    "SELECT count(*), count(*) FILTER (WHERE substr(u.user_id, strpos(u.user_id, ':') + 1) = $2) "
    "FROM (SELECT event FROM room_members WHERE \"user\" = $1 AND membership "
    "= " MEMBERSHIP_INVITE_SQL " LIMIT $3) i "
    "JOIN events e ON e.position = i.event JOIN users u ON u.id = e.sender")

const struct err *members_count_invites(struct tx *tx, int64_t user, const char *server,
                                        int64_t most, int64_t *ret_n, int64_t *ret_of_server)
{
    return db_one(tx, &members_count_invites_sql, P(INT(user), TEXT(server), INT(most)), NULL,
                  R(INT_OUT(ret_n), INT_OUT(ret_of_server)));
}

SQL(members_guests_sql,
    "SELECT m.\"user\" FROM room_members m "
    "JOIN accounts a ON a.\"user\" = m.\"user\" AND a.is_guest "
    "WHERE m.room = $1 AND m.membership = " MEMBERSHIP_JOIN_SQL " AND m.is_local")

const struct err *members_guests(struct tx *tx, int64_t room, const int64_t **ret, size_t *ret_n)
{
    return db_ints(tx, &members_guests_sql, P(INT(room)), ret, ret_n);
}

SQL(members_rooms_with_guests_sql,
    "SELECT DISTINCT m.room FROM accounts a JOIN room_members m "
    "ON m.\"user\" = a.\"user\" AND m.membership = " MEMBERSHIP_JOIN_SQL " "
    "WHERE a.is_guest")

const struct err *members_rooms_with_guests(struct tx *tx, const int64_t **ret, size_t *ret_n)
{
    return db_ints(tx, &members_rooms_with_guests_sql, NO_PARAMS, ret, ret_n);
}

SQL(members_have_own_rules_sql, "SELECT EXISTS (SELECT 1 FROM account_data WHERE \"user\" = $1 "
                                "AND room = 0 AND type = 'm.push_rules')")

const struct err *members_have_own_rules(struct tx *tx, int64_t user, bool *ret)
{
    return db_one(tx, &members_have_own_rules_sql, P(INT(user)), NULL, R(BOOL_OUT(ret)));
}

SQL(members_with_own_rules_sql, "SELECT \"user\" FROM account_data WHERE \"user\" = ANY($1) "
                                "AND room = 0 AND type = 'm.push_rules'")

const struct err *members_with_own_rules(struct tx *tx, const int64_t *users, size_t n,
                                         const int64_t **ret, size_t *ret_n)
{
    return db_ints(tx, &members_with_own_rules_sql, P(INT_ARRAY(users, n)), ret, ret_n);
}

SQL(members_stripped_sql, "SELECT stripped FROM room_members WHERE room = $1 AND \"user\" = $2")

const struct err *members_stripped(struct tx *tx, int64_t room, int64_t user, struct str *ret)
{
    return db_one(tx, &members_stripped_sql, P(INT(room), INT(user)), NULL, R(BYTES_OUT(ret)));
}

SQL(members_stripped_of_user_sql,
    "SELECT room, stripped FROM room_members WHERE \"user\" = $1 AND membership IN "
    "(" MEMBERSHIP_INVITE_SQL ", " MEMBERSHIP_KNOCK_SQL ")")

const struct err *members_stripped_of_user(struct tx *tx, int64_t user,
                                           const struct stripped_room **ret, size_t *ret_n)
{
    struct stripped_room one = {0};
    return db_list(tx, &members_stripped_of_user_sql, P(INT(user)),
                   R(INT_OUT(&one.room), BYTES_OUT(&one.stripped)), LIST(one, ret, ret_n));
}

SQL(members_remember_sql, "SELECT EXISTS (SELECT 1 FROM room_members WHERE room = $1 AND "
                          "\"user\" = $2 AND NOT forgotten)")

const struct err *members_remember(struct tx *tx, int64_t room, int64_t user, bool *ret)
{
    return db_one(tx, &members_remember_sql, P(INT(room), INT(user)), NULL, R(BOOL_OUT(ret)));
}
