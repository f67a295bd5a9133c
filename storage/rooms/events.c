#include "storage/rooms/events.h"

#include "storage/rooms/event_rows.h"

SQL(events_insert_sql,
    "INSERT INTO events (position, room, sender, type, thread, notify_total, highlight_total, "
    "client_device, client_txn, is_state, event_id, json, status) "
    "SELECT (SELECT position FROM log_head) - u.back, u.room, u.sender, u.type, u.thread, "
    "u.notify_total, u.highlight_total, u.device, u.txn, u.is_state, u.event_id, u.json, u.status "
    "FROM unnest($1::int8[], $2::int8[], $3::int8[], $4::int8[], $5::int8[], $6::int8[], "
    "$7::int8[], $8::int8[], $9::text[], $10::bool[], $11::bytea[], $12::bytea[], $13::int4[]) "
    "u(back, room, sender, type, thread, notify_total, highlight_total, device, txn, is_state, "
    "event_id, json, status)")

static const struct batch_table events_rows = {
    .sql = &events_insert_sql,
    .columns = {DB_POSITION, DB_INT8, DB_INT8, DB_INT8, DB_INT8, DB_INT8, DB_INT8, DB_INT8, DB_TEXT,
                DB_BOOL, DB_BYTES, DB_BYTES, DB_INT4},
    .columns_n = 13,
    .order = BATCH_EVENTS,
};

void events_write(struct write *w, const struct stored_event *e, int at)
{
    struct str id = event_id_to_bytes(write_arena(w), e->event->version, e->event->event_id);
    write_row(w, &events_rows,
              P(POSITION(at), INT(e->room), INT(e->sender), INT(e->type), INT(e->thread),
                INT(e->notify_total), INT(e->highlight_total),
                INT_OR_NULL(e->client_device, !e->client_device), TEXT(e->client_txn),
                BOOL(e->is_state), BYTES(id), BYTES(e->event->json), INT4(e->status)));
}

/* ---- events without a position of the log ---- */

SQL(events_reserve_history_sql, "SELECT nextval('events_history_seq') FROM generate_series(1, $1)")
SQL(events_reserve_off_timeline_sql,
    "SELECT nextval('events_aside_seq') FROM generate_series(1, $1)")

const struct err *events_reserve(struct tx *tx, bool in_history, size_t n, const int64_t **ret)
{
    struct rows rows;
    TRY(db_query(tx, in_history ? &events_reserve_history_sql : &events_reserve_off_timeline_sql,
                 P(INT((int64_t)n)), &rows));
    int64_t *list = arena_alloc_array(tx->arena, n + 1, sizeof *list);
    for (size_t i = 0; i < n && rows_next(&rows); i++)
        list[i] = row_int(&rows, 0);
    rows_finish(&rows);
    *ret = list;
    return NULL;
}

SQL(events_insert_at_sql,
    "INSERT INTO events (position, room, sender, type, thread, notify_total, highlight_total, "
    "is_state, event_id, json, status) "
    "SELECT u.position, u.room, u.sender, u.type, u.thread, 0, 0, u.is_state, u.event_id, u.json, "
    "u.status FROM unnest($1::int8[], $2::int8[], $3::int8[], $4::int8[], $5::int8[], $6::bool[], "
    "$7::bytea[], $8::bytea[], $9::int4[]) "
    "u(position, room, sender, type, thread, is_state, event_id, json, status) "
    "ON CONFLICT (event_id) DO NOTHING")

static const struct batch_table events_at_rows = {
    .sql = &events_insert_at_sql,
    .columns = {DB_INT8, DB_INT8, DB_INT8, DB_INT8, DB_INT8, DB_BOOL, DB_BYTES, DB_BYTES, DB_INT4},
    .columns_n = 9,
    .order = BATCH_EVENTS,
};

