#include "storage/rooms/event_lookup.h"

#include "storage/rooms/event_rows.h"
#include "storage/rooms/sql_numbers.h"

SQL(events_find_many_sql, EVENT_SELECT "WHERE e.event_id = ANY($2) AND e.room = $1")

const struct err *events_find_many(struct tx *tx, int64_t room, const struct room_version *v,
                                   const char *const *ids, size_t n,
                                   const struct stored_event **ret, size_t *ret_n)
{
    struct str *bytes = arena_alloc_array(tx->arena, n + 1, sizeof *bytes);
    size_t bytes_n = 0;
    for (size_t i = 0; i < n; i++) {
        struct str id = event_id_to_bytes(tx->arena, v, ids[i]);
        if (id.p)
            bytes[bytes_n++] = id;
    }
    return event_rows(tx, &events_find_many_sql, P(INT(room), BYTES_ARRAY(bytes, bytes_n)), ret,
                      ret_n);
}

/* -2^61: EVENT_OFF_TIMELINE_MAX */
SQL(events_unplaced_sql,
    "SELECT u.n FROM unnest($2::bytea[]) WITH ORDINALITY u(event_id, n) WHERE NOT EXISTS "
    "(SELECT FROM events e WHERE e.event_id = u.event_id AND e.room = $1 "
    "AND (e.position > " EVENT_OFF_TIMELINE_MAX_SQL " "
    "OR EXISTS (SELECT FROM event_states s WHERE s.event = e.position)))")

const struct err *events_find_unplaced(struct tx *tx, int64_t room, const struct room_version *v,
                                       const char *const *ids, size_t n, const char *const **ret,
                                       size_t *ret_n)
{
    struct str *bytes = arena_alloc_array(tx->arena, n + 1, sizeof *bytes);
    const char **list = arena_alloc_array(tx->arena, n + 1, sizeof *list);
    struct rows rows;
    for (size_t i = 0; i < n; i++) {
        bytes[i] = event_id_to_bytes(tx->arena, v, ids[i]);
        if (!bytes[i].p) /* no hash: not an id of any event */
            bytes[i] = STR("");
    }
    TRY(db_query(tx, &events_unplaced_sql, P(INT(room), BYTES_ARRAY(bytes, n)), &rows));
    *ret_n = 0;
    while (rows_next(&rows))
        list[(*ret_n)++] = ids[row_int(&rows, 0) - 1];
    rows_finish(&rows);
    *ret = list;
    return NULL;
}

SQL(events_auth_chain_sql, "SELECT auth_chain_ids($1, $2, $3, $4)")

const struct err *events_find_auth_chain(struct tx *tx, int64_t room, const struct room_version *v,
                                         const char *const *ids, size_t n, size_t limit,
                                         const char *const **ret, size_t *ret_n)
{
    const char *one;
    return db_list(
        tx, &events_auth_chain_sql,
        P(INT(room), TEXT_ARRAY(ids, n), BOOL(v->event_id != EVENT_ID_GIVEN), INT((int64_t)limit)),
        R(TEXT_OUT(&one)), LIST(one, ret, ret_n));
}

SQL(events_of_log_sql, EVENT_SELECT "WHERE e.position > $1 AND e.position <= $2 "
                                    "ORDER BY e.position LIMIT $3")

const struct err *events_of_log(struct tx *tx, int64_t from, int64_t to, int64_t limit,
                                const struct stored_event **ret, size_t *ret_n)
{
    return event_rows(tx, &events_of_log_sql, P(INT(from), INT(to), INT(limit)), ret, ret_n);
}
