/* room_state (storage/rooms/room_state.h). */
#include "storage/rooms/room_state.h"
#include "storage/rooms/event_rows.h"
#include "storage/rooms/sql_numbers.h"

SQL(room_state_insert_sql,
    "INSERT INTO room_state (room, type, state_key, event, valid_from, valid_to) "
    "SELECT u.room, u.type, u.state_key, h.position - u.back, h.position - "
    "u.back, " VALID_FOREVER_SQL " FROM unnest($1::int8[], $2::int8[], $3::text[], $4::int8[]) "
    "u(room, type, state_key, back), log_head h")

static const struct batch_table room_state_rows = {
    .sql = &room_state_insert_sql,
    .columns = {DB_INT8, DB_INT8, DB_TEXT, DB_POSITION},
    .columns_n = 4,
    .order = BATCH_STATE,
};

/* Ends the interval before each of these changes, after the new rows were added: if a key changes
 * several times in one batch, each interval ends where the next one begins. That interval is the
 * row before the change in the order of the primary key, if it has the same key. The planner might
 * think another index as good, but by that it would have to search all members of the room. */
SQL(room_state_end_sql,
    "UPDATE room_state s SET valid_to = e.ends FROM ("
    "SELECT u.type, u.state_key, (SELECT position FROM log_head) - u.back AS ends, "
    "(SELECT r.ctid FROM room_state r WHERE r.room = u.room "
    "AND (r.type, r.state_key, r.valid_from) < "
    "(u.type, u.state_key, (SELECT position FROM log_head) - u.back) "
    "ORDER BY r.type DESC, r.state_key DESC, r.valid_from DESC LIMIT 1) AS place "
    "FROM unnest($1::int8[], $2::int8[], $3::text[], $4::int8[]) u(room, type, state_key, back) "
    "OFFSET 0) e WHERE s.ctid = e.place AND s.type = e.type AND s.state_key = e.state_key "
    "AND s.valid_to + 0 = " VALID_FOREVER_SQL)

static const struct batch_table room_state_ends = {
    .sql = &room_state_end_sql,
    .columns = {DB_INT8, DB_INT8, DB_TEXT, DB_POSITION},
    .columns_n = 4,
    .order = BATCH_STATE_ENDS,
};

void room_state_write(struct write *w, int64_t room, int64_t type, const char *state_key, int at,
                      bool had_predecessor)
{
    if (had_predecessor)
        room_state_end(w, room, type, state_key, at);
    write_row(w, &room_state_rows, P(INT(room), INT(type), TEXT(state_key), POSITION(at)));
}

SQL(room_state_backdated_sql,
    "INSERT INTO room_state (room, type, state_key, event, valid_from, valid_to) "
    "SELECT u.room, u.type, u.state_key, u.event, h.position - u.back, " VALID_FOREVER_SQL " "
    "FROM unnest($1::int8[], $2::int8[], $3::text[], $4::int8[], $5::int8[]) "
    "u(room, type, state_key, event, back), log_head h")

static const struct batch_table room_state_backdated_rows = {
    .sql = &room_state_backdated_sql,
    .columns = {DB_INT8, DB_INT8, DB_TEXT, DB_INT8, DB_POSITION},
    .columns_n = 5,
    .order = BATCH_STATE,
};

void room_state_write_known(struct write *w, int64_t room, int64_t type, const char *state_key,
                            int64_t event, int at, bool had_predecessor)
{
    if (had_predecessor)
        room_state_end(w, room, type, state_key, at);
    write_row(w, &room_state_backdated_rows,
              P(INT(room), INT(type), TEXT(state_key), INT(event), POSITION(at)));
}

SQL(room_state_past_sql,
    "INSERT INTO room_state (room, type, state_key, event, valid_from, valid_to) "
    "SELECT u.room, u.type, u.state_key, u.event, u.since, h.position - u.back "
    "FROM unnest($1::int8[], $2::int8[], $3::text[], $4::int8[], $5::int8[], $6::int8[]) "
    "u(room, type, state_key, event, since, back), log_head h ON CONFLICT DO NOTHING")

