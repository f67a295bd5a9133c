#include "storage/rooms/state_refs.h"

#include "matrix/event.h"
#include "storage/rooms/events.h"

#include <assert.h>

SQL(state_refs_reserve_sql, "SELECT nextval('state_refs_id_seq') FROM generate_series(1, $1)")

const struct err *state_refs_reserve(struct tx *tx, size_t n, const int64_t **ret)
{
    const int64_t *list;
    size_t got;
    TRY(db_ints(tx, &state_refs_reserve_sql, P(INT((int64_t)n)), &list, &got));
    assert(got == n);
    *ret = list;
    return NULL;
}

SQL(state_refs_insert_sql, "INSERT INTO state_refs (id, room, base, parent) "
                           "SELECT * FROM unnest($1::int8[], $2::int8[], $3::int8[], $4::int8[])")
SQL(state_ref_entries_insert_sql,
    "INSERT INTO state_ref_entries (ref, type, state_key, event) "
    "SELECT * FROM unnest($1::int8[], $2::int8[], $3::text[], $4::int8[])")
SQL(state_ref_entries_at_sql,
    "INSERT INTO state_ref_entries (ref, type, state_key, event) "
    "SELECT u.ref, u.type, u.state_key, (SELECT position FROM log_head) - u.back "
    "FROM unnest($1::int8[], $2::int8[], $3::text[], $4::int8[]) u(ref, type, state_key, back)")
SQL(event_states_insert_sql,
    "INSERT INTO event_states (event, ref) SELECT (SELECT position FROM log_head) - u.back, u.ref "
    "FROM unnest($1::int8[], $2::int8[]) u(back, ref) "
    "ON CONFLICT (event) DO UPDATE SET ref = excluded.ref")
SQL(event_states_known_sql,
    "INSERT INTO event_states (event, ref) SELECT * FROM unnest($1::int8[], $2::int8[]) "
    "ON CONFLICT (event) DO UPDATE SET ref = excluded.ref")

static const struct batch_table state_refs_rows = {
    .sql = &state_refs_insert_sql,
    .columns = {DB_INT8, DB_INT8, DB_INT8, DB_INT8},
    .columns_n = 4,
    .order = BATCH_OTHER,
};
static const struct batch_table state_ref_entries_rows = {
    .sql = &state_ref_entries_insert_sql,
    .columns = {DB_INT8, DB_INT8, DB_TEXT, DB_INT8},
    .columns_n = 4,
    .order = BATCH_OTHER,
};
static const struct batch_table state_ref_entries_at_rows = {
    .sql = &state_ref_entries_at_sql,
    .columns = {DB_INT8, DB_INT8, DB_TEXT, DB_POSITION},
    .columns_n = 4,
    .order = BATCH_OTHER,
};
static const struct batch_table event_states_rows = {
    .sql = &event_states_insert_sql,
    .columns = {DB_POSITION, DB_INT8},
    .columns_n = 2,
    .order = BATCH_OTHER,
};
static const struct batch_table event_states_known_rows = {
    .sql = &event_states_known_sql,
    .columns = {DB_INT8, DB_INT8},
    .columns_n = 2,
    .order = BATCH_OTHER,
};

static void write_entries(struct write *w, int64_t id, const struct state_ref_entry *entries,
                          size_t n)
{
    for (size_t i = 0; i < n; i++) {
        const struct state_ref_entry *e = &entries[i];
        if (e->at)
            write_row(w, &state_ref_entries_at_rows,
                      P(INT(id), INT(e->type), TEXT(e->state_key), POSITION(e->at)));
        else
            write_row(
                w, &state_ref_entries_rows,
                P(INT(id), INT(e->type), TEXT(e->state_key), INT_OR_NULL(e->event, e->as_base)));
    }
}

void state_ref_write(struct write *w, int64_t id, int64_t room, int64_t base, int64_t parent,
                     const struct state_ref_entry *entries, size_t n)
{
    write_row(w, &state_refs_rows, P(INT(id), INT(room), INT(base), INT(parent)));
    write_entries(w, id, entries, n);
}

SQL(state_refs_insert_at_sql,
    "INSERT INTO state_refs (id, room, base, parent) VALUES ($1, $2, log_at($3), 0)")

void state_ref_write_at(struct write *w, int64_t id, int64_t room, int at,
                        const struct state_ref_entry *entries, size_t n)
{
    write_statement(w, &state_refs_insert_at_sql, P(INT(id), INT(room), POSITION(at)));
    write_entries(w, id, entries, n);
}

void event_state_write(struct write *w, int at, int64_t position, int64_t ref)
{
    if (at)
        write_row(w, &event_states_rows, P(POSITION(at), INT(ref)));
    else
        write_row(w, &event_states_known_rows, P(INT(position), INT(ref)));
}

