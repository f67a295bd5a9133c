#include "storage/rooms/retention.h"

#include "base/clock.h"
#include "storage/rooms/sql_numbers.h"

enum {
    PAGE = 2000,
    PAGES_MAX = 50, /* a sweep */
};

/* ---- how old a position is ---- */

/* 3600000: an hour */
SQL(log_times_note_sql,
    "INSERT INTO log_times (position, ts) SELECT position, $1::bigint FROM log_head "
    "WHERE NOT EXISTS (SELECT FROM log_times WHERE ts > $1::bigint - 3600000) ON CONFLICT DO "
    "NOTHING")
/* The newest row that is older than every retention time is still needed. */
SQL(log_times_forget_sql, "DELETE FROM log_times WHERE ts < "
                          "(SELECT max(ts) FROM log_times WHERE ts <= $1)")

const struct err *log_times_note(struct tx *tx, int64_t now)
{
    TRY(db_exec(tx, &log_times_note_sql, P(INT(now)), NULL));
    return db_exec(tx, &log_times_forget_sql, P(INT(now - RETENTION_ACTIONS_DAYS * DAY_MS)), NULL);
}

SQL(log_times_position_sql,
    "SELECT COALESCE((SELECT position FROM log_times WHERE ts <= $1 ORDER BY ts DESC LIMIT 1), 0)")

const struct err *log_times_position(struct tx *tx, int64_t ts, int64_t *ret)
{
    return db_one(tx, &log_times_position_sql, P(INT(ts)), NULL, R(INT_OUT(ret)));
}

/* ---- transaction ids ---- */

SQL(event_txns_remove_sql,
    "DELETE FROM event_txns WHERE ctid = ANY(ARRAY(SELECT ctid FROM event_txns WHERE event <= $1 "
    "LIMIT $2))")

const struct err *event_txns_remove(struct tx *tx, int64_t position, int64_t max, int64_t *ret_n)
{
    return db_exec(tx, &event_txns_remove_sql, P(INT(position), INT(max)), ret_n);
}

/* ---- push_actions ---- */

/* Read by an unthreaded receipt, or by one of the main timeline or of the thread, whichever the
 * event is in (the id of a thread's root has two encodings, by the room version). */
SQL(push_actions_remove_read_sql,
    "WITH page AS MATERIALIZED (SELECT \"user\", room, event, thread FROM push_actions "
    " WHERE (\"user\", room, event) > ($2, $3, $4) ORDER BY \"user\", room, event LIMIT $5), "
    "gone AS (DELETE FROM push_actions a USING page p "
    " WHERE a.\"user\" = p.\"user\" AND a.room = p.room AND a.event = p.event AND p.event <= $1 "
    " AND (EXISTS (SELECT FROM receipts r WHERE r.room = p.room AND r.\"user\" = p.\"user\" "
    "   AND r.event >= p.event AND (r.thread = '' OR (r.thread = 'main' AND p.thread = 0) "
    "   OR (p.thread > 0 AND r.thread IN (SELECT '$' || s.id FROM events e, "
    "    LATERAL (SELECT rtrim(encode(e.event_id, 'base64'), '=') AS plain) b, "
    "    LATERAL (VALUES (b.plain), (translate(b.plain, '+/', '-_'))) s(id) "
    "    WHERE e.position = p.thread)))) "
    "  OR NOT EXISTS (SELECT FROM room_members m WHERE m.room = p.room "
    "   AND m.\"user\" = p.\"user\" AND m.membership = " MEMBERSHIP_JOIN_SQL ")) RETURNING 1) "
    "SELECT \"user\", room, event, (SELECT count(*) FROM gone), "
    "(SELECT count(*) FROM page) FROM page ORDER BY \"user\" DESC, room DESC, event DESC LIMIT 1")

const struct err *push_actions_remove_read(struct tx *tx, int64_t position,
                                           struct push_actions_place *place, int64_t max,
                                           int64_t *ret_n)
{
    struct push_actions_place last = {0};
    int64_t n = 0, seen = 0;
    bool found;
    TRY(db_one(tx, &push_actions_remove_read_sql,
               P(INT(position), INT(place->user), INT(place->room), INT(place->event), INT(max)),
               &found,
               R(INT_OUT(&last.user), INT_OUT(&last.room), INT_OUT(&last.event), INT_OUT(&n),
                 INT_OUT(&seen))));
    *place = found && seen == max ? last : (struct push_actions_place){0};
    *ret_n = found ? n : 0;
    return NULL;
}

/* ---- the sweep ---- */

static bool is_at_start(const struct push_actions_place *place)
{
    return !place->user && !place->room && !place->event;
}

const struct err *retention_sweep(struct tx *tx, int64_t now, struct push_actions_place *place)
{
    int64_t position, n = PAGE;
    TRY(log_times_note(tx, now));
    TRY(log_times_position(tx, now - RETENTION_TXNS_DAYS * DAY_MS, &position));
    for (int i = 0; position && i < PAGES_MAX && n == PAGE; i++)
        TRY(event_txns_remove(tx, position, PAGE, &n));
    TRY(log_times_position(tx, now - RETENTION_ACTIONS_DAYS * DAY_MS, &position));
    for (int i = 0; position && i < PAGES_MAX && (i == 0 || !is_at_start(place)); i++)
        TRY(push_actions_remove_read(tx, position, place, PAGE, &n));
    return NULL;
}
