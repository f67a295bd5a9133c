#include "storage/tokens.h"

#include "base/clock.h"
#include "matrix/id.h"

enum { TOKEN_LETTERS = 40 }; /* 228 bits */

const char *token_make(struct arena *a, const char *prefix)
{
    return arena_printf(a, "%s%s", prefix, id_random(a, TOKEN_LETTERS));
}

/* ---- sessions ---- */

SQL(tokens_find_sql,
    "SELECT t.\"user\", t.device, u.user_id, d.device_id, t.expires_ts, t.fresh, a.is_admin, "
    "a.is_guest, a.locked, a.suspended, d.last_seen_ts "
    "FROM access_tokens t JOIN accounts a ON a.\"user\" = t.\"user\" "
    "JOIN users u ON u.id = t.\"user\" JOIN devices d ON d.id = t.device "
    "WHERE t.token = $1 AND NOT a.deactivated")

const struct err *tokens_find(struct tx *tx, struct str hash, bool *ret_found,
                              struct token_owner *ret)
{
    struct token_owner o;
    TRY(db_one(tx, &tokens_find_sql, P(BYTES(hash)), ret_found,
               R(INT_OUT(&o.user), INT_OUT(&o.device), TEXT_OUT(&o.user_id), TEXT_OUT(&o.device_id),
                 INT_OUT(&o.expires_ts), BOOL_OUT(&o.fresh), BOOL_OUT(&o.is_admin),
                 BOOL_OUT(&o.is_guest), BOOL_OUT(&o.locked), BOOL_OUT(&o.suspended),
                 INT_OUT(&o.last_seen_ts))));
    *ret = o;
    return NULL;
}

SQL(tokens_settle_sql, "WITH used AS (UPDATE access_tokens SET fresh = false WHERE token = $1) "
                       "DELETE FROM refresh_tokens WHERE device = $2 AND access_token <> $1")

const struct err *tokens_settle(struct tx *tx, struct str hash, int64_t device)
{
    return db_exec(tx, &tokens_settle_sql, P(BYTES(hash), INT(device)), NULL);
}

SQL(tokens_give_sql,
    "WITH refresh AS (INSERT INTO refresh_tokens (token, device, \"user\", access_token) "
    "SELECT $5, $2, $1, $3 WHERE $5::bytea IS NOT NULL) "
    "INSERT INTO access_tokens (token, device, \"user\", expires_ts) VALUES ($3, $2, $1, $4)")

const struct err *tokens_give(struct tx *tx, int64_t user, int64_t device,
                              const struct token_pair *pair)
{
    struct token_hash access = token_hash(pair->access), refresh = {{0}};
    if (pair->refresh)
        refresh = token_hash(pair->refresh);
    struct str refresh_bytes = pair->refresh ? token_bytes(&refresh) : (struct str){0};
    return db_exec(tx, &tokens_give_sql,
                   P(INT(user), INT(device), BYTES(token_bytes(&access)), INT(pair->expires_ts),
                     BYTES(refresh_bytes)),
                   NULL);
}

SQL(tokens_end_access_sql, "DELETE FROM access_tokens WHERE device = $1")
SQL(tokens_end_refresh_sql, "DELETE FROM refresh_tokens WHERE device = $1")

void tokens_write_end(struct write *w, int64_t device)
{
    write_statement(w, &tokens_end_access_sql, P(INT(device)));
    write_statement(w, &tokens_end_refresh_sql, P(INT(device)));
}

SQL(tokens_find_refresh_sql,
    "SELECT t.\"user\", t.device, u.user_id, a.locked "
    "FROM refresh_tokens t JOIN users u ON u.id = t.\"user\" "
    "JOIN accounts a ON a.\"user\" = t.\"user\" WHERE t.token = $1 AND NOT a.deactivated")

const struct err *tokens_find_refresh(struct tx *tx, struct str hash, bool *ret_found,
                                      struct refresh_owner *ret)
{
    struct refresh_owner o;
    TRY(db_one(tx, &tokens_find_refresh_sql, P(BYTES(hash)), ret_found,
               R(INT_OUT(&o.user), INT_OUT(&o.device), TEXT_OUT(&o.user_id), BOOL_OUT(&o.locked))));
    *ret = o;
    return NULL;
}

/* The token that is used becomes the device's older one: the one before it ends, and so does one
 * that an earlier refresh gave out and that was never used. An access token that runs out is not
 * worth telling the caches of. */
SQL(tokens_refresh_sql,
    "WITH used AS (SELECT token, device, \"user\", access_token FROM refresh_tokens "
    "WHERE token = $1 FOR UPDATE), "
    "others AS (DELETE FROM refresh_tokens r USING used "
    "WHERE r.device = used.device AND r.token <> used.token), "
    "older AS (DELETE FROM access_tokens a USING used "
    "WHERE a.device = used.device AND a.token <> used.access_token), "
    "access AS (INSERT INTO access_tokens (token, device, \"user\", expires_ts, fresh) "
    "SELECT $2, device, \"user\", $3, true FROM used) "
    "INSERT INTO refresh_tokens (token, device, \"user\", access_token) "
    "SELECT $4, device, \"user\", $2 FROM used")

const struct err *tokens_refresh(struct tx *tx, struct str hash, const struct token_pair *next,
                                 bool *ret_done)
{
    struct token_hash access = token_hash(next->access), refresh = token_hash(next->refresh);
    int64_t rows;
    TRY(db_exec(tx, &tokens_refresh_sql,
                P(BYTES(hash), BYTES(token_bytes(&access)), INT(next->expires_ts),
                  BYTES(token_bytes(&refresh))),
                &rows));
    *ret_done = rows == 1;
    return NULL;
}
