#include "storage/users/registration_tokens.h"

#include "base/clock.h"

/* Appendices, "Opaque Identifiers". */
bool registration_token_is_wellformed(struct str token)
{
    if (token.n == 0 || token.n > REGISTRATION_TOKEN_MAX)
        return false;
    for (size_t i = 0; i < token.n; i++) {
        char c = token.p[i];
        bool well = (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') ||
                    c == '.' || c == '_' || c == '~' || c == '-';
        if (!well)
            return false;
    }
    return true;
}

bool registration_token_is_usable(const struct registration_token *t, int64_t now)
{
    return (t->uses_allowed < 0 || t->completed < t->uses_allowed) &&
           (t->expires_ts == 0 || t->expires_ts > now);
}

#define COLUMNS                                                                                    \
    "token, coalesce(uses_allowed, -1), completed, coalesce(expires_ts, 0) "                       \
    "FROM registration_tokens "

SQL(registration_token_get_sql, "SELECT " COLUMNS "WHERE token = $1")

const struct err *registration_token_get(struct tx *tx, const char *token, bool *ret_found,
                                         struct registration_token *ret)
{
    struct registration_token t;
    TRY(db_one(tx, &registration_token_get_sql, P(TEXT(token)), ret_found,
               R(TEXT_OUT(&t.token), INT_OUT(&t.uses_allowed), INT_OUT(&t.completed),
                 INT_OUT(&t.expires_ts))));
    *ret = t;
    return NULL;
}

SQL(registration_tokens_list_sql, "SELECT " COLUMNS "ORDER BY token LIMIT $1")

const struct err *registration_tokens_list(struct tx *tx, const struct registration_token **ret,
                                           size_t *ret_n)
{
    struct registration_token one = {0};
    return db_list(tx, &registration_tokens_list_sql, P(INT(REGISTRATION_TOKENS_LISTED_MAX)),
                   R(TEXT_OUT(&one.token), INT_OUT(&one.uses_allowed), INT_OUT(&one.completed),
                     INT_OUT(&one.expires_ts)),
                   LIST(one, ret, ret_n));
}

static const struct err *registration_tokens_run(struct tx *tx, struct sql *sql,
                                                 const struct registration_token *t, bool *ret_done)
{
    int64_t rows;
    TRY(db_exec(tx, sql,
                P(TEXT(t->token), INT_OR_NULL(t->uses_allowed, t->uses_allowed < 0),
                  INT_OR_NULL(t->expires_ts, t->expires_ts == 0)),
                &rows));
    *ret_done = rows == 1;
    return NULL;
}

SQL(registration_token_add_sql,
    "INSERT INTO registration_tokens (token, uses_allowed, expires_ts) VALUES ($1, $2, $3) "
    "ON CONFLICT DO NOTHING")
SQL(registration_token_change_sql,
    "UPDATE registration_tokens SET uses_allowed = $2, expires_ts = $3 WHERE token = $1")

const struct err *registration_token_add(struct tx *tx, const struct registration_token *t,
                                         bool *ret_done)
{
    return registration_tokens_run(tx, &registration_token_add_sql, t, ret_done);
}

const struct err *registration_token_change(struct tx *tx, const struct registration_token *t,
                                            bool *ret_done)
{
    return registration_tokens_run(tx, &registration_token_change_sql, t, ret_done);
}

SQL(registration_token_remove_sql, "DELETE FROM registration_tokens WHERE token = $1")

const struct err *registration_token_remove(struct tx *tx, const char *token, bool *ret_done)
{
    int64_t rows;
    TRY(db_exec(tx, &registration_token_remove_sql, P(TEXT(token)), &rows));
    *ret_done = rows == 1;
    return NULL;
}

SQL(registration_token_use_sql,
    "UPDATE registration_tokens SET completed = completed + 1 WHERE token = $1 "
    "AND (uses_allowed IS NULL OR completed < uses_allowed) "
    "AND (expires_ts IS NULL OR expires_ts > $2)")

const struct err *registration_token_use(struct tx *tx, const char *token, bool *ret_done)
{
    int64_t rows;
    TRY(db_exec(tx, &registration_token_use_sql, P(TEXT(token), INT(now_ms())), &rows));
    *ret_done = rows == 1;
    return NULL;
}
