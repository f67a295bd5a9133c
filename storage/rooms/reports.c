#include "storage/rooms/reports.h"

#include "base/clock.h"

/* Deletes the user's oldest reports beyond the limit. */
SQL(reports_add_sql, "WITH old AS (DELETE FROM reports WHERE reporter = $1 AND id <= "
                     " (SELECT id FROM reports WHERE reporter = $1 ORDER BY id DESC "
                     " OFFSET $7 - 1 LIMIT 1)) "
                     "INSERT INTO reports (reporter, room_id, event_id, user_id, reason, "
                     "created_ts) VALUES ($1, $2, $3, $4, $5, $6)")

const struct err *reports_add(struct tx *tx, const struct report *r)
{
    return db_exec(tx, &reports_add_sql,
                   P(INT(r->reporter), TEXT(r->room_id), TEXT(r->event_id), TEXT(r->user_id),
                     TEXT(r->reason), INT(now_ms()), INT(REPORTS_MAX)),
                   NULL);
}
