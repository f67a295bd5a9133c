#include "storage/users/uia_sessions.h"

#include "base/clock.h"
#include "storage/users/tokens.h"

/* Keeps the newest of a user. */
SQL(uia_session_put_sql,
    "WITH old AS (DELETE FROM uia_sessions WHERE session IN (SELECT session FROM uia_sessions "
    " WHERE \"user\" = $6 AND \"user\" <> 0 AND session <> $1 "
    " ORDER BY expires_ts DESC OFFSET $10 - 1)) "
    "INSERT INTO uia_sessions "
    "(session, operation, \"user\", completed, registration_token, expires_ts, flows, params, "
    "answer) VALUES ($1, $2, $6, $3, $4, $5, $7, $8, $9) ON CONFLICT (session) DO UPDATE SET "
    "completed = excluded.completed, registration_token = excluded.registration_token, "
    "expires_ts = excluded.expires_ts, flows = excluded.flows, params = excluded.params, "
    "answer = excluded.answer")

const struct err *uia_session_put(struct tx *tx, const struct uia_session *s, int64_t lifetime_ms)
{
    struct token_hash hash = token_hash(s->id);
    struct str operation = {(const char *)s->operation, SHA256_BYTES};
    return db_exec(tx, &uia_session_put_sql,
                   P(BYTES(token_bytes(&hash)), BYTES(operation),
                     TEXT_ARRAY(s->completed, s->completed_n), TEXT(s->registration_token),
                     INT(now_ms() + lifetime_ms), INT(s->user), TEXT_ARRAY(s->flows, s->flows_n),
                     BYTES(s->params), BYTES(s->answer), INT(UIA_SESSIONS_MAX)),
                   NULL);
}

static const char **read_texts(struct arena *a, const struct rows *rows, int column, size_t *ret_n)
{
    const struct str *list = row_bytes_array(rows, column, ret_n);
    const char **texts = arena_alloc_array(a, *ret_n, sizeof *texts);
    for (size_t i = 0; i < *ret_n; i++)
        texts[i] = list[i].p;
    return texts;
}

SQL(uia_session_get_sql,
    "SELECT completed, registration_token, operation, \"user\", coalesce(flows, '{}'), params, "
    "answer FROM uia_sessions WHERE session = $1 AND expires_ts > $2")

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
    s.completed = read_texts(tx->arena, &rows, 0, &s.completed_n);
    s.flows = read_texts(tx->arena, &rows, 4, &s.flows_n);
    s.params = row_bytes(&rows, 5);
    s.answer = row_bytes(&rows, 6);
    *ret = s;
    return NULL;
}

SQL(uia_session_end_sql, "DELETE FROM uia_sessions WHERE session = $1 AND answer IS NULL")

const struct err *uia_session_end(struct tx *tx, const char *id, bool *ret_ended)
{
    struct token_hash hash = token_hash(id);
    int64_t rows;
    TRY(db_exec(tx, &uia_session_end_sql, P(BYTES(token_bytes(&hash))), &rows));
    *ret_ended = rows == 1;
    return NULL;
}

SQL(uia_sessions_purge_sql, "DELETE FROM uia_sessions WHERE expires_ts <= $1")

const struct err *uia_sessions_purge(struct tx *tx)
{
    return db_exec(tx, &uia_sessions_purge_sql, P(INT(now_ms())), NULL);
}
