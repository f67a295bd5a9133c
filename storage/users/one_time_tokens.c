#include "storage/users/one_time_tokens.h"

#include "base/clock.h"
#include "storage/users/tokens.h"

SQL(one_time_tokens_make_sql,
    "INSERT INTO passes (token, kind, \"user\", expires_ts) VALUES ($1, $2::int4, $3, $4)")

const struct err *one_time_tokens_make(struct tx *tx, enum one_time_token_kind kind, int64_t user,
                                       int64_t lifetime_ms, const char **ret)
{
    const char *pass = token_make(tx->arena, "");
    struct token_hash hash = token_hash(pass);
    TRY(db_exec(tx, &one_time_tokens_make_sql,
                P(BYTES(token_bytes(&hash)), INT4(kind), INT(user), INT(now_ms() + lifetime_ms)),
                NULL));
    *ret = pass;
    return NULL;
}

SQL(one_time_tokens_look_sql,
    "SELECT \"user\" FROM passes WHERE token = $1 AND kind = $2::int4 AND expires_ts > $3")
SQL(one_time_tokens_take_sql,
    "DELETE FROM passes WHERE token = $1 AND kind = $2::int4 AND expires_ts > $3 "
    "RETURNING \"user\"")

static const struct err *one_time_tokens_find(struct tx *tx, struct sql *sql,
                                              enum one_time_token_kind kind, const char *pass,
                                              bool *ret_found, int64_t *ret_user)
{
    struct token_hash hash = token_hash(pass);
    return db_one(tx, sql, P(BYTES(token_bytes(&hash)), INT4(kind), INT(now_ms())), ret_found,
                  R(INT_OUT(ret_user)));
}

const struct err *one_time_tokens_look(struct tx *tx, enum one_time_token_kind kind,
                                       const char *pass, bool *ret_found, int64_t *ret_user)
{
    return one_time_tokens_find(tx, &one_time_tokens_look_sql, kind, pass, ret_found, ret_user);
}

const struct err *one_time_tokens_take(struct tx *tx, enum one_time_token_kind kind,
                                       const char *pass, bool *ret_found, int64_t *ret_user)
{
    return one_time_tokens_find(tx, &one_time_tokens_take_sql, kind, pass, ret_found, ret_user);
}

SQL(one_time_tokens_purge_sql, "DELETE FROM passes WHERE expires_ts <= $1")

const struct err *one_time_tokens_purge(struct tx *tx)
{
    return db_exec(tx, &one_time_tokens_purge_sql, P(INT(now_ms())), NULL);
}
