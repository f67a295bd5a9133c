#include "storage/thumbnails.h"

/* MEDIA_THUMBNAILS */
#define ALL "-1"

SQL(thumbnails_sent_sql,
    "WITH put AS (INSERT INTO thumbnails (sha256, variant, bytes, accessed_ts) "
    " VALUES ($1, $2, $3, $4) ON CONFLICT (sha256, variant) DO UPDATE "
    " SET accessed_ts = excluded.accessed_ts RETURNING bytes, xmax = 0 AS is_new) "
    "INSERT INTO media_usage AS u (\"user\", bytes) SELECT " ALL ", bytes FROM put WHERE is_new "
    "ON CONFLICT (\"user\") DO UPDATE SET bytes = u.bytes + excluded.bytes")

const struct err *thumbnails_sent(struct tx *tx, const struct thumbnail *t)
{
    return db_exec(tx, &thumbnails_sent_sql,
                   P(BYTES(t->sha256), TEXT(t->variant), INT(t->bytes), INT(t->accessed_ts)), NULL);
}

SQL(thumbnails_oldest_sql, "SELECT sha256, variant, bytes, accessed_ts FROM thumbnails "
                           "ORDER BY accessed_ts LIMIT $1")

const struct err *thumbnails_oldest(struct tx *tx, int64_t limit, const struct thumbnail **ret,
                                    size_t *ret_n)
{
    struct thumbnail one = {0};
    return db_list(tx, &thumbnails_oldest_sql, P(INT(limit)),
                   R(BYTES_OUT(&one.sha256), TEXT_OUT(&one.variant), INT_OUT(&one.bytes),
                     INT_OUT(&one.accessed_ts)),
                   LIST(one, ret, ret_n));
}

#define REMOVE(which)                                                                              \
    "WITH gone AS (DELETE FROM thumbnails WHERE sha256 = $1" which " RETURNING bytes) "            \
    "UPDATE media_usage SET bytes = bytes - (SELECT COALESCE(sum(bytes), 0) FROM gone) "           \
    "WHERE \"user\" = " ALL " AND EXISTS (SELECT FROM gone)"
SQL(thumbnails_remove_sql, REMOVE(" AND variant = $2 AND accessed_ts <= $3"))
SQL(thumbnails_remove_of_sql, REMOVE(""))

const struct err *thumbnails_remove(struct tx *tx, const struct thumbnail *t, bool *ret_done)
{
    int64_t rows;
    TRY(db_exec(tx, &thumbnails_remove_sql,
                P(BYTES(t->sha256), TEXT(t->variant), INT(t->accessed_ts)), &rows));
    *ret_done = rows == 1;
    return NULL;
}

const struct err *thumbnails_remove_of(struct tx *tx, struct str sha256)
{
    return db_exec(tx, &thumbnails_remove_of_sql, P(BYTES(sha256)), NULL);
}
