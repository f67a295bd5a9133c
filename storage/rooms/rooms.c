#include "storage/rooms/rooms.h"

SQL(rooms_get_sql, "SELECT id, room_id, room_version, version, depth, notify_total, "
                   "highlight_total, is_published, entered, noted IS NOT NULL, "
                   "(SELECT max(position) FROM history_ends WHERE room = $1) "
                   "FROM rooms WHERE id = $1")
SQL(rooms_extremities_sql, "SELECT unnest(extremities) FROM rooms WHERE id = $1")

const struct err *rooms_get(struct tx *tx, int64_t id, const struct room_head **ret)
{
    struct room_head *h = arena_alloc(tx->arena, sizeof *h);
    const char *version;
    bool found;
    TRY(db_one(tx, &rooms_get_sql, P(INT(id)), &found,
               R(INT_OUT(&h->id), TEXT_OUT(&h->room_id), TEXT_OUT(&version), INT_OUT(&h->version),
                 INT_OUT(&h->depth), INT_OUT(&h->notify_total), INT_OUT(&h->highlight_total),
                 BOOL_OUT(&h->is_published), INT_OUT(&h->joined_at), BOOL_OUT(&h->is_noted),
                 INT_OUT(&h->gap))));
    if (!found) {
        *ret = NULL;
        return NULL;
    }
    h->room_version = room_version_find(version);
    if (!h->room_version)
        return err_internal("room %s has unknown version %s", h->room_id, version);
    struct str one;
    TRY(db_list(tx, &rooms_extremities_sql, P(INT(id)), R(BYTES_OUT(&one)),
                LIST(one, &h->extremities, &h->extremities_n)));
    *ret = h;
    return NULL;
}

SQL(rooms_next_id_sql, "SELECT nextval('rooms_id_seq')")

const struct err *rooms_next_id(struct tx *tx, int64_t *ret)
{
    return db_one(tx, &rooms_next_id_sql, NO_PARAMS, NULL, R(INT_OUT(ret)));
}

SQL(rooms_reserve_ids_sql, "SELECT nextval('rooms_id_seq') FROM generate_series(1, $1)")

const struct err *rooms_reserve_ids(struct tx *tx, size_t n, const int64_t **ret)
{
    size_t found;
    return db_ints(tx, &rooms_reserve_ids_sql, P(INT((int64_t)n)), ret, &found);
}

SQL(rooms_count_of_source_sql,
    "SELECT count(*) FROM (SELECT FROM rooms WHERE source = $1 LIMIT $2) r")

const struct err *rooms_count_of_source(struct tx *tx, int64_t source, int64_t most, int64_t *ret)
{
    return db_one(tx, &rooms_count_of_source_sql, P(INT(source), INT(most)), NULL, R(INT_OUT(ret)));
}

/* bytea[] as text, since an array of arrays cannot be unnested by row. */
static const char *extremities_text(struct arena *a, const struct room_head *h)
{
    buf_auto struct buf b = {0};
    buf_add_char(&b, '{');
    for (size_t i = 0; i < h->extremities_n; i++)
        buf_printf(&b, "%s\"\\\\x%s\"", i ? "," : "",
                   hex_encode(a, h->extremities[i].p, h->extremities[i].n));
    buf_add_char(&b, '}');
    return arena_memdup(a, b.p, b.n);
}

SQL(rooms_insert_sql,
    "INSERT INTO rooms (id, room_id, room_version, version, depth, extremities, notify_total, "
    "highlight_total, is_published, source) SELECT u.id, u.room_id, u.room_version, u.version, "
    "u.depth, "
    "u.extremities::bytea[], u.notify_total, u.highlight_total, u.is_published, u.source "
    "FROM unnest($1::int8[], $2::text[], $3::text[], $4::int8[], $5::int8[], $6::text[], "
    "$7::int8[], $8::int8[], $9::bool[], $10::int8[]) u(id, room_id, room_version, version, depth, "
    "extremities, notify_total, highlight_total, is_published, source)")

static const struct batch_table rooms_new_rows = {
    .sql = &rooms_insert_sql,
    .columns = {DB_INT8, DB_TEXT, DB_TEXT, DB_INT8, DB_INT8, DB_TEXT, DB_INT8, DB_INT8, DB_BOOL,
                DB_INT8},
    .columns_n = 10,
    .order = BATCH_ROOMS,
};

void rooms_write_new(struct write *w, const struct room_head *h)
{
    write_row(w, &rooms_new_rows,
              P(INT(h->id), TEXT(h->room_id), TEXT(h->room_version->id), INT(h->version),
                INT(h->depth), TEXT(extremities_text(write_arena(w), h)), INT(h->notify_total),
                INT(h->highlight_total), BOOL(h->is_published), INT(h->source)));
}

SQL(rooms_head_sql,
    "WITH changed AS (UPDATE rooms r SET version = u.version, depth = u.depth, "
    "extremities = u.extremities::bytea[], notify_total = u.notify_total, "
    "highlight_total = u.highlight_total "
    "FROM unnest($1::int8[], $2::int8[], $3::int8[], $4::int8[], $5::text[], $6::int8[], "
    "$7::int8[]) u(id, built_on, version, depth, extremities, notify_total, highlight_total) "
    "WHERE r.id = u.id AND r.version = u.built_on RETURNING 1) "
    "SELECT CASE WHEN n = cardinality($1::int8[]) THEN true "
    "ELSE expect_rows(n, cardinality($1::int8[])) END FROM (SELECT count(*) AS n FROM changed) c")

