#include "storage/servers/pending_leaves.h"

#include "base/clock.h"

SQL(pending_leaves_add_sql,
    "INSERT INTO untold_leaves (room, \"user\", reason, since_ts, servers) "
    "VALUES ($1, $2, $3, $4, $5) ON CONFLICT (room, \"user\") DO UPDATE SET "
    "reason = excluded.reason, since_ts = excluded.since_ts, servers = excluded.servers")

const struct err *pending_leaves_add(struct tx *tx, int64_t room, int64_t user, const char *reason,
                                     const char *const *servers, size_t servers_n)
{
    return db_exec(
        tx, &pending_leaves_add_sql,
        P(INT(room), INT(user), TEXT(reason), INT(now_ms()), TEXT_ARRAY(servers, servers_n)), NULL);
}

SQL(pending_leaves_get_sql, "SELECT reason, since_ts, servers FROM untold_leaves "
                            "WHERE room = $1 AND \"user\" = $2")

const struct err *pending_leaves_get(struct tx *tx, int64_t room, int64_t user,
                                     const struct pending_leave **ret)
{
    struct rows rows;
    TRY(db_query(tx, &pending_leaves_get_sql, P(INT(room), INT(user)), &rows));
    *ret = NULL;
    if (!rows_next(&rows))
        return NULL;
    struct pending_leave *leave = arena_alloc(tx->arena, sizeof *leave);
    *leave = (struct pending_leave){.room = room,
                                    .user = user,
                                    .reason = arena_strdup(tx->arena, row_text(&rows, 0)),
                                    .since_ts = row_int(&rows, 1)};
    leave->servers = row_bytes_array(&rows, 2, &leave->servers_n);
    *ret = leave;
    return NULL;
}

SQL(pending_leaves_remove_sql, "DELETE FROM untold_leaves WHERE room = $1 AND \"user\" = $2")

const struct err *pending_leaves_remove(struct tx *tx, int64_t room, int64_t user)
{
    return db_exec(tx, &pending_leaves_remove_sql, P(INT(room), INT(user)), NULL);
}

SQL(pending_leaves_list_sql, "SELECT room, \"user\" FROM untold_leaves ORDER BY since_ts")

const struct err *pending_leaves_list(struct tx *tx, const struct pending_leave **ret,
                                      size_t *ret_n)
{
    struct pending_leave one = {0};
    return db_list(tx, &pending_leaves_list_sql, NO_PARAMS,
                   R(INT_OUT(&one.room), INT_OUT(&one.user)), LIST(one, ret, ret_n));
}
