#include "storage/media.h"

SQL(media_find_sql, "SELECT coalesce(uploader, 0), sha256, bytes, content_type, file_name, "
                    "created_ts, expires_ts, authenticated, accessed_ts FROM media "
                    "WHERE server = $1 AND media_id = $2")

const struct err *media_find(struct tx *tx, const char *server, const char *media_id,
                             bool *ret_found, struct media *ret)
{
    struct media m = {.server = server, .media_id = media_id};
    TRY(db_one(tx, &media_find_sql, P(TEXT(server), TEXT(media_id)), ret_found,
               R(INT_OUT(&m.uploader), BYTES_OUT(&m.sha256), INT_OUT(&m.bytes),
                 TEXT_OUT(&m.content_type), TEXT_OUT(&m.file_name), INT_OUT(&m.created_ts),
                 INT_OUT(&m.expires_ts), BOOL_OUT(&m.authenticated), INT_OUT(&m.accessed_ts))));
    *ret = m;
    return NULL;
}

/* The first number separates these locks from advisory locks of other kinds. */
SQL(media_lock_sql, "SELECT pg_advisory_xact_lock(1835297121, $1::bigint::int)")

const struct err *media_lock_content(struct tx *tx, struct str sha256)
{
    int32_t key;
    memcpy(&key, sha256.p, sizeof key);
    struct rows rows;
    return db_query(tx, &media_lock_sql, P(INT(key)), &rows);
}

SQL(media_has_content_sql, "SELECT EXISTS (SELECT FROM media WHERE sha256 = $1)")

const struct err *media_has_content(struct tx *tx, struct str sha256, bool *ret)
{
    return db_one(tx, &media_has_content_sql, P(BYTES(sha256)), NULL, R(BOOL_OUT(ret)));
}

/* $1: user, $2: bytes, $3: quota. Returns no row if the quota would be exceeded. */
#define CHARGE                                                                                     \
    "WITH charge AS (INSERT INTO media_usage AS u (\"user\", bytes) "                              \
    "SELECT $1::bigint, $2::bigint WHERE $3::bigint = 0 OR $2 <= $3 "                              \
    "ON CONFLICT (\"user\") DO UPDATE SET bytes = u.bytes + excluded.bytes "                       \
    "WHERE $3 = 0 OR u.bytes + excluded.bytes <= $3 RETURNING 1) "

static const struct err *media_run(struct tx *tx, struct sql *sql, const struct media *m,
                                   int64_t quota, bool *ret_done)
{
    int64_t rows;
    TRY(db_exec(tx, sql,
                P(INT(m->uploader), INT(m->bytes), INT(quota), TEXT(m->server), TEXT(m->media_id),
                  BYTES(m->sha256), TEXT(m->content_type), TEXT(m->file_name), INT(m->created_ts),
                  BOOL(m->authenticated)),
                &rows));
    *ret_done = rows == 1;
    return NULL;
}

SQL(media_add_sql, CHARGE "INSERT INTO media (uploader, bytes, server, media_id, sha256, "
                          "content_type, file_name, created_ts, authenticated) "
                          "SELECT $1, $2, $4::text, $5::text, $6::bytea, $7::text, $8::text, "
                          "$9::bigint, $10::boolean FROM charge")

const struct err *media_add(struct tx *tx, const struct media *m, int64_t quota, bool *ret_done)
{
    return media_run(tx, &media_add_sql, m, quota, ret_done);
}

SQL(media_add_remote_sql,
    "WITH added AS (INSERT INTO media (server, media_id, sha256, bytes, content_type, file_name, "
    " created_ts, authenticated, accessed_ts) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $7) "
    " ON CONFLICT DO NOTHING RETURNING bytes) "
    "INSERT INTO media_usage AS u (\"user\", bytes) SELECT 0, bytes FROM added "
    "ON CONFLICT (\"user\") DO UPDATE SET bytes = u.bytes + excluded.bytes")

const struct err *media_add_remote(struct tx *tx, const struct media *m, int64_t quota,
                                   bool *ret_done)
{
    int64_t rows;
    TRY(db_exec(tx, &media_add_remote_sql,
                P(TEXT(m->server), TEXT(m->media_id), BYTES(m->sha256), INT(m->bytes),
                  TEXT(m->content_type), TEXT(m->file_name), INT(m->created_ts),
                  BOOL(m->authenticated)),
                &rows));
    *ret_done = rows == 1;
    return NULL;
}

