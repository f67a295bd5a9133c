#include "storage/rooms/backward_extremities.h"

#include "storage/rooms/event_rows.h"

SQL(history_ends_read_sql, "SELECT " EVENT_COLUMNS ", h.missing FROM history_ends h "
                           "JOIN events e ON e.position = h.position JOIN rooms r ON r.id = h.room "
                           "WHERE h.room = $1 ORDER BY h.position DESC LIMIT $2")

const struct err *backward_extremities_read(struct tx *tx, int64_t room, int64_t limit,
                                            const struct backward_extremity **ret, size_t *ret_n)
{
    struct rows rows;
    TRY(db_query(tx, &history_ends_read_sql, P(INT(room), INT(limit)), &rows));
    struct backward_extremity *list =
        arena_alloc_array(tx->arena, (size_t)rows.n + 1, sizeof *list);
    size_t n = 0;
    const struct err *e = NULL;
    while (!e && rows_next(&rows)) {
        struct stored_event *event = arena_alloc(tx->arena, sizeof *event);
        e = event_rows_read_one(tx->arena, &rows, event);
        list[n].event = event;
        list[n].missing = row_bytes_array(&rows, EVENT_COLUMNS_N, &list[n].missing_n);
        n++;
    }
    *ret = list;
    *ret_n = n;
    return e;
}

SQL(history_ends_insert_sql,
    "INSERT INTO history_ends (room, position, missing) VALUES ($1, CASE WHEN $3 THEN log_at($2) "
    "ELSE $4 END, $5) ON CONFLICT (room, position) DO UPDATE SET missing = excluded.missing")

void backward_extremity_write(struct write *w, int64_t room, int at, int64_t position,
                              const struct str *missing, size_t n)
{
    write_statement(w, &history_ends_insert_sql,
                    P(INT(room), at ? POSITION(at) : INT(0), BOOL(at != 0), INT(position),
                      BYTES_ARRAY(missing, n)));
}

SQL(history_ends_delete_sql, "DELETE FROM history_ends WHERE room = $1 AND position = $2")

const struct err *backward_extremity_delete(struct tx *tx, int64_t room, int64_t position)
{
    return db_exec(tx, &history_ends_delete_sql, P(INT(room), INT(position)), NULL);
}
