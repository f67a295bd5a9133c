#include "storage/devices/key_backup.h"

/* ---- versions ---- */

/* Of deleted backups only the newest row is kept, so that no version is reused. */
SQL(key_backup_create_sql,
    "WITH have AS (SELECT COALESCE(max(version), 0) AS newest, count(*) FILTER (WHERE NOT deleted) "
    " AS n FROM key_backups WHERE \"user\" = $1), "
    "old AS (DELETE FROM key_backups k USING have WHERE k.\"user\" = $1 AND k.deleted "
    " AND k.version < have.newest) "
    "INSERT INTO key_backups (\"user\", version, algorithm, auth_data) "
    "SELECT $1, have.newest + 1, $2, $3 FROM have WHERE have.n < $4 RETURNING version")

const struct err *key_backup_create(struct tx *tx, int64_t user, const char *algorithm,
                                    struct str auth_data, int64_t *ret_version)
{
    bool found;
    TRY(db_one(tx, &key_backup_create_sql,
               P(INT(user), TEXT(algorithm), BYTES(auth_data), INT(KEY_BACKUPS_MAX)), &found,
               R(INT_OUT(ret_version))));
    return found ? NULL
                 : err(ERR_TOO_LARGE, "You have %d backups: delete old ones", KEY_BACKUPS_MAX);
}

static const struct err *key_backup_read_one(struct tx *tx, struct sql *sql,
                                             const struct db_param *params, size_t params_n,
                                             struct key_backup *ret)
{
    return db_one(tx, sql, params, params_n, NULL,
                  R(INT_OUT(&ret->version), INT_OUT(&ret->etag), INT_OUT(&ret->count),
                    TEXT_OUT(&ret->algorithm), BYTES_OUT(&ret->auth_data),
                    BOOL_OUT(&ret->deleted)));
}

#define BACKUP_COLUMNS "version, etag, count, algorithm, auth_data, deleted"
#define READ_VERSION                                                                               \
    "SELECT " BACKUP_COLUMNS " FROM key_backups WHERE \"user\" = $1 AND version = $2"
#define READ_CURRENT                                                                               \
    "SELECT " BACKUP_COLUMNS " FROM key_backups WHERE \"user\" = $1 AND NOT deleted "              \
    "ORDER BY version DESC LIMIT 1"

SQL(key_backup_get_sql, READ_VERSION)
SQL(key_backup_current_sql, READ_CURRENT)

const struct err *key_backup_get(struct tx *tx, int64_t user, int64_t version,
                                 struct key_backup *ret)
{
    if (version)
        return key_backup_read_one(tx, &key_backup_get_sql, P(INT(user), INT(version)), ret);
    return key_backup_read_one(tx, &key_backup_current_sql, P(INT(user)), ret);
}

SQL(key_backup_lock_sql, READ_VERSION " FOR UPDATE")
SQL(key_backup_lock_current_sql, READ_CURRENT " FOR UPDATE")

const struct err *key_backup_lock(struct tx *tx, int64_t user, int64_t version,
                                  struct key_backup *ret)
{
    if (version)
        return key_backup_read_one(tx, &key_backup_lock_sql, P(INT(user), INT(version)), ret);
    return key_backup_read_one(tx, &key_backup_lock_current_sql, P(INT(user)), ret);
}

SQL(key_backup_set_sql, "UPDATE key_backups SET auth_data = $3 "
                        "WHERE \"user\" = $1 AND version = $2 AND NOT deleted")

const struct err *key_backup_set_auth_data(struct tx *tx, int64_t user, int64_t version,
                                           struct str auth_data)
{
    return db_exec(tx, &key_backup_set_sql, P(INT(user), INT(version), BYTES(auth_data)), NULL);
}

/* A backup can have a million keys, so they are deleted later. */
#define DELETE_BACKUPS(which)                                                                      \
    "WITH going AS (UPDATE key_backups SET deleted = true, count = 0, bytes = 0, "                 \
    "auth_data = '' WHERE \"user\" = $1 AND " which " RETURNING \"user\", version) "               \
    "INSERT INTO key_backups_gone SELECT * FROM going ON CONFLICT DO NOTHING"
SQL(key_backup_delete_sql, DELETE_BACKUPS("version = $2"))
SQL(key_backup_delete_all_sql, DELETE_BACKUPS("NOT deleted"))

