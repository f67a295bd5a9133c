#include "storage/events.h"

#include "storage/event_rows.h"

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
    /* v3 and v4 spell the same bytes with different alphabets: the spelling must be the room's. */
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
