#include "storage/uia_sessions.h"

#include "base/clock.h"
#include "storage/tokens.h"

SQL(uia_session_put_sql,
    "INSERT INTO uia_sessions "
    "(session, operation, \"user\", completed, registration_token, expires_ts) "
    "VALUES ($1, $2, $6, $3, $4, $5) ON CONFLICT (session) DO UPDATE SET "
    "completed = excluded.completed, registration_token = excluded.registration_token, "
    "expires_ts = excluded.expires_ts")

const struct err *uia_session_put(struct tx *tx, const struct uia_session *s, int64_t lifetime_ms)
{
    struct token_hash hash = token_hash(s->id);
    struct str operation = {(const char *)s->operation, SHA256_BYTES};
    return db_exec(tx, &uia_session_put_sql,
                   P(BYTES(token_bytes(&hash)), BYTES(operation),
                     TEXT_ARRAY(s->completed, s->completed_n), TEXT(s->registration_token),
                     INT(now_ms() + lifetime_ms), INT(s->user)),
                   NULL);
}

SQL(uia_session_get_sql, "SELECT completed, registration_token, operation, \"user\" "
                         "FROM uia_sessions WHERE session = $1 AND expires_ts > $2")

const struct err *uia_session_get(struct tx *tx, const char *id, bool *ret_found,
                                  struct uia_session *ret)
{
    struct token_hash hash = token_hash(id);
    struct rows rows;
    TRY(db_query(tx, &uia_session_get_sql, P(BYTES(token_bytes(&hash)), INT(now_ms())), &rows));
    *ret_found = rows_next(&rows);
    if (!*ret_found)
        return NULL;
    struct uia_session s = {
        .id = id, .registration_token = row_text(&rows, 1), .user = row_int(&rows, 3)};
    struct str operation = row_bytes(&rows, 2);
    if (operation.n != sizeof s.operation)
        return err_internal("an operation of %zu bytes", operation.n);
    memcpy(s.operation, operation.p, operation.n);
    const struct str *completed = row_bytes_array(&rows, 0, &s.completed_n);
    s.completed = arena_alloc_array(tx->arena, s.completed_n, sizeof *s.completed);
    for (size_t i = 0; i < s.completed_n; i++)
        s.completed[i] = completed[i].p;
    *ret = s;
    return NULL;
}

SQL(uia_session_end_sql, "DELETE FROM uia_sessions WHERE session = $1")

const struct err *uia_session_end(struct tx *tx, const char *id)
{
    struct token_hash hash = token_hash(id);
    return db_exec(tx, &uia_session_end_sql, P(BYTES(token_bytes(&hash))), NULL);
}

SQL(uia_sessions_purge_sql, "DELETE FROM uia_sessions WHERE expires_ts <= $1")

const struct err *uia_sessions_purge(struct tx *tx)
{
    return db_exec(tx, &uia_sessions_purge_sql, P(INT(now_ms())), NULL);
}