void events_write_at(struct write *w, const struct stored_event *e)
{
    struct str id = event_id_to_bytes(write_arena(w), e->event->version, e->event->event_id);
    write_row(w, &events_at_rows,
              P(INT(e->position), INT(e->room), INT(e->sender), INT(e->type), INT(e->thread),
                BOOL(e->is_state), BYTES(id), BYTES(e->event->json), INT4(e->status)));
}

#define KNOWN_SELECT                                                                               \
    "SELECT " EVENT_COLUMNS ", COALESCE(s.ref, 0) FROM events e JOIN rooms r ON r.id = e.room "    \
    "LEFT JOIN event_states s ON s.event = e.position "
SQL(events_find_sql, KNOWN_SELECT "WHERE e.event_id = ANY($1)")
SQL(events_find_at_sql, KNOWN_SELECT "WHERE e.position = ANY($1)")

static const struct str *ids_as_bytes(struct arena *a, const struct room_version *v,
                                      const char *const *ids, size_t n, size_t *ret_n)
{
    struct str *bytes = arena_alloc_array(a, n + 1, sizeof *bytes);
    size_t good = 0;
    for (size_t i = 0; i < n; i++) {
        struct str id = event_id_to_bytes(a, v, ids[i]);
        if (id.p)
            bytes[good++] = id;
    }
    *ret_n = good;
    return bytes;
}

static const struct err *read_known(struct tx *tx, struct rows *rows,
                                    const struct known_event **ret, size_t *ret_n)
{
    struct known_event *list = arena_alloc_array(tx->arena, (size_t)rows->n + 1, sizeof *list);
    size_t found = 0;
    const struct err *e = NULL;
    while (!e && rows_next(rows)) {
        e = event_rows_read_one(tx->arena, rows, &list[found].e);
        list[found].is_stored = true;
        list[found++].state_ref = row_int(rows, EVENT_COLUMNS_N);
    }
    rows_finish(rows);
    if (e)
        return e;
    *ret = list;
    *ret_n = found;
    return NULL;
}

const struct err *events_find(struct tx *tx, const struct room_version *v, const char *const *ids,
                              size_t n, const struct known_event **ret, size_t *ret_n)
{
    struct rows rows;
    size_t good;
    const struct str *bytes = ids_as_bytes(tx->arena, v, ids, n, &good);
    TRY(db_query(tx, &events_find_sql, P(BYTES_ARRAY(bytes, good)), &rows));
    return read_known(tx, &rows, ret, ret_n);
}

const struct err *events_find_at(struct tx *tx, const int64_t *positions, size_t n,
                                 const struct known_event **ret, size_t *ret_n)
{
    struct rows rows;
    TRY(db_query(tx, &events_find_at_sql, P(INT_ARRAY(positions, n)), &rows));
    return read_known(tx, &rows, ret, ret_n);
}

/* ---- transaction ids ---- */

SQL(event_txns_insert_sql, "INSERT INTO event_txns (device, txn, event) "
                           "SELECT u.device, u.txn, (SELECT position FROM log_head) - u.back "
                           "FROM unnest($1::int8[], $2::bytea[], $3::int8[]) u(device, txn, back)")

static const struct batch_table event_txns_rows = {
    .sql = &event_txns_insert_sql,
    .columns = {DB_INT8, DB_BYTES, DB_POSITION},
    .columns_n = 3,
    .order = BATCH_EVENTS,
};

void event_txns_write(struct write *w, int64_t device, struct str txn, int at)
{
    write_row(w, &event_txns_rows, P(INT(device), BYTES(txn), POSITION(at)));
}

SQL(event_txns_find_sql, "SELECT event FROM event_txns WHERE device = $1 AND txn = $2")

const struct err *event_txns_find(struct tx *tx, int64_t device, struct str txn, int64_t *ret)
{
    return db_one(tx, &event_txns_find_sql, P(INT(device), BYTES(txn)), NULL, R(INT_OUT(ret)));
}