/* In a chain of references the nearest entry of each key counts; NULL: as at the base. */
SQL(state_ref_read_sql,
    "WITH RECURSIVE chain AS (SELECT id, parent, 0 AS distance FROM state_refs WHERE id = $1 "
    "UNION ALL SELECT r.id, r.parent, c.distance + 1 FROM chain c JOIN state_refs r "
    "ON r.id = c.parent WHERE c.distance < 1000), "
    "own AS MATERIALIZED (SELECT type, state_key, event FROM ("
    "SELECT DISTINCT ON (e.type, e.state_key) e.type, e.state_key, e.event "
    "FROM chain c JOIN state_ref_entries e ON e.ref = c.id "
    "ORDER BY e.type, e.state_key, c.distance) nearest WHERE event IS NOT NULL) "
    "SELECT own.type, own.state_key, own.event, r.base FROM state_refs r LEFT JOIN own ON true "
    "WHERE r.id = $1")

/* Every row has the base; without differences there is one row without a key. */
static const struct err *read_with_base(struct tx *tx, struct rows *rows, int64_t *ret_base,
                                        const struct state_ref_entry **ret, size_t *ret_n,
                                        bool *ret_found)
{
    struct state_ref_entry *list = arena_alloc_array(tx->arena, (size_t)rows->n + 1, sizeof *list);
    size_t n = 0;
    *ret_found = rows->n > 0;
    *ret_base = 0;
    while (rows_next(rows)) {
        *ret_base = row_int(rows, 3);
        if (row_is_null(rows, 0))
            continue;
        list[n++] = (struct state_ref_entry){
            .type = row_int(rows, 0),
            .state_key = arena_strdup(tx->arena, row_text(rows, 1)),
            .event = row_int(rows, 2),
        };
    }
    rows_finish(rows);
    *ret = list;
    *ret_n = n;
    return NULL;
}

const struct err *state_ref_read(struct tx *tx, int64_t ref, int64_t *ret_base,
                                 const struct state_ref_entry **ret, size_t *ret_n, bool *ret_found)
{
    struct rows rows;
    TRY(db_query(tx, &state_ref_read_sql, P(INT(ref)), &rows));
    return read_with_base(tx, &rows, ret_base, ret, ret_n, ret_found);
}

SQL(state_differences_sql, "SELECT n, base, type, state_key, event "
                           "FROM state_differences($1, $2, $3) ORDER BY n")

static const struct err *read_differences(struct tx *tx, struct rows *rows, size_t n,
                                          struct state_difference *ret)
{
    struct state_ref_entry *list = arena_alloc_array(tx->arena, (size_t)rows->n + 1, sizeof *list);
    size_t at = 0;
    for (size_t i = 0; i < n; i++)
        ret[i] = (struct state_difference){.entries = list};
    while (rows_next(rows)) {
        struct state_difference *d = &ret[row_int(rows, 0) - 1];
        d->is_known = !row_is_null(rows, 1);
        d->base = row_int(rows, 1);
        if (!d->n)
            d->entries = list + at;
        if (row_is_null(rows, 2) || !d->is_known)
            continue;
        list[at++] = (struct state_ref_entry){
            .type = row_int(rows, 2),
            .state_key = arena_strdup(tx->arena, row_text(rows, 3)),
            .event = row_int(rows, 4),
        };
        d->n++;
    }
    rows_finish(rows);
    return NULL;
}

const struct err *state_differences(struct tx *tx, int64_t room, const int64_t *refs,
                                    const int64_t *positions, size_t n,
                                    struct state_difference *ret)
{
    struct rows rows;
    TRY(db_query(tx, &state_differences_sql,
                 P(INT(room), INT_ARRAY(refs, n), INT_ARRAY(positions, n)), &rows));
    return read_differences(tx, &rows, n, ret);
}

SQL(event_state_find_sql, "SELECT ref FROM event_states WHERE event = $1")

const struct err *event_state_find(struct tx *tx, int64_t position, int64_t *ret_ref)
{
    return db_one(tx, &event_state_find_sql, P(INT(position)), NULL, R(INT_OUT(ret_ref)));
}

SQL(room_state_names_sql,
    "SELECT s.type, t.type, s.state_key, e.event_id, s.event, r.room_version FROM room_state s "
    "JOIN event_types t ON t.id = s.type JOIN events e ON e.position = s.event "
    "JOIN rooms r ON r.id = s.room "
    "WHERE s.room = $1 AND s.valid_from <= $2 AND s.valid_to > $2")

const struct err *room_state_names(struct tx *tx, int64_t room, int64_t at_position,
                                   const struct state_name **ret, size_t *ret_n)
{
    struct rows rows;
    TRY(db_query(tx, &room_state_names_sql, P(INT(room), INT(at_position)), &rows));
    struct state_name *list = arena_alloc_array(tx->arena, (size_t)rows.n + 1, sizeof *list);
    size_t n = 0;
    const struct room_version *v = NULL;
    while (rows_next(&rows)) {
        if (!v)
            v = room_version_find(row_text(&rows, 5));
        list[n++] = (struct state_name){
            .type = row_int(&rows, 0),
            .type_text = arena_strdup(tx->arena, row_text(&rows, 1)),
            .state_key = arena_strdup(tx->arena, row_text(&rows, 2)),
            .event_id = event_id_from_bytes(tx->arena, v, row_bytes(&rows, 3)),
            .event = row_int(&rows, 4),
        };
    }
    rows_finish(&rows);
    *ret = list;
    *ret_n = n;
    return NULL;
}