static const struct batch_table room_state_past_rows = {
    .sql = &room_state_past_sql,
    .columns = {DB_INT8, DB_INT8, DB_TEXT, DB_INT8, DB_INT8, DB_POSITION},
    .columns_n = 6,
    .order = BATCH_STATE,
};

void room_state_write_past(struct write *w, int64_t room, int64_t type, const char *state_key,
                           int64_t event, int64_t from, int at)
{
    write_row(w, &room_state_past_rows,
              P(INT(room), INT(type), TEXT(state_key), INT(event), INT(from), POSITION(at)));
}

void room_state_end(struct write *w, int64_t room, int64_t type, const char *state_key, int at)
{
    write_row(w, &room_state_ends, P(INT(room), INT(type), TEXT(state_key), POSITION(at)));
}

#define STATE_SELECT                                                                               \
    "SELECT " EVENT_COLUMNS                                                                        \
    ", s.valid_from FROM room_state s JOIN events e ON e.position = s.event "                      \
    "JOIN rooms r ON r.id = s.room "

/* Also fills `since`. */
static const struct err *state_rows(struct tx *tx, struct sql *s, const struct db_param *params,
                                    size_t n, const struct stored_event **ret, size_t *ret_n)
{
    struct rows rows;
    TRY(db_query(tx, s, params, n, &rows));
    struct stored_event *list = arena_alloc_array(tx->arena, (size_t)rows.n + 1, sizeof *list);
    size_t found = 0;
    const struct err *e = NULL;
    while (!e && rows_next(&rows)) {
        e = event_rows_read_one(tx->arena, &rows, &list[found]);
        list[found++].since = row_int(&rows, EVENT_COLUMNS_N);
    }
    rows_finish(&rows);
    if (e)
        return e;
    *ret = list;
    *ret_n = found;
    return NULL;
}

SQL(room_state_newest_sql,
    "SELECT GREATEST((SELECT max(valid_from) FROM room_state WHERE room = $1), "
    "(SELECT max(valid_to) FROM room_state WHERE room = $1 AND valid_to < " VALID_FOREVER_SQL "))")

const struct err *room_state_newest(struct tx *tx, int64_t room, int64_t *ret)
{
    return db_one(tx, &room_state_newest_sql, P(INT(room)), NULL, R(INT_OUT(ret)));
}

SQL(room_state_get_sql,
    STATE_SELECT "WHERE s.room = $1 AND s.type = $2 AND s.state_key = $3 AND s.valid_from <= $4 "
                 "AND s.valid_to > $4 ORDER BY s.valid_from DESC LIMIT 1")

const struct err *room_state_get(struct tx *tx, int64_t room, int64_t type, const char *state_key,
                                 int64_t at_position, const struct stored_event **ret)
{
    const struct stored_event *list;
    size_t n;
    TRY(state_rows(tx, &room_state_get_sql,
                   P(INT(room), INT(type), TEXT(state_key), INT(at_position)), &list, &n));
    *ret = n ? list : NULL;
    return NULL;
}

#define STATE_AT "WHERE s.room = $1 AND s.valid_to > $2 AND s.valid_from <= $2 "
SQL(room_state_list_sql, STATE_SELECT STATE_AT "ORDER BY s.valid_from")
SQL(room_state_others_sql,
    STATE_SELECT STATE_AT "AND s.type > " TYPE_MEMBER_SQL " ORDER BY s.valid_from")
SQL(room_state_only_members_sql,
    STATE_SELECT STATE_AT "AND s.type = " TYPE_MEMBER_SQL " ORDER BY s.valid_from")

const struct err *room_state_list(struct tx *tx, int64_t room, int64_t at_position,
                                  enum state_part part, const struct stored_event **ret,
                                  size_t *ret_n)
{
    struct sql *const by_part[] = {
        [STATE_ALL] = &room_state_list_sql,
        [STATE_WITHOUT_MEMBERS] = &room_state_others_sql,
        [STATE_ONLY_MEMBERS] = &room_state_only_members_sql,
    };
    return state_rows(tx, by_part[part], P(INT(room), INT(at_position)), ret, ret_n);
}

