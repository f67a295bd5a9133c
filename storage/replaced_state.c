#include "storage/event_rows.h"

/* The state before an event is that of the intervals at the position before its own, unless it has
 * a reference (storage/state_refs.h): then that at the reference's base, but for the keys that the
 * reference and its parents name, the nearest first. An entry without an event means as at the
 * base, one of 0 means none. */
SQL(room_state_replaced_sql,
    "WITH asked AS (SELECT a.position, t.id AS type, a.state_key "
    "FROM unnest($2::int8[], $3::text[], $4::text[]) a(position, type, state_key) "
    "JOIN event_types t ON t.type = a.type), "
    "placed AS (SELECT a.position, a.type, a.state_key, COALESCE(n.base, a.position - 1) AS base, "
    "n.event FROM asked a LEFT JOIN LATERAL ("
    "WITH RECURSIVE chain AS (SELECT s.id, s.base, s.parent, 0 AS distance FROM event_states w "
    "JOIN state_refs s ON s.id = w.ref WHERE w.event = a.position UNION ALL "
    "SELECT s.id, s.base, s.parent, c.distance + 1 FROM chain c JOIN state_refs s "
    "ON s.id = c.parent WHERE c.distance < 1000) "
    "SELECT c.base, x.event FROM chain c LEFT JOIN state_ref_entries x ON x.ref = c.id "
    "AND x.type = a.type AND x.state_key = a.state_key "
    "ORDER BY x.ref IS NULL, c.distance LIMIT 1) n ON true), "
    "found AS (SELECT p.position, COALESCE(p.event, i.event) AS event FROM placed p "
    "LEFT JOIN LATERAL (SELECT s.event, s.valid_to FROM room_state s WHERE s.room = $1 "
    "AND s.type = p.type AND s.state_key = p.state_key AND s.valid_from <= p.base "
    "ORDER BY s.valid_from DESC LIMIT 1) i ON i.valid_to > p.base) "
    "SELECT " EVENT_COLUMNS ", f.position FROM found f JOIN events e ON e.position = f.event "
    "JOIN rooms r ON r.id = e.room WHERE f.event <> f.position")

const struct err *room_state_replaced(struct tx *tx, int64_t room,
                                      const struct stored_event *const *events, size_t n,
                                      const struct replaced_event **ret, size_t *ret_n)
{
    int64_t *positions = arena_alloc_array(tx->arena, n + 1, sizeof *positions);
    const char **types = arena_alloc_array(tx->arena, n + 1, sizeof *types);
    const char **keys = arena_alloc_array(tx->arena, n + 1, sizeof *keys);
    struct rows rows;
    for (size_t i = 0; i < n; i++) {
        positions[i] = events[i]->position;
        types[i] = events[i]->event->type;
        keys[i] = events[i]->event->state_key;
    }
    TRY(db_query(tx, &room_state_replaced_sql,
                 P(INT(room), INT_ARRAY(positions, n), TEXT_ARRAY(types, n), TEXT_ARRAY(keys, n)),
                 &rows));
    struct replaced_event *list = arena_alloc_array(tx->arena, (size_t)rows.n + 1, sizeof *list);
    const struct err *e = NULL;
    size_t found = 0;
    while (!e && rows_next(&rows)) {
        list[found].by = row_int(&rows, EVENT_COLUMNS_N);
        e = event_rows_read_one(tx->arena, &rows, &list[found++].event);
    }
    rows_finish(&rows);
    *ret = list;
    *ret_n = found;
    return e;
}