const struct err *key_backup_delete(struct tx *tx, int64_t user, int64_t version)
{
    return db_exec(tx, &key_backup_delete_sql, P(INT(user), INT(version)), NULL);
}

void key_backups_delete(struct write *w, int64_t user)
{
    write_statement(w, &key_backup_delete_all_sql, P(INT(user)));
}

enum { SWEEP_PAGE = 2000, SWEEP_PAGES_MAX = 200 };

SQL(key_backups_gone_sql,
    "DELETE FROM key_backup_sessions WHERE ctid = ANY(ARRAY(SELECT s.ctid FROM key_backups_gone g "
    "JOIN key_backup_sessions s USING (\"user\", version) LIMIT $1))")
SQL(key_backups_gone_done_sql,
    "DELETE FROM key_backups_gone g WHERE NOT EXISTS (SELECT FROM key_backup_sessions s "
    "WHERE s.\"user\" = g.\"user\" AND s.version = g.version)")

const struct err *key_backups_sweep(struct tx *tx)
{
    int64_t n = SWEEP_PAGE;
    for (int i = 0; i < SWEEP_PAGES_MAX && n == SWEEP_PAGE; i++)
        TRY(db_exec(tx, &key_backups_gone_sql, P(INT(SWEEP_PAGE)), &n));
    return db_exec(tx, &key_backups_gone_done_sql, NO_PARAMS, NULL);
}

/* ---- keys ---- */

#define KEY_BYTES "(128 + octet_length(session_data))"
#define COUNTED                                                                                    \
    "COALESCE(bytes, (SELECT sum(" KEY_BYTES ") FROM key_backup_sessions "                         \
    "WHERE \"user\" = $1 AND version = $2), 0)"

/* Booleans compare as false < true: a row is better when (verified, -index, -forwarded) is greater.
 * `was` sees the table as it is before the statement. */
SQL(backup_sessions_put_sql,
    "WITH new AS (SELECT * FROM unnest($3::text[], $4::text[], $5::bigint[], $6::bigint[], "
    " $7::bigint[]::int[]::boolean[], $8::bytea[]) "
    " AS u(room_id, session_id, first, forwarded, verified, data)), "
    "was AS (SELECT k.room_id, k.session_id, " KEY_BYTES " AS n FROM key_backup_sessions k, new "
    " WHERE k.\"user\" = $1 AND k.version = $2 AND k.room_id = new.room_id "
    " AND k.session_id = new.session_id), "
    "put AS (INSERT INTO key_backup_sessions AS old (\"user\", version, room_id, session_id, "
    " first_message_index, forwarded_count, is_verified, session_data) "
    " SELECT $1, $2, new.* FROM new "
    " ON CONFLICT (\"user\", version, room_id, session_id) DO UPDATE SET "
    " first_message_index = excluded.first_message_index, "
    " forwarded_count = excluded.forwarded_count, is_verified = excluded.is_verified, "
    " session_data = excluded.session_data "
    " WHERE (excluded.is_verified, -excluded.first_message_index, -excluded.forwarded_count) "
    " > (old.is_verified, -old.first_message_index, -old.forwarded_count) "
    " RETURNING room_id, session_id, " KEY_BYTES " AS n), "
    "done AS (SELECT count(*) AS n, count(*) FILTER (WHERE was.n IS NULL) AS added, "
    " COALESCE(sum(put.n - COALESCE(was.n, 0)), 0) AS bytes "
    " FROM put LEFT JOIN was USING (room_id, session_id)) "
    "UPDATE key_backups SET count = count + (SELECT added FROM done), "
    "etag = etag + (SELECT n FROM done), bytes = " COUNTED " + (SELECT bytes FROM done) "
    "WHERE \"user\" = $1 AND version = $2 RETURNING " BACKUP_COLUMNS)

