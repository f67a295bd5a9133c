#include "storage/devices/e2ee_keys.h"

#include "storage/devices/key_backup.h"

/* ---- reading ---- */

SQL(public_keys_sql,
    "SELECT k.kind, u.id, u.user_id, k.name, k.display_name, k.json, "
    " (SELECT json_object_agg(s.signer_key, s.signature)::text FROM key_signatures s "
    "  WHERE s.target = u.id AND s.target_key = k.name AND s.signer = u.id), "
    " (SELECT json_object_agg(s.signer_key, s.signature)::text FROM key_signatures s "
    "  WHERE s.target = u.id AND s.target_key = k.name AND s.signer = $2 AND $2 <> u.id) "
    "FROM users u CROSS JOIN LATERAL ( "
    " SELECT 0::smallint AS kind, d.device_id AS name, d.json, "
    "  COALESCE(l.display_name, d.display_name) AS display_name "
    "  FROM device_keys d LEFT JOIN devices l ON l.\"user\" = d.\"user\" "
    "  AND l.device_id = d.device_id WHERE d.\"user\" = u.id "
    " UNION ALL "
    " SELECT c.kind, c.public_key, c.json, NULL FROM cross_signing_keys c "
    "  WHERE c.\"user\" = u.id AND (c.kind <> 3 OR u.id = $2)) k "
    "WHERE u.user_id = ANY($1)")

const struct err *public_keys_read(struct tx *tx, const char *const *user_ids, size_t n,
                                   int64_t requester, const struct public_key **ret, size_t *ret_n)
{
    struct public_key one = {0};
    return db_list(tx, &public_keys_sql, P(TEXT_ARRAY(user_ids, n), INT(requester)),
                   R(ENUM_OUT(&one.kind), INT_OUT(&one.user), TEXT_OUT(&one.user_id),
                     TEXT_OUT(&one.name), TEXT_OUT(&one.display_name), BYTES_OUT(&one.json),
                     TEXT_OUT(&one.owner_signatures), TEXT_OUT(&one.requester_signatures)),
                   LIST(one, ret, ret_n));
}

SQL(device_keys_get_sql, "SELECT json FROM device_keys WHERE \"user\" = $1 AND device_id = $2")

const struct err *device_keys_get(struct tx *tx, int64_t user, const char *device_id,
                                  struct public_key *ret)
{
    struct public_key key = {.kind = KEY_DEVICE, .name = device_id};
    TRY(db_one(tx, &device_keys_get_sql, P(INT(user), TEXT(device_id)), NULL,
               R(BYTES_OUT(&key.json))));
    *ret = key;
    return NULL;
}

SQL(cross_signing_keys_get_sql,
    "SELECT kind, public_key, json FROM cross_signing_keys WHERE \"user\" = $1")

const struct err *cross_signing_keys_get(struct tx *tx, int64_t user,
                                         struct public_key ret[KEY_KIND_COUNT])
{
    struct rows rows;
    TRY(db_query(tx, &cross_signing_keys_get_sql, P(INT(user)), &rows));
    memset(ret, 0, KEY_KIND_COUNT * sizeof *ret);
    while (rows_next(&rows)) {
        struct public_key *k = &ret[row_int(&rows, 0)];
        k->kind = (enum key_kind)row_int(&rows, 0);
        k->name = row_text(&rows, 1);
        k->json = row_bytes(&rows, 2);
    }
    return NULL;
}

SQL(device_id_exists_sql,
    "SELECT EXISTS (SELECT FROM devices WHERE \"user\" = $1 AND device_id = $2)")

const struct err *device_id_exists(struct tx *tx, int64_t user, const char *device_id, bool *ret)
{
    return db_one(tx, &device_id_exists_sql, P(INT(user), TEXT(device_id)), NULL, R(BOOL_OUT(ret)));
}

SQL(cross_signing_key_exists_sql,
    "SELECT EXISTS (SELECT FROM cross_signing_keys WHERE \"user\" = $1 AND public_key = $2)")

const struct err *cross_signing_key_exists(struct tx *tx, int64_t user, const char *public_key,
                                           bool *ret)
{
    return db_one(tx, &cross_signing_key_exists_sql, P(INT(user), TEXT(public_key)), NULL,
                  R(BOOL_OUT(ret)));
}

/* ---- writing ---- */

