#include "storage/devices/one_time_keys.h"

/* Of each device: more than clients keep of the keys that they uploaded. */
enum { CLAIMED_KEYS_KEPT = 5000 };

/* The columns of some keys as arrays. */
struct key_columns {
    const char **algorithms, **key_ids;
    struct str *json;
};

static struct key_columns columns_of(struct arena *a, const struct one_time_key *keys, size_t n)
{
    struct key_columns c = {
        .algorithms = arena_alloc_array(a, n, sizeof *c.algorithms),
        .key_ids = arena_alloc_array(a, n, sizeof *c.key_ids),
        .json = arena_alloc_array(a, n, sizeof *c.json),
    };
    for (size_t i = 0; i < n; i++) {
        c.algorithms[i] = keys[i].algorithm;
        c.key_ids[i] = keys[i].key_id;
        c.json[i] = keys[i].json;
    }
    return c;
}

/* ---- uploading ---- */

#define HALF_HASH(bytes) "substr(sha256(" bytes "), 1, 16)"
#define HASH_OF_NAME(algorithm, id) HALF_HASH("convert_to(" algorithm " || ':' || " id ", 'UTF8')")
#define CLAIMED(condition)                                                                         \
    "FROM claimed_one_time_keys c WHERE c.device = $1 AND c.name = " HASH_OF_NAME(                 \
        "w.algorithm", "w.id") condition

/* A used fallback key cannot become a one-time key; a stored key may be uploaded again. */
SQL(one_time_keys_find_sql,
    "SELECT w.n, COALESCE("
    " (SELECT c.value = " HALF_HASH("w.json") " " CLAIMED(
        "") "), "
            " (SELECT k.json = w.json FROM one_time_keys k WHERE k.device = $1 "
            "  AND k.algorithm = w.algorithm AND k.key_id = w.id), "
            " (SELECT f.json = w.json FROM fallback_keys f WHERE f.device = $1 "
            "  AND f.algorithm = w.algorithm AND f.key_id = w.id)) AS is_same "
            "FROM unnest($2::text[], $3::text[], $4::bytea[]) WITH ORDINALITY AS w(algorithm, id, "
            "json, n)")
SQL(one_time_keys_total_sql, "SELECT count(*) FROM one_time_keys WHERE device = $1")

const struct err *one_time_keys_find(struct tx *tx, int64_t device, const struct one_time_key *keys,
                                     size_t n, const enum one_time_key_found **ret,
                                     int64_t *ret_total)
{
    struct key_columns c = columns_of(tx->arena, keys, n);
    const struct db_param which[] = {INT(device), TEXT_ARRAY(c.algorithms, n),
                                     TEXT_ARRAY(c.key_ids, n), BYTES_ARRAY(c.json, n)};
    struct rows rows, total;
    TRY(db_query_many(tx,
                      (const struct db_batch_query[]){
                          {&one_time_keys_find_sql, which, 4, &rows},
                          {&one_time_keys_total_sql, which, 1, &total},
                      },
                      2));
    enum one_time_key_found *found = arena_alloc_array(tx->arena, n, sizeof *found);
    while (rows_next(&rows))
        if (!row_is_null(&rows, 1))
            found[row_int(&rows, 0) - 1] =
                row_bool(&rows, 1) ? ONE_TIME_KEY_IS_SAME : ONE_TIME_KEY_DIFFERS;
    rows_next(&total);
    *ret = found;
    *ret_total = row_int(&total, 0);
    return NULL;
}

/* By value: vodozemac counts fallback keys from 0, as it counts one-time keys. */
SQL(fallback_key_is_free_sql,
    "SELECT NOT EXISTS (SELECT " CLAIMED(" AND NOT c.is_fallback AND c.value = " HALF_HASH(
        "w.json")) ") "
                   "AND NOT EXISTS (SELECT FROM one_time_keys k WHERE k.device = $1 "
                   " AND k.algorithm = w.algorithm AND k.key_id = w.id AND k.json = w.json) "
                   "FROM (SELECT $2::text AS algorithm, $3::text AS id, $4::bytea AS json) w")

const struct err *fallback_key_is_free(struct tx *tx, int64_t device,
                                       const struct one_time_key *key, bool *ret)
{
    return db_one(tx, &fallback_key_is_free_sql,
                  P(INT(device), TEXT(key->algorithm), TEXT(key->key_id), BYTES(key->json)), NULL,
                  R(BOOL_OUT(ret)));
}

