#include "storage/users/account_data.h"

SQL(account_data_write_sql,
    "INSERT INTO account_data (\"user\", room, type, content, position) "
    "SELECT u.\"user\", u.room, u.type, u.content, (SELECT position FROM log_head) - u.back "
    "FROM unnest($1::bigint[], $2::bigint[], $3::text[], $4::bytea[], $5::bigint[]) "
    "AS u(\"user\", room, type, content, back) "
    "ON CONFLICT (\"user\", room, type) DO UPDATE SET content = excluded.content, "
    "position = excluded.position")
static const struct batch_table account_data_table = {
    .sql = &account_data_write_sql,
    .columns = {DB_INT8, DB_INT8, DB_TEXT, DB_BYTES, DB_POSITION},
    .columns_n = 5,
    .order = BATCH_OTHER,
    .key_columns = 3,
};

static void write_content(struct write *w, int64_t user, int64_t room, const char *type,
                          struct str content, int at)
{
    write_row(w, &account_data_table,
              P(INT(user), INT(room), TEXT(type), BYTES(content), POSITION(at)));
}

/* Adds the change; returns its number in the write. */
static int account_data_add_change(struct write *w, int64_t user, int64_t room, const char *type)
{
    bool is_push_rules = !room && strcmp(type, "m.push_rules") == 0;
    return write_change(w, &(struct change){.kind = CHANGE_ACCOUNT_DATA,
                                            .user = user,
                                            .room = room,
                                            .account_data.is_push_rules = is_push_rules});
}

static struct str account_data_copy_of(struct write *w, struct str s)
{
    return (struct str){arena_memdup(write_arena(w), s.p, s.n), s.n};
}

void account_data_set(struct write *w, int64_t user, int64_t room, const char *type,
                      struct str content)
{
    int at = account_data_add_change(w, user, room, type);
    write_content(w, user, room, arena_strdup(write_arena(w), type),
                  account_data_copy_of(w, content), at);
}

SQL(account_data_replace_sql,
    "WITH written AS ("
    "INSERT INTO account_data AS d (\"user\", room, type, content, position) "
    "VALUES ($1, $2, $3, $4, log_at($5)) ON CONFLICT (\"user\", room, type) "
    "DO UPDATE SET content = excluded.content, position = excluded.position "
    "WHERE d.position = $6 RETURNING 1) "
    "SELECT expect_rows((SELECT count(*) FROM written), 1)")

void account_data_replace(struct write *w, int64_t user, int64_t room, const char *type,
                          struct str content, int64_t seen)
{
    int at = account_data_add_change(w, user, room, type);
    write_statement(w, &account_data_replace_sql,
                    P(INT(user), INT(room), TEXT(arena_strdup(write_arena(w), type)),
                      BYTES(account_data_copy_of(w, content)), POSITION(at), INT(seen)));
}

SQL(account_data_space_sql,
    "SELECT count(*), coalesce(sum(octet_length(content)), 0)::int8 FROM account_data "
    "WHERE \"user\" = $1 AND (room, type) <> ($2, $3)")

const struct err *account_data_check_space(struct tx *tx, int64_t user, int64_t room,
                                           const char *type, size_t bytes)
{
    int64_t rows, used;
    TRY(db_one(tx, &account_data_space_sql, P(INT(user), INT(room), TEXT(type)), NULL,
               R(INT_OUT(&rows), INT_OUT(&used))));
    if (rows < ACCOUNT_DATA_ROWS_MAX && used + (int64_t)bytes <= ACCOUNT_DATA_BYTES_MAX)
        return NULL;
    return err(ERR_TOO_LARGE, "You have too much account data: remove some of it");
}

SQL(account_data_get_sql, "SELECT content, position FROM account_data "
                          "WHERE \"user\" = $1 AND room = $2 AND type = $3")

const struct err *account_data_get_position(struct tx *tx, int64_t user, int64_t room,
                                            const char *type, struct str *ret,
                                            int64_t *ret_position)
{
    return db_one(tx, &account_data_get_sql, P(INT(user), INT(room), TEXT(type)), NULL,
                  R(BYTES_OUT(ret), INT_OUT(ret_position)));
}

const struct err *account_data_get(struct tx *tx, int64_t user, int64_t room, const char *type,
                                   struct str *ret)
{
    int64_t position;
    return account_data_get_position(tx, user, room, type, ret, &position);
}

SQL(account_data_since_sql,
    "SELECT room, type, content, position FROM account_data "
    "WHERE \"user\" = $1 AND position > $2 AND position <= $3 ORDER BY position")

const struct err *account_data_since(struct tx *tx, int64_t user, int64_t since, int64_t until,
                                     const struct account_data **ret, size_t *ret_n)
{
    struct account_data one = {0};
    return db_list(
        tx, &account_data_since_sql, P(INT(user), INT(since), INT(until)),
        R(INT_OUT(&one.room), TEXT_OUT(&one.type), BYTES_OUT(&one.content), INT_OUT(&one.position)),
        LIST(one, ret, ret_n));
}

SQL(account_data_of_type_sql,
    "SELECT room, type, content, position FROM account_data WHERE \"user\" = $1 AND type = $2")

const struct err *account_data_of_type(struct tx *tx, int64_t user, const char *type,
                                       const struct account_data **ret, size_t *ret_n)
{
    struct account_data one = {0};
    return db_list(
        tx, &account_data_of_type_sql, P(INT(user), TEXT(type)),
        R(INT_OUT(&one.room), TEXT_OUT(&one.type), BYTES_OUT(&one.content), INT_OUT(&one.position)),
        LIST(one, ret, ret_n));
}

SQL(account_data_of_rooms_sql,
    "SELECT room, type, content, position FROM account_data "
    "WHERE \"user\" = $1 AND room = ANY($2) AND position <= $3 ORDER BY position")

const struct err *account_data_of_rooms(struct tx *tx, int64_t user, const int64_t *rooms, size_t n,
                                        int64_t until, const struct account_data **ret,
                                        size_t *ret_n)
{
    struct account_data one = {0};
    return db_list(
        tx, &account_data_of_rooms_sql, P(INT(user), INT_ARRAY(rooms, n), INT(until)),
        R(INT_OUT(&one.room), TEXT_OUT(&one.type), BYTES_OUT(&one.content), INT_OUT(&one.position)),
        LIST(one, ret, ret_n));
}