SQL(rooms_versions_sql, "SELECT id, version FROM rooms WHERE id = ANY($1)")

enum { HEAD_COLUMNS = 7 };

/* Two writes to one room in one batch: the later head is stored, the earlier base is checked. If
 * the later was not built on the earlier, the batch fails. */
static void merge_heads(struct db_param *older, const struct db_param *newer)
{
    if (newer[VERSION_BUILT_ON].i != older[VERSION_OWN].i)
        older[VERSION_BUILT_ON].i = -1;
    memcpy(older + VERSION_OWN, newer + VERSION_OWN, (HEAD_COLUMNS - VERSION_OWN) * sizeof *older);
}

static const struct batch_table rooms_head_rows = {
    .sql = &rooms_head_sql,
    .columns = {DB_INT8, DB_INT8, DB_INT8, DB_INT8, DB_TEXT, DB_INT8, DB_INT8},
    .columns_n = HEAD_COLUMNS,
    .order = BATCH_ROOMS,
    .key_columns = 1,
    .merge = merge_heads,
    .stored_versions = &rooms_versions_sql,
};

void rooms_write_head(struct write *w, const struct room_head *h, int64_t built_on)
{
    write_row(w, &rooms_head_rows,
              P(INT(h->id), INT(built_on), INT(h->version), INT(h->depth),
                TEXT(extremities_text(write_arena(w), h)), INT(h->notify_total),
                INT(h->highlight_total)));
}

SQL(rooms_retype_sql, "UPDATE rooms SET room_version = $2, version = 0, depth = 0, "
                      "extremities = '{}' WHERE id = $1")
SQL(rooms_drop_events_sql, "DELETE FROM events WHERE room = $1")
SQL(rooms_drop_state_sql, "DELETE FROM room_state WHERE room = $1")
SQL(rooms_drop_auth_nodes_sql, "DELETE FROM auth_nodes WHERE room = $1")
SQL(rooms_drop_members_sql, "DELETE FROM room_members WHERE room = $1")

void rooms_write_drop_contents(struct write *w, int64_t room)
{
    write_set_large(w);
    write_statement(w, &rooms_drop_events_sql, P(INT(room)));
    write_statement(w, &rooms_drop_state_sql, P(INT(room)));
    write_statement(w, &rooms_drop_members_sql, P(INT(room)));
    write_statement(w, &rooms_drop_auth_nodes_sql, P(INT(room)));
}

void rooms_write_reset(struct write *w, int64_t room, const char *version)
{
    rooms_write_drop_contents(w, room);
    write_statement(w, &rooms_retype_sql, P(INT(room), TEXT(version)));
}

SQL(rooms_joined_remotely_sql, "UPDATE rooms SET entered = log_at($2), noted = NULL, "
                               "source = CASE WHEN source > 0 THEN source END WHERE id = $1")

void rooms_write_joined_remotely(struct write *w, int64_t room, int at)
{
    write_statement(w, &rooms_joined_remotely_sql, P(INT(room), POSITION(at)));
}

/* One text, since tens of thousands of rows take several times as long. */
SQL(rooms_published_sql,
    "SELECT count(*), COALESCE(string_agg(id::text, ' ' ORDER BY id), '') FROM rooms "
    "WHERE is_published")

const struct err *rooms_published(struct tx *tx, const int64_t **ret, size_t *ret_n)
{
    const char *text;
    int64_t count;
    TRY(db_one(tx, &rooms_published_sql, NO_PARAMS, NULL, R(INT_OUT(&count), TEXT_OUT(&text))));
    int64_t *ids = arena_alloc_array(tx->arena, (size_t)count + 1, sizeof *ids);
    char *at = (char *)text;
    for (int64_t i = 0; i < count; i++)
        ids[i] = strtoll(at, &at, 10);
    *ret = ids;
    *ret_n = (size_t)count;
    return NULL;
}

SQL(rooms_set_published_sql, "UPDATE rooms SET is_published = $2 WHERE id = $1")

const struct err *rooms_set_published(struct tx *tx, int64_t id, bool is_published)
{
    return db_exec(tx, &rooms_set_published_sql, P(INT(id), BOOL(is_published)), NULL);
}

SQL(rooms_changed_since_sql,
    "SELECT EXISTS (SELECT 1 FROM events e WHERE e.room = u.id AND e.position > $2) OR "
    "EXISTS (SELECT 1 FROM receipts c WHERE c.room = u.id AND c.position > $2) "
    "FROM unnest($1::int8[]) WITH ORDINALITY u(id, n) ORDER BY u.n")

const struct err *rooms_changed_since(struct tx *tx, const int64_t *ids, size_t n, int64_t since,
                                      bool *ret)
{
    struct rows rows;
    TRY(db_query(tx, &rooms_changed_since_sql, P(INT_ARRAY(ids, n), INT(since)), &rows));
    for (size_t i = 0; rows_next(&rows); i++)
        ret[i] = row_bool(&rows, 0);
    rows_finish(&rows);
    return NULL;
}