const struct err *backup_sessions_put(struct tx *tx, int64_t user, int64_t version,
                                      const struct backup_session *sessions, size_t n,
                                      struct key_backup *ret)
{
    const char **rooms = arena_alloc_array(tx->arena, n, sizeof *rooms);
    const char **ids = arena_alloc_array(tx->arena, n, sizeof *ids);
    int64_t *indexes = arena_alloc_array(tx->arena, n, sizeof *indexes);
    int64_t *forwarded = arena_alloc_array(tx->arena, n, sizeof *forwarded);
    int64_t *verified = arena_alloc_array(tx->arena, n, sizeof *verified);
    struct str *data = arena_alloc_array(tx->arena, n, sizeof *data);
    for (size_t i = 0; i < n; i++) {
        rooms[i] = sessions[i].room_id;
        ids[i] = sessions[i].session_id;
        indexes[i] = sessions[i].first_message_index;
        forwarded[i] = sessions[i].forwarded_count;
        verified[i] = sessions[i].is_verified;
        data[i] = sessions[i].session_data;
    }
    return key_backup_read_one(tx, &backup_sessions_put_sql,
                               P(INT(user), INT(version), TEXT_ARRAY(rooms, n), TEXT_ARRAY(ids, n),
                                 INT_ARRAY(indexes, n), INT_ARRAY(forwarded, n),
                                 INT_ARRAY(verified, n), BYTES_ARRAY(data, n)),
                               ret);
}

#define SESSION_COLUMNS                                                                            \
    "room_id, session_id, first_message_index, forwarded_count, is_verified, session_data"

SQL(backup_sessions_all_sql,
    "SELECT " SESSION_COLUMNS " FROM key_backup_sessions WHERE \"user\" = $1 AND version = $2 "
    "AND (room_id, session_id) > ($3, $4) ORDER BY room_id, session_id LIMIT $5")
SQL(backup_sessions_room_sql,
    "SELECT " SESSION_COLUMNS " FROM key_backup_sessions WHERE \"user\" = $1 AND version = $2 "
    "AND room_id = $3 AND session_id > $4 ORDER BY session_id LIMIT $5")
SQL(backup_sessions_one_sql,
    "SELECT " SESSION_COLUMNS " FROM key_backup_sessions WHERE \"user\" = $1 AND version = $2 "
    "AND room_id = $3 AND session_id = $4 LIMIT $5")

const struct err *backup_sessions_read(struct tx *tx, int64_t user, int64_t version,
                                       struct backup_scope scope,
                                       const struct backup_session *after, int limit,
                                       struct rows *ret_rows, struct backup_session *ret,
                                       size_t *ret_n)
{
    struct sql *sql = scope.session_id ? &backup_sessions_one_sql
                      : scope.room_id  ? &backup_sessions_room_sql
                                       : &backup_sessions_all_sql;
    const char *room = scope.room_id ? scope.room_id : after ? after->room_id : "";
    const char *session = scope.session_id ? scope.session_id : after ? after->session_id : "";
    struct rows rows;
    TRY(db_query(tx, sql, P(INT(user), INT(version), TEXT(room), TEXT(session), INT(limit)),
                 &rows));
    for (size_t i = 0; rows_next(&rows); i++)
        ret[i] = (struct backup_session){
            .room_id = row_text(&rows, 0),
            .session_id = row_text(&rows, 1),
            .first_message_index = row_int(&rows, 2),
            .forwarded_count = row_int(&rows, 3),
            .is_verified = row_bool(&rows, 4),
            .session_data = row_bytes(&rows, 5),
        };
    *ret_n = (size_t)rows.n;
    *ret_rows = rows;
    return NULL;
}

SQL(backup_sessions_delete_sql,
    "WITH gone AS (DELETE FROM key_backup_sessions WHERE \"user\" = $1 AND version = $2 "
    " AND ($3::text IS NULL OR room_id = $3) AND ($4::text IS NULL OR session_id = $4) "
    " RETURNING " KEY_BYTES " AS n) "
    "UPDATE key_backups SET count = count - (SELECT count(*) FROM gone), "
    "etag = etag + (SELECT count(*) FROM gone), "
    "bytes = " COUNTED " - (SELECT COALESCE(sum(n), 0) FROM gone) "
    "WHERE \"user\" = $1 AND version = $2 RETURNING " BACKUP_COLUMNS)

const struct err *backup_sessions_delete(struct tx *tx, int64_t user, int64_t version,
                                         struct backup_scope scope, struct key_backup *ret)
{
    return key_backup_read_one(
        tx, &backup_sessions_delete_sql,
        P(INT(user), INT(version), TEXT(scope.room_id), TEXT(scope.session_id)), ret);
}

SQL(key_backups_used_sql, "SELECT COALESCE(sum(bytes), 0)::bigint FROM key_backups "
                          "WHERE \"user\" = $1")

const struct err *key_backups_used_by(struct tx *tx, int64_t user, int64_t *ret_bytes)
{
    return db_one(tx, &key_backups_used_sql, P(INT(user)), NULL, R(INT_OUT(ret_bytes)));
}