SQL(events_get_sql, EVENT_SELECT "WHERE e.position = $1")
SQL(events_get_by_id_sql, EVENT_SELECT "WHERE e.event_id = $1")
SQL(events_get_many_sql, EVENT_SELECT "WHERE e.position = ANY($1) ORDER BY e.position")

const struct err *events_get(struct tx *tx, int64_t position, const struct stored_event **ret)
{
    return event_rows_one(tx, &events_get_sql, P(INT(position)), ret);
}

const struct err *events_get_by_id(struct tx *tx, const char *event_id,
                                   const struct stored_event **ret)
{
    const struct stored_event *found = NULL;
    struct str id = event_id_any_to_bytes(tx->arena, event_id);
    if (id.p)
        TRY(event_rows_one(tx, &events_get_by_id_sql, P(BYTES(id)), &found));
    /* Versions 3 and 4 encode the same bytes with different alphabets: the encoding must be the
     * room's. */
    *ret = found && strcmp(found->event->event_id, event_id) == 0 ? found : NULL;
    return NULL;
}

const struct err *events_get_many(struct tx *tx, const int64_t *positions, size_t n,
                                  const struct stored_event **ret, size_t *ret_n)
{
    return event_rows(tx, &events_get_many_sql, P(INT_ARRAY(positions, n)), ret, ret_n);
}

SQL(events_page_down_sql, EVENT_SELECT
    "WHERE e.room = $1 AND e.position > $2 AND e.position <= $3 ORDER BY e.position DESC LIMIT $4")
SQL(events_page_up_sql, EVENT_SELECT
    "WHERE e.room = $1 AND e.position > $2 AND e.position <= $3 ORDER BY e.position LIMIT $4")

const struct err *events_page(struct tx *tx, int64_t room, int64_t from, int64_t to,
                              bool newest_first, int64_t limit, const struct stored_event **ret,
                              size_t *ret_n)
{
    return event_rows(tx, newest_first ? &events_page_down_sql : &events_page_up_sql,
                      P(INT(room), INT(from), INT(to), INT(limit)), ret, ret_n);
}

SQL(events_redact_sql, "UPDATE events SET json = $2, redacted_by = log_at($3) WHERE event_id = $1")
SQL(relations_drop_sql, "DELETE FROM relations WHERE child = "
                        "(SELECT position FROM events WHERE event_id = $1)")

void events_write_redaction(struct write *w, const char *event_id,
                            const struct room_version *version, struct str redacted, int at)
{
    struct str id = event_id_to_bytes(write_arena(w), version, event_id);
    write_statement(w, &events_redact_sql, P(BYTES(id), BYTES(redacted), POSITION(at)));
    write_statement(w, &relations_drop_sql, P(BYTES(id)));
}

SQL(events_redact_late_sql, "UPDATE events SET json = $2, redacted_by = $3 WHERE event_id = $1")
SQL(pending_redactions_drop_sql, "DELETE FROM pending_redactions WHERE target = $1 AND redaction = "
                                 "(SELECT event_id FROM events WHERE position = $2)")

/* The redacted event may be in the search index: its range is indexed again. */
SQL(events_search_again_sql, "INSERT INTO search_ranges (room, first, last) "
                             "SELECT room, position, position FROM events WHERE event_id = $1")

void events_write_late_redaction(struct write *w, const char *event_id,
                                 const struct room_version *version, struct str redacted,
                                 int64_t redaction)
{
    struct str id = event_id_to_bytes(write_arena(w), version, event_id);
    write_statement(w, &events_redact_late_sql, P(BYTES(id), BYTES(redacted), INT(redaction)));
    write_statement(w, &relations_drop_sql, P(BYTES(id)));
    write_statement(w, &pending_redactions_drop_sql, P(BYTES(id), INT(redaction)));
    write_statement(w, &events_search_again_sql, P(BYTES(id)));
}

SQL(pending_redactions_insert_sql,
    "INSERT INTO pending_redactions (target, redaction, room) VALUES ($1, $2, $3) "
    "ON CONFLICT DO NOTHING")

