#include "storage/users/tokens.h"

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
                       "UPDATE refresh_tokens SET ended_ts = $3 "
                       "WHERE device = $2 AND access_token <> $1 AND ended_ts IS NULL")

const struct err *tokens_settle(struct tx *tx, struct str hash, int64_t device)
{
    return db_exec(tx, &tokens_settle_sql, P(BYTES(hash), INT(device), INT(now_ms())), NULL);
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

/* ---- refreshing ---- */

SQL(tokens_find_refresh_sql,
    "SELECT t.\"user\", t.device, u.user_id, a.locked, t.ended_ts IS NOT NULL "
    "FROM refresh_tokens t JOIN users u ON u.id = t.\"user\" "
    "JOIN accounts a ON a.\"user\" = t.\"user\" WHERE t.token = $1 AND NOT a.deactivated")

const struct err *tokens_find_refresh(struct tx *tx, struct str hash, bool *ret_found,
                                      struct refresh_owner *ret)
{
    struct refresh_owner o;
    TRY(db_one(tx, &tokens_find_refresh_sql, P(BYTES(hash)), ret_found,
               R(INT_OUT(&o.user), INT_OUT(&o.device), TEXT_OUT(&o.user_id), BOOL_OUT(&o.locked),
                 BOOL_OUT(&o.has_ended))));
    *ret = o;
    return NULL;
}

SQL(tokens_refresh_secret_sql, "UPDATE refresh_tokens SET secret = coalesce(secret, $2) "
                               "WHERE token = $1 AND ended_ts IS NULL RETURNING secret")

/* The secret from which the successors of this token are made: the same at each repetition. */
static const struct err *find_secret(struct tx *tx, struct str hash, bool *ret_found,
                                     struct str *ret)
{
    struct str fresh = str_of(id_random(tx->arena, TOKEN_LETTERS));
    return db_one(tx, &tokens_refresh_secret_sql, P(BYTES(hash), BYTES(fresh)), ret_found,
                  R(BYTES_OUT(ret)));
}

/* The new token can be derived neither from the database alone nor from the old token alone. */
static const char *make_successor(struct arena *a, const char *prefix, struct str secret,
                                  const char *token)
{
    unsigned char hash[SHA256_BYTES];
    const struct str parts[] = {secret, str_of(prefix), str_of(token)};
    sha256_parts(parts, sizeof parts / sizeof *parts, hash);
    return arena_printf(a, "%s%s", prefix, base64_encode(a, BASE64_URL, hash, sizeof hash));
}

/* The used token becomes the device's older one, and the one before it ends. Caches need not be
 * invalidated for an access token that expires. The newest hundred ended tokens are kept. */
SQL(tokens_refresh_sql,
    "WITH used AS (SELECT token, device, \"user\", access_token FROM refresh_tokens "
    "WHERE token = $1 AND ended_ts IS NULL FOR UPDATE), "
    "others AS (UPDATE refresh_tokens r SET ended_ts = $5 FROM used "
    "WHERE r.device = used.device AND r.token <> used.token AND r.token <> $4 "
    "AND r.ended_ts IS NULL), "
    "forgotten AS (DELETE FROM refresh_tokens WHERE token IN (SELECT r.token "
    "FROM refresh_tokens r JOIN used ON r.device = used.device WHERE r.ended_ts IS NOT NULL "
    "ORDER BY r.ended_ts DESC OFFSET 100)), "
    "older AS (DELETE FROM access_tokens a USING used "
    "WHERE a.device = used.device AND a.token <> used.access_token AND a.token <> $2), "
    "refresh AS (INSERT INTO refresh_tokens (token, device, \"user\", access_token) "
    "SELECT $4, device, \"user\", $2 FROM used ON CONFLICT (token) DO NOTHING) "
    "INSERT INTO access_tokens (token, device, \"user\", expires_ts, fresh) "
    "SELECT $2, device, \"user\", $3, true FROM used "
    "ON CONFLICT (token) DO UPDATE SET expires_ts = excluded.expires_ts")

const struct err *tokens_refresh(struct tx *tx, const char *token, int64_t expires_ts,
                                 bool *ret_done, struct token_pair *ret)
{
    struct token_hash hash = token_hash(token);
    struct str secret;
    bool found;
    int64_t rows;
    *ret_done = false;
    TRY(find_secret(tx, token_bytes(&hash), &found, &secret));
    if (!found)
        return NULL;
    struct token_pair next = {
        .access = make_successor(tx->arena, TOKEN_ACCESS_PREFIX, secret, token),
        .refresh = make_successor(tx->arena, TOKEN_REFRESH_PREFIX, secret, token),
        .expires_ts = expires_ts};
    struct token_hash access = token_hash(next.access), refresh = token_hash(next.refresh);
    TRY(db_exec(tx, &tokens_refresh_sql,
                P(BYTES(token_bytes(&hash)), BYTES(token_bytes(&access)), INT(next.expires_ts),
                  BYTES(token_bytes(&refresh)), INT(now_ms())),
                &rows));
    *ret_done = rows == 1;
    *ret = next;
    return NULL;
}