SQL(signatures_of_delete_sql, "DELETE FROM key_signatures WHERE target = $1 AND target_key = $2")
SQL(device_keys_write_sql,
    "INSERT INTO device_keys (\"user\", device_id, display_name, json) VALUES ($1, $2, $3, $4) "
    "ON CONFLICT (\"user\", device_id) DO UPDATE "
    "SET display_name = excluded.display_name, json = excluded.json")

void device_keys_write(struct write *w, int64_t user, const char *device_id,
                       const char *display_name, struct str json)
{
    write_statement(w, &signatures_of_delete_sql, P(INT(user), TEXT(device_id)));
    write_statement(w, &device_keys_write_sql,
                    P(INT(user), TEXT(device_id), TEXT(display_name), BYTES(json)));
}

/* Also deletes the old key's signatures of its owner's keys; its signatures of other users' keys
 * are visible to its owner only. */
SQL(cross_signing_signatures_delete_sql,
    "DELETE FROM key_signatures s USING cross_signing_keys c "
    "WHERE c.\"user\" = $1 AND c.kind = $2 AND s.target = $1 AND (s.target_key = c.public_key "
    "OR (s.signer = $1 AND s.signer_key = 'ed25519:' || c.public_key))")
SQL(cross_signing_key_write_sql,
    "INSERT INTO cross_signing_keys (\"user\", kind, public_key, json) VALUES ($1, $2, $3, $4) "
    "ON CONFLICT (\"user\", kind) DO UPDATE "
    "SET public_key = excluded.public_key, json = excluded.json")
SQL(cross_signing_key_delete_sql,
    "DELETE FROM cross_signing_keys WHERE \"user\" = $1 AND kind = $2")

void cross_signing_key_write(struct write *w, int64_t user, enum key_kind kind,
                             const char *public_key, struct str json)
{
    write_statement(w, &cross_signing_signatures_delete_sql, P(INT(user), INT(kind)));
    write_statement(w, &cross_signing_key_write_sql,
                    P(INT(user), INT(kind), TEXT(public_key), BYTES(json)));
}

void cross_signing_key_delete(struct write *w, int64_t user, enum key_kind kind)
{
    write_statement(w, &cross_signing_signatures_delete_sql, P(INT(user), INT(kind)));
    write_statement(w, &cross_signing_key_delete_sql, P(INT(user), INT(kind)));
}

SQL(key_signature_write_sql,
    "INSERT INTO key_signatures (target, target_key, signer, signer_key, signature) "
    "VALUES ($1, $2, $3, $4, $5) ON CONFLICT (target, target_key, signer, signer_key) "
    "DO UPDATE SET signature = excluded.signature")

void key_signature_write(struct write *w, const struct key_signature *s)
{
    write_statement(w, &key_signature_write_sql,
                    P(INT(s->target), TEXT(s->target_key), INT(s->signer), TEXT(s->signer_key),
                      TEXT(s->signature)));
}

SQL(user_signature_change_write_sql,
    "INSERT INTO user_signature_changes (signer, target, position) VALUES ($1, $2, log_at($3)) "
    "ON CONFLICT (signer, target) DO UPDATE SET position = excluded.position")

void user_signature_change_write(struct write *w, int64_t signer, int64_t target,
                                 const char *target_id)
{
    int at = write_change(w, &(struct change){.kind = CHANGE_DEVICE_LIST,
                                              .user = signer,
                                              .device_list = {target_id, .is_private = true}});
    write_statement(w, &user_signature_change_write_sql, P(INT(signer), INT(target), POSITION(at)));
}

SQL(user_signatures_count_sql, "SELECT count(*) FROM user_signature_changes WHERE signer = $1")

const struct err *user_signatures_check_number(struct tx *tx, int64_t signer)
{
    int64_t n;
    TRY(db_one(tx, &user_signatures_count_sql, P(INT(signer)), NULL, R(INT_OUT(&n))));
    return n < USERS_SIGNED_MAX
               ? NULL
               : err(ERR_TOO_LARGE, "You have signed keys of %d users", USERS_SIGNED_MAX);
}

/* ---- deleting ---- */

SQL(device_keys_delete_sql, "DELETE FROM device_keys WHERE \"user\" = $1 AND device_id = $2")

