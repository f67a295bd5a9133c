#include "storage/servers/server_keys.h"

SQL(server_keys_load_sql, "SELECT server, key_id, public_key, valid_until_ts FROM server_keys "
                          "WHERE server = ANY($1)")

const struct err *server_keys_load(struct tx *tx, const char *const *servers, size_t n,
                                   const struct server_key **ret, size_t *ret_n)
{
    struct server_key one = {0};
    return db_list(tx, &server_keys_load_sql, P(TEXT_ARRAY(servers, n)),
                   R(TEXT_OUT(&one.server), TEXT_OUT(&one.key_id), TEXT_OUT(&one.public_key),
                     INT_OUT(&one.valid_until_ts)),
                   LIST(one, ret, ret_n));
}

SQL(server_key_response_put_sql,
    "INSERT INTO server_key_responses AS old (server, fetched_ts, valid_until_ts, response) "
    "VALUES ($1, $2, $3, $4) ON CONFLICT (server) DO UPDATE SET "
    "fetched_ts = excluded.fetched_ts, valid_until_ts = excluded.valid_until_ts, "
    "response = excluded.response WHERE $5 OR old.valid_until_ts <= excluded.valid_until_ts")
SQL(server_keys_put_sql,
    "INSERT INTO server_keys (server, key_id, public_key, valid_until_ts) "
    "SELECT $1, u.* FROM unnest($2::text[], $3::text[], $4::bigint[]) AS u "
    "ON CONFLICT (server, key_id) DO UPDATE SET public_key = excluded.public_key, "
    "valid_until_ts = excluded.valid_until_ts "
    "WHERE $5 AND ($6 OR server_keys.public_key = excluded.public_key)")

static const struct err *servers_server_keys_put(struct tx *tx, const struct server_key_response *r,
                                                 bool direct, const struct server_key *keys,
                                                 size_t n, bool *ret_newest)
{
    const char **ids = arena_alloc_array(tx->arena, n, sizeof *ids);
    const char **public_keys = arena_alloc_array(tx->arena, n, sizeof *public_keys);
    int64_t *until = arena_alloc_array(tx->arena, n, sizeof *until);
    int64_t newest;
    for (size_t i = 0; i < n; i++) {
        ids[i] = keys[i].key_id;
        public_keys[i] = keys[i].public_key;
        until[i] = keys[i].valid_until_ts;
    }
    TRY(db_exec(tx, &server_key_response_put_sql,
                P(TEXT(r->server), INT(r->fetched_ts), INT(r->valid_until_ts), BYTES(r->json),
                  BOOL(direct)),
                &newest));
    *ret_newest = newest > 0;
    return db_exec(tx, &server_keys_put_sql,
                   P(TEXT(r->server), TEXT_ARRAY(ids, n), TEXT_ARRAY(public_keys, n),
                     INT_ARRAY(until, n), BOOL(newest > 0), BOOL(direct)),
                   NULL);
}

const struct err *server_keys_put(struct tx *tx, const struct server_key_response *r, bool direct,
                                  const struct server_key *keys, size_t n, bool *ret_newest)
{
    TRY(tx_begin(tx));
    const struct err *e = servers_server_keys_put(tx, r, direct, keys, n, ret_newest);
    if (e)
        tx_rollback(tx);
    return e ? e : tx_commit(tx);
}

SQL(server_key_responses_load_sql,
    "SELECT server, fetched_ts, valid_until_ts, response FROM server_key_responses "
    "WHERE server = ANY($1)")

const struct err *server_key_responses_load(struct tx *tx, const char *const *servers, size_t n,
                                            const struct server_key_response **ret, size_t *ret_n)
{
    struct server_key_response one = {0};
    return db_list(tx, &server_key_responses_load_sql, P(TEXT_ARRAY(servers, n)),
                   R(TEXT_OUT(&one.server), INT_OUT(&one.fetched_ts), INT_OUT(&one.valid_until_ts),
                     BYTES_OUT(&one.json)),
                   LIST(one, ret, ret_n));
}