SQL(one_time_keys_write_sql,
    "INSERT INTO one_time_keys (device, algorithm, key_id, json) "
    "SELECT $1, k.algorithm, k.id, k.json "
    "FROM unnest($2::text[], $3::text[], $4::bytea[]) WITH ORDINALITY AS k(algorithm, id, json, n) "
    "ORDER BY k.n ON CONFLICT (device, algorithm, key_id) DO NOTHING")

SQL(claimed_keys_prune_sql,
    "DELETE FROM claimed_one_time_keys WHERE device = $1 AND number <= (SELECT number "
    "FROM claimed_one_time_keys WHERE device = $1 ORDER BY number DESC OFFSET $2 LIMIT 1)")

void one_time_keys_write(struct write *w, int64_t device, const struct one_time_key *keys, size_t n)
{
    struct key_columns c = columns_of(write_arena(w), keys, n);
    write_statement(w, &one_time_keys_write_sql,
                    P(INT(device), TEXT_ARRAY(c.algorithms, n), TEXT_ARRAY(c.key_ids, n),
                      BYTES_ARRAY(c.json, n)));
    write_statement(w, &claimed_keys_prune_sql, P(INT(device), INT(CLAIMED_KEYS_KEPT)));
}

SQL(fallback_key_note_sql,
    "INSERT INTO claimed_one_time_keys (device, name, value, number, is_fallback) "
    "SELECT device, " HASH_OF_NAME("algorithm", "key_id") ", " HALF_HASH(
        "json") ", "
                "nextval('one_time_keys_number_seq'), true FROM fallback_keys "
                "WHERE device = $1 AND algorithm = $2 AND key_id <> $3 AND used ON CONFLICT DO "
                "NOTHING")
SQL(fallback_key_write_sql,
    "INSERT INTO fallback_keys (device, algorithm, key_id, json) VALUES ($1, $2, $3, $4) "
    "ON CONFLICT (device, algorithm) DO UPDATE "
    "SET key_id = excluded.key_id, json = excluded.json, used = false "
    "WHERE (fallback_keys.key_id, fallback_keys.json) <> (excluded.key_id, excluded.json)")

void fallback_key_write(struct write *w, int64_t device, const struct one_time_key *key)
{
    write_statement(w, &fallback_key_note_sql,
                    P(INT(device), TEXT(key->algorithm), TEXT(key->key_id)));
    write_statement(w, &fallback_key_write_sql,
                    P(INT(device), TEXT(key->algorithm), TEXT(key->key_id), BYTES(key->json)));
}

SQL(one_time_keys_delete_sql, "DELETE FROM one_time_keys WHERE device = $1")
SQL(fallback_keys_delete_sql, "DELETE FROM fallback_keys WHERE device = $1")
SQL(claimed_keys_delete_sql, "DELETE FROM claimed_one_time_keys WHERE device = $1")

void one_time_keys_delete(struct write *w, int64_t device)
{
    write_statement(w, &one_time_keys_delete_sql, P(INT(device)));
    write_statement(w, &fallback_keys_delete_sql, P(INT(device)));
    write_statement(w, &claimed_keys_delete_sql, P(INT(device)));
}

SQL(device_keys_change_sql, "INSERT INTO device_key_changes (device, position) "
                            "SELECT u.device, (SELECT position FROM log_head) - u.back "
                            "FROM unnest($1::bigint[], $2::bigint[]) AS u(device, back) "
                            "ON CONFLICT (device) DO UPDATE SET position = excluded.position")
static const struct batch_table device_keys_change_table = {
    .sql = &device_keys_change_sql,
    .columns = {DB_INT8, DB_POSITION},
    .columns_n = 2,
    .order = BATCH_OTHER,
    .key_columns = 1,
};

void device_keys_change_write(struct write *w, int64_t user, int64_t device, const char *device_id)
{
    int at = write_change(
        w,
        &(struct change){.kind = CHANGE_DEVICE_KEYS, .user = user, .device.device_id = device_id});
    write_row(w, &device_keys_change_table, P(INT(device), POSITION(at)));
}

/* ---- claiming ---- */

/* Keys locked by other claims are skipped, so that no claim waits and no two get the same key. An
 * id that was given out before, and was stored again by an upload concurrent with that claim, is
 * dropped. */
