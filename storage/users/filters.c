#include "storage/users/filters.h"

#include "base/sha256.h"

SQL(filters_add_sql, "INSERT INTO filters (\"user\", hash, json) SELECT $1, $2, $3 "
                     "WHERE (SELECT count(*) FROM filters WHERE \"user\" = $1) < $4 "
                     "ON CONFLICT (\"user\", hash) DO UPDATE SET hash = excluded.hash RETURNING id")

const struct err *filters_add(struct tx *tx, int64_t user, struct str json, int64_t *ret_id)
{
    unsigned char hash[SHA256_BYTES];
    sha256_parts(&json, 1, hash);
    struct str key = {(const char *)hash, sizeof hash};
    bool found;
    TRY(db_one(tx, &filters_add_sql, P(INT(user), BYTES(key), BYTES(json), INT(FILTERS_MAX)),
               &found, R(INT_OUT(ret_id))));
    return found ? NULL : err(ERR_TOO_LARGE, "You have too many filters");
}

SQL(filters_get_sql, "SELECT json FROM filters WHERE id = $2 AND \"user\" = $1")

const struct err *filters_get(struct tx *tx, int64_t user, int64_t id, struct str *ret_json)
{
    return db_one(tx, &filters_get_sql, P(INT(user), INT(id)), NULL, R(BYTES_OUT(ret_json)));
}
