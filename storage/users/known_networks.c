#include "storage/users/known_networks.h"

#include "base/clock.h"

SQL(known_networks_note_sql,
    "INSERT INTO known_networks (\"user\", network, seen_ts) VALUES ($1, $2, $3) "
    "ON CONFLICT (\"user\", network) DO UPDATE SET seen_ts = excluded.seen_ts")
SQL(known_networks_trim_sql,
    "DELETE FROM known_networks WHERE (\"user\", network) IN (SELECT \"user\", network "
    "FROM known_networks WHERE \"user\" = $1 ORDER BY seen_ts DESC, network OFFSET $2)")
/* With each new row a few expired ones of any user are deleted. */
SQL(known_networks_forget_sql,
    "DELETE FROM known_networks WHERE ctid = ANY(ARRAY(SELECT ctid FROM known_networks "
    "WHERE seen_ts <= $1 ORDER BY seen_ts LIMIT 100))")

static int64_t oldest(int64_t now)
{
    return now - KNOWN_NETWORKS_DAYS * DAY_MS;
}

const struct err *known_networks_note(struct tx *tx, int64_t user, const char *network, int64_t now)
{
    TRY(db_exec(tx, &known_networks_note_sql, P(INT(user), TEXT(network), INT(now)), NULL));
    TRY(db_exec(tx, &known_networks_trim_sql, P(INT(user), INT(KNOWN_NETWORKS_MAX)), NULL));
    return db_exec(tx, &known_networks_forget_sql, P(INT(oldest(now))), NULL);
}

SQL(known_networks_list_sql,
    "SELECT network FROM known_networks WHERE \"user\" = $1 AND seen_ts > $2 UNION "
    "SELECT last_seen_ip FROM devices WHERE \"user\" = $1 AND last_seen_ts > $2 "
    "AND last_seen_ip IS NOT NULL LIMIT 4000")

const struct err *known_networks_list(struct tx *tx, int64_t user, int64_t now,
                                      const char *const **ret, size_t *ret_n)
{
    const char *one;
    return db_list(tx, &known_networks_list_sql, P(INT(user), INT(oldest(now))), R(TEXT_OUT(&one)),
                   LIST(one, ret, ret_n));
}