void device_keys_delete(struct write *w, int64_t user, const char *device_id)
{
    write_statement(w, &device_keys_delete_sql, P(INT(user), TEXT(device_id)));
    write_statement(w, &signatures_of_delete_sql, P(INT(user), TEXT(device_id)));
}

SQL(devices_keys_delete_sql, "DELETE FROM device_keys WHERE \"user\" = $1 AND device_id = ANY($2)")
SQL(devices_signatures_delete_sql,
    "DELETE FROM key_signatures WHERE target = $1 AND target_key = ANY($2)")
SQL(devices_signed_delete_sql,
    "DELETE FROM key_signatures WHERE target = $1 AND signer = $1 AND signer_key = ANY(ARRAY("
    "SELECT 'ed25519:' || id FROM unnest($2::text[]) AS u(id)))")
SQL(devices_one_time_keys_delete_sql, "DELETE FROM one_time_keys WHERE device = ANY($1)")
SQL(devices_fallback_keys_delete_sql, "DELETE FROM fallback_keys WHERE device = ANY($1)")
SQL(devices_claimed_keys_delete_sql, "DELETE FROM claimed_one_time_keys WHERE device = ANY($1)")
SQL(devices_key_changes_delete_sql, "DELETE FROM device_key_changes WHERE device = ANY($1)")
/* They can be many: storage/devices/to_device.h deletes them. */
SQL(devices_messages_gone_sql,
    "INSERT INTO to_device_gone (device) SELECT u.device FROM unnest($1::bigint[]) AS u(device) "
    "WHERE EXISTS (SELECT FROM to_device t WHERE t.device = u.device) ON CONFLICT DO NOTHING")
SQL(devices_txns_delete_sql, "DELETE FROM to_device_txns WHERE device = ANY($1)")
SQL(devices_dehydrated_delete_sql,
    "DELETE FROM dehydrated_devices WHERE \"user\" = $1 AND device = ANY($2)")

void e2ee_delete_devices(struct write *w, int64_t user, const struct device *devices, size_t n)
{
    int64_t *numbers = arena_alloc_array(write_arena(w), n, sizeof *numbers);
    const char **ids = arena_alloc_array(write_arena(w), n, sizeof *ids);
    write_set_large(w); /* each may have 15,000 one-time keys */
    for (size_t i = 0; i < n; i++) {
        numbers[i] = devices[i].id;
        ids[i] = devices[i].device_id;
        write_change(w, &(struct change){
                            .kind = CHANGE_DEVICE_KEYS, .user = user, .device.device_id = ids[i]});
    }
    write_statement(w, &devices_keys_delete_sql, P(INT(user), TEXT_ARRAY(ids, n)));
    write_statement(w, &devices_signatures_delete_sql, P(INT(user), TEXT_ARRAY(ids, n)));
    write_statement(w, &devices_signed_delete_sql, P(INT(user), TEXT_ARRAY(ids, n)));
    write_statement(w, &devices_one_time_keys_delete_sql, P(INT_ARRAY(numbers, n)));
    write_statement(w, &devices_fallback_keys_delete_sql, P(INT_ARRAY(numbers, n)));
    write_statement(w, &devices_claimed_keys_delete_sql, P(INT_ARRAY(numbers, n)));
    write_statement(w, &devices_key_changes_delete_sql, P(INT_ARRAY(numbers, n)));
    write_statement(w, &devices_messages_gone_sql, P(INT_ARRAY(numbers, n)));
    write_statement(w, &devices_txns_delete_sql, P(INT_ARRAY(numbers, n)));
    write_statement(w, &devices_dehydrated_delete_sql, P(INT(user), INT_ARRAY(numbers, n)));
}

SQL(user_cross_signing_delete_sql, "DELETE FROM cross_signing_keys WHERE \"user\" = $1")
SQL(user_signatures_delete_sql, "DELETE FROM key_signatures WHERE target = $1")
SQL(user_signature_changes_delete_sql, "DELETE FROM user_signature_changes WHERE signer = $1")

void e2ee_delete_user(struct write *w, int64_t user)
{
    write_statement(w, &user_cross_signing_delete_sql, P(INT(user)));
    write_statement(w, &user_signatures_delete_sql, P(INT(user)));
    write_statement(w, &user_signature_changes_delete_sql, P(INT(user)));
    key_backups_delete(w, user);
}