SQL(media_complete_sql,
    CHARGE "UPDATE media SET bytes = $2, sha256 = $6, content_type = $7, file_name = $8, "
           "created_ts = $9, authenticated = $10 FROM charge "
           "WHERE server = $4 AND media_id = $5 AND uploader = $1 AND sha256 IS NULL")

const struct err *media_complete(struct tx *tx, const struct media *m, int64_t quota,
                                 bool *ret_done)
{
    return media_run(tx, &media_complete_sql, m, quota, ret_done);
}

SQL(media_expire_sql, "DELETE FROM media WHERE uploader = $1 AND sha256 IS NULL "
                      "AND expires_ts <= $2")
SQL(media_announce_sql,
    "INSERT INTO media (uploader, server, media_id, created_ts, expires_ts, authenticated) "
    "SELECT $1::bigint, $2::text, $3::text, $4::bigint, $5::bigint, $6::boolean "
    "WHERE (SELECT count(*) FROM media WHERE uploader = $1 AND sha256 IS NULL) < $7")
SQL(media_next_expiry_sql, "SELECT min(expires_ts) FROM media WHERE uploader = $1 "
                           "AND sha256 IS NULL")

const struct err *media_announce(struct tx *tx, const struct media *m, int64_t most,
                                 int64_t *ret_until)
{
    int64_t rows, until = 0;
    TRY(db_exec(tx, &media_expire_sql, P(INT(m->uploader), INT(m->created_ts)), NULL));
    TRY(db_exec(tx, &media_announce_sql,
                P(INT(m->uploader), TEXT(m->server), TEXT(m->media_id), INT(m->created_ts),
                  INT(m->expires_ts), BOOL(m->authenticated), INT(most)),
                &rows));
    if (rows == 0)
        TRY(db_one(tx, &media_next_expiry_sql, P(INT(m->uploader)), NULL, R(INT_OUT(&until))));
    *ret_until = until;
    return NULL;
}

SQL(media_used_by_sql, "SELECT bytes FROM media_usage WHERE \"user\" = $1")

const struct err *media_used_by(struct tx *tx, int64_t user, int64_t *ret_bytes)
{
    return db_one(tx, &media_used_by_sql, P(INT(user)), NULL, R(INT_OUT(ret_bytes)));
}

/* ---- media cached from other servers ---- */

SQL(media_touch_sql, "UPDATE media SET accessed_ts = $3 WHERE server = $1 AND media_id = $2 "
                     "AND accessed_ts < $3")

const struct err *media_touch(struct tx *tx, const struct media *m, int64_t now)
{
    return db_exec(tx, &media_touch_sql, P(TEXT(m->server), TEXT(m->media_id), INT(now)), NULL);
}

SQL(media_oldest_remote_sql, "SELECT server, media_id, sha256, bytes, accessed_ts FROM media "
                             "WHERE uploader IS NULL AND accessed_ts < $1 "
                             "ORDER BY accessed_ts LIMIT $2")

const struct err *media_oldest_remote(struct tx *tx, int64_t accessed_before, int64_t limit,
                                      const struct media **ret, size_t *ret_n)
{
    struct media one = {0};
    return db_list(tx, &media_oldest_remote_sql, P(INT(accessed_before), INT(limit)),
                   R(TEXT_OUT(&one.server), TEXT_OUT(&one.media_id), BYTES_OUT(&one.sha256),
                     INT_OUT(&one.bytes), INT_OUT(&one.accessed_ts)),
                   LIST(one, ret, ret_n));
}

SQL(media_remove_remote_sql,
    "WITH gone AS (DELETE FROM media WHERE server = $1 AND media_id = $2 AND uploader IS NULL "
    " AND accessed_ts <= $3 RETURNING bytes) "
    "UPDATE media_usage u SET bytes = u.bytes - g.bytes FROM gone g WHERE u.\"user\" = 0")

const struct err *media_remove_remote(struct tx *tx, const struct media *m, bool *ret_done)
{
    int64_t rows;
    TRY(db_exec(tx, &media_remove_remote_sql,
                P(TEXT(m->server), TEXT(m->media_id), INT(m->accessed_ts)), &rows));
    *ret_done = rows == 1;
    return NULL;
}