SQL(room_state_changes_sql, STATE_SELECT
    "WHERE s.room = $1 AND s.valid_from > $2 AND s.valid_from <= $3 "
    "AND s.valid_to > $3 AND ($4 OR s.event > " EVENT_OFF_TIMELINE_MAX_SQL " OR NOT EXISTS ( "
    " SELECT FROM room_state o WHERE o.room = s.room AND o.type = s.type "
    " AND o.state_key = s.state_key AND o.event = s.event AND o.valid_from <= $2 "
    " AND o.valid_to > $2)) ORDER BY s.valid_from")

const struct err *room_state_changes(struct tx *tx, int64_t room, int64_t from, int64_t to,
                                     bool with_backdated, const struct stored_event **ret,
                                     size_t *ret_n)
{
    return state_rows(tx, &room_state_changes_sql,
                      P(INT(room), INT(from), INT(to), BOOL(with_backdated)), ret, ret_n);
}

SQL(room_state_history_sql,
    STATE_SELECT "WHERE s.room = $1 AND s.type = $2 AND s.state_key = $3 ORDER BY s.valid_from")

const struct err *room_state_history(struct tx *tx, int64_t room, int64_t type,
                                     const char *state_key, const struct stored_event **ret,
                                     size_t *ret_n)
{
    return state_rows(tx, &room_state_history_sql, P(INT(room), INT(type), TEXT(state_key)), ret,
                      ret_n);
}

SQL(room_state_history_from_sql,
    STATE_SELECT "WHERE s.room = $1 AND s.type = $2 AND s.state_key = $3 AND s.valid_to > $4 "
                 "ORDER BY s.valid_from")

const struct err *room_state_history_from(struct tx *tx, int64_t room, int64_t type,
                                          const char *state_key, int64_t from,
                                          const struct stored_event **ret, size_t *ret_n)
{
    return state_rows(tx, &room_state_history_from_sql,
                      P(INT(room), INT(type), TEXT(state_key), INT(from)), ret, ret_n);
}

SQL(room_state_members_sql,
    STATE_SELECT "WHERE s.room = $1 AND s.type = " TYPE_MEMBER_SQL " AND s.state_key = ANY($3) "
                 "AND s.valid_to > $2 AND s.valid_from <= $2")

const struct err *room_state_members(struct tx *tx, int64_t room, int64_t at_position,
                                     const char *const *user_ids, size_t n,
                                     const struct stored_event **ret, size_t *ret_n)
{
    return state_rows(tx, &room_state_members_sql,
                      P(INT(room), INT(at_position), TEXT_ARRAY(user_ids, n)), ret, ret_n);
}

SQL(room_state_first_member_sql,
    "SELECT valid_from FROM room_state WHERE room = $1 AND type = " TYPE_MEMBER_SQL " "
    "ORDER BY valid_from LIMIT 1")

const struct err *room_state_first_member(struct tx *tx, int64_t room, int64_t *ret)
{
    bool found;
    TRY(db_one(tx, &room_state_first_member_sql, P(INT(room)), &found, R(INT_OUT(ret))));
    if (!found)
        *ret = 0;
    return NULL;
}

SQL(room_state_members_page_sql,
    STATE_SELECT "WHERE s.room = $1 AND s.type = " TYPE_MEMBER_SQL " AND s.state_key > $3 "
                 "AND s.valid_to > $2 AND s.valid_from <= $2 ORDER BY s.state_key LIMIT $4")

const struct err *room_state_members_page(struct tx *tx, int64_t room, int64_t at_position,
                                          const char *after, int64_t limit,
                                          const struct stored_event **ret, size_t *ret_n)
{
    return state_rows(tx, &room_state_members_page_sql,
                      P(INT(room), INT(at_position), TEXT(after), INT(limit)), ret, ret_n);
}