SQL(one_time_keys_claim_sql,
    "WITH picked AS (SELECT w.n, d.\"user\", d.id AS device, w.algorithm, k.number "
    " FROM unnest($1::text[], $2::text[], $3::text[]) WITH ORDINALITY "
    " AS w(user_id, device_id, algorithm, n) JOIN users u ON u.user_id = w.user_id "
    " JOIN devices d ON d.\"user\" = u.id AND d.device_id = w.device_id "
    " CROSS JOIN LATERAL (SELECT number FROM one_time_keys o WHERE o.device = d.id "
    "  AND o.algorithm = w.algorithm ORDER BY number LIMIT 1 FOR UPDATE SKIP LOCKED) k), "
    "gone AS (DELETE FROM one_time_keys o USING picked p WHERE o.device = p.device "
    " AND o.algorithm = p.algorithm AND o.number = p.number "
    " RETURNING p.n, p.\"user\", p.device, o.algorithm, o.number, o.key_id, o.json), "
    "noted AS (INSERT INTO claimed_one_time_keys (device, name, value, number, is_fallback) "
    " SELECT device, " HASH_OF_NAME("algorithm", "key_id") ", " HALF_HASH(
        "json") ", number, false "
                " FROM gone ON CONFLICT DO NOTHING RETURNING device, number) "
                "SELECT g.n, g.\"user\", g.device, g.key_id, g.json, true, n.number IS NULL FROM "
                "gone g "
                "LEFT JOIN noted n ON n.device = g.device AND n.number = g.number")
SQL(fallback_keys_read_sql,
    "SELECT w.n, d.\"user\", d.id, f.key_id, f.json, NOT f.used, false "
    "FROM unnest($1::text[], $2::text[], $3::text[]) WITH ORDINALITY "
    "AS w(user_id, device_id, algorithm, n) JOIN users u ON u.user_id = w.user_id "
    "JOIN devices d ON d.\"user\" = u.id AND d.device_id = w.device_id "
    "JOIN fallback_keys f ON f.device = d.id AND f.algorithm = w.algorithm")
SQL(fallback_key_used_sql, "UPDATE fallback_keys SET used = true "
                           "WHERE device = $1 AND algorithm = $2 AND key_id = $3")

/* Appends what the statement finds for the claims to keys[], *keys_n, and marks those claims.
 * *ret_again: something was found and dropped. */
static const struct err *run_claims(struct tx *tx, struct sql *sql, const struct key_claim *claims,
                                    size_t n, bool *served, struct claimed_key *keys,
                                    size_t *keys_n, bool *ret_again)
{
    *ret_again = false;
    const char **users = arena_alloc_array(tx->arena, n, sizeof *users);
    const char **devices = arena_alloc_array(tx->arena, n, sizeof *devices);
    const char **algorithms = arena_alloc_array(tx->arena, n, sizeof *algorithms);
    size_t *origin = arena_alloc_array(tx->arena, n, sizeof *origin);
    size_t open = 0;
    for (size_t i = 0; i < n; i++) {
        if (served[i])
            continue;
        users[open] = claims[i].user_id;
        devices[open] = claims[i].device_id;
        algorithms[open] = claims[i].algorithm;
        origin[open++] = i;
    }
    if (!open)
        return NULL;
    struct rows rows;
    TRY(db_query(
        tx, sql,
        P(TEXT_ARRAY(users, open), TEXT_ARRAY(devices, open), TEXT_ARRAY(algorithms, open)),
        &rows));
    while (rows_next(&rows)) {
        size_t i = origin[row_int(&rows, 0) - 1];
        if (row_bool(&rows, 6)) {
            *ret_again = true;
            continue;
        }
        served[i] = true;
        keys[(*keys_n)++] = (struct claimed_key){
            .user = row_int(&rows, 1),
            .device = row_int(&rows, 2),
            .user_id = claims[i].user_id,
            .device_id = claims[i].device_id,
            .key = {claims[i].algorithm, row_text(&rows, 3), row_bytes(&rows, 4)},
            .changes_counts = row_bool(&rows, 5),
        };
    }
    return NULL;
}

const struct err *one_time_keys_claim(struct tx *tx, const struct key_claim *claims, size_t n,
                                      const struct claimed_key **ret, size_t *ret_n)
{
    struct claimed_key *keys = arena_alloc_array(tx->arena, n, sizeof *keys);
    bool *served = arena_alloc_array(tx->arena, n, sizeof *served);
    size_t keys_n = 0;
    bool again;
    do
        TRY(run_claims(tx, &one_time_keys_claim_sql, claims, n, served, keys, &keys_n, &again));
    while (again);
    size_t fallback = keys_n;
    TRY(run_claims(tx, &fallback_keys_read_sql, claims, n, served, keys, &keys_n, &again));
    for (; fallback < keys_n; fallback++) {
        const struct claimed_key *k = &keys[fallback];
        if (k->changes_counts)
            TRY(db_exec(tx, &fallback_key_used_sql,
                        P(INT(k->device), TEXT(k->key.algorithm), TEXT(k->key.key_id)), NULL));
    }
    *ret = keys;
    *ret_n = keys_n;
    return NULL;
}