void pending_redaction_write(struct write *w, const struct event *redaction, int64_t room)
{
    struct str target = event_id_to_bytes(write_arena(w), redaction->version, redaction->redacts);
    struct str id = event_id_to_bytes(write_arena(w), redaction->version, redaction->event_id);
    if (!target.p || target.n > EVENT_KEY_MAX) /* no event has such an id */
        target = STR("");
    write_statement(w, &pending_redactions_insert_sql, P(BYTES(target), BYTES(id), INT(room)));
}

/* One for each sender: a sender's right to redact does not depend on the redaction, and a server
 * may send any number of them. The LIMIT makes each event a look-up by its id. */
SQL(pending_redactions_find_sql,
    "SELECT DISTINCT ON (p.target, e.sender) p.redaction FROM pending_redactions p "
    "CROSS JOIN LATERAL (SELECT position, sender, redacted_by IS NULL AS is_whole FROM events "
    "WHERE event_id = p.redaction LIMIT 1) e "
    "WHERE p.target = ANY($1) AND (p.room = $2 OR $2 = 0) "
    "ORDER BY p.target, e.sender, e.is_whole DESC, e.position DESC")

const struct err *pending_redactions_find(struct tx *tx, const struct room_version *v, int64_t room,
                                          const char *const *targets, size_t n,
                                          const char *const **ret, size_t *ret_n)
{
    struct rows rows;
    size_t good;
    const struct str *bytes = ids_as_bytes(tx->arena, v, targets, n, &good);
    TRY(db_query(tx, &pending_redactions_find_sql, P(BYTES_ARRAY(bytes, good), INT(room)), &rows));
    const char **list = arena_alloc_array(tx->arena, (size_t)rows.n + 1, sizeof *list);
    size_t found = 0;
    while (rows_next(&rows))
        list[found++] = event_id_from_bytes(tx->arena, v, row_bytes(&rows, 0));
    rows_finish(&rows);
    *ret = list;
    *ret_n = found;
    return NULL;
}

SQL(relations_insert_sql,
    "INSERT INTO relations (parent, child, room, sender, type, rel_type, key) "
    "SELECT u.parent, (SELECT position FROM log_head) - u.back, u.room, u.sender, u.type, "
    "u.rel_type, u.key FROM unnest($1::bytea[], $2::int8[], $3::int8[], $4::int8[], $5::int8[], "
    "$6::text[], $7::text[]) u(parent, back, room, sender, type, rel_type, key)")

static const struct batch_table relations_rows = {
    .sql = &relations_insert_sql,
    .columns = {DB_BYTES, DB_POSITION, DB_INT8, DB_INT8, DB_INT8, DB_TEXT, DB_TEXT},
    .columns_n = 7,
    .order = BATCH_OTHER,
};

void relations_write(struct write *w, const struct room_version *v, const struct relation *r,
                     int64_t room, int64_t sender, int64_t type, int at)
{
    struct str parent = event_id_to_bytes(write_arena(w), v, r->parent);
    write_row(w, &relations_rows,
              P(BYTES(parent), POSITION(at), INT(room), INT(sender), INT(type), TEXT(r->rel_type),
                TEXT(r->key)));
}

SQL(relations_insert_at_sql,
    "INSERT INTO relations (parent, child, room, sender, type, rel_type, key) "
    "VALUES ($1, $2, $3, $4, $5, $6, $7) ON CONFLICT DO NOTHING")

void relations_write_at(struct write *w, const struct room_version *v, const struct relation *r,
                        int64_t room, int64_t sender, int64_t type, int64_t position)
{
    struct str parent = event_id_to_bytes(write_arena(w), v, r->parent);
    if (parent.p)
        write_statement(w, &relations_insert_at_sql,
                        P(BYTES(parent), INT(position), INT(room), INT(sender), INT(type),
                          TEXT(r->rel_type), TEXT(r->key)));
}
