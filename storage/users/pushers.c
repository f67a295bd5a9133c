#include "storage/users/pushers.h"

#include "storage/rooms/sql_numbers.h"

/* ---- for the client-server API ---- */

SQL(pushers_space_sql, "SELECT count(*) FROM pushers WHERE \"user\" = $1 "
                       "AND (app_id, pushkey) <> ($2, $3)")

const struct err *pushers_check_space(struct tx *tx, const struct pusher *p)
{
    int64_t n;
    TRY(db_one(tx, &pushers_space_sql, P(INT(p->user), TEXT(p->app_id), TEXT(p->pushkey)), NULL,
               R(INT_OUT(&n))));
    return n < PUSHERS_MAX ? NULL : err(ERR_TOO_LARGE, "A user may have %d pushers", PUSHERS_MAX);
}

SQL(pushers_others_sql, "SELECT \"user\" FROM pushers WHERE app_id = $2 AND pushkey = $3 "
                        "AND \"user\" <> $1 LIMIT 1000")

const struct err *pushers_find_others(struct tx *tx, const struct pusher *p, const int64_t **ret,
                                      size_t *ret_n)
{
    return db_ints(tx, &pushers_others_sql, P(INT(p->user), TEXT(p->app_id), TEXT(p->pushkey)), ret,
                   ret_n);
}

SQL(pushers_set_sql,
    "WITH others AS (DELETE FROM pushers WHERE $6 AND app_id = $3 AND pushkey = $4 "
    "AND \"user\" <> $1) "
    "INSERT INTO pushers AS p (\"user\", device, app_id, pushkey, json, sent_position, set_ts) "
    "VALUES ($1, $2, $3, $4, $5, log_at($7), $8) "
    "ON CONFLICT (app_id, pushkey, \"user\") DO UPDATE SET device = excluded.device, "
    "json = excluded.json, set_ts = excluded.set_ts")

void pushers_write(struct write *w, const struct pusher *p, bool alone, int at)
{
    write_statement(w, &pushers_set_sql,
                    P(INT(p->user), INT(p->device), TEXT(p->app_id), TEXT(p->pushkey),
                      BYTES(p->json), BOOL(alone), POSITION(at), INT(p->set_ts)));
}

SQL(pushers_delete_sql, "DELETE FROM pushers WHERE \"user\" = $1 AND app_id = $2 AND pushkey = $3")

void pushers_write_deletion(struct write *w, int64_t user, const char *app_id, const char *pushkey)
{
    write_statement(w, &pushers_delete_sql, P(INT(user), TEXT(app_id), TEXT(pushkey)));
}

SQL(pushers_list_sql, "SELECT p.json, d.device_id FROM pushers p LEFT JOIN devices d "
                      "ON d.id = p.device WHERE p.\"user\" = $1 ORDER BY p.id")

const struct err *pushers_list(struct tx *tx, int64_t user, const struct listed_pusher **ret,
                               size_t *ret_n)
{
    struct listed_pusher one = {0};
    return db_list(tx, &pushers_list_sql, P(INT(user)),
                   R(BYTES_OUT(&one.json), TEXT_OUT(&one.device_id)), LIST(one, ret, ret_n));
}

/* ---- for sending ---- */

#define ROWS                                                                                       \
    "SELECT p.id, p.\"user\", u.user_id, p.app_id, p.pushkey, p.json, p.sent_position, p.set_ts, " \
    "p.is_behind, EXISTS (SELECT FROM account_data a WHERE a.\"user\" = p.\"user\" AND a.room = 0" \
    " AND a.type = 'm.ignored_user_list') FROM pushers p JOIN users u ON u.id = p.\"user\" "
SQL(pushers_of_slices_sql, ROWS "WHERE p.\"user\" % 32 = ANY($1::bigint[]) ORDER BY p.id")
SQL(pushers_of_user_sql, ROWS "WHERE p.\"user\" = $1 ORDER BY p.id")
static_assert(LEASE_SLICES == 32, "as in the statement and its index");

static const struct err *pushers_read_rows(struct tx *tx, struct sql *s,
                                           const struct db_param *params, size_t params_n,
                                           const struct pusher_row **ret, size_t *ret_n)
{
    struct pusher_row one = {0};
    return db_list(tx, s, params, params_n,
                   R(INT_OUT(&one.id), INT_OUT(&one.user), TEXT_OUT(&one.user_id),
                     TEXT_OUT(&one.app_id), TEXT_OUT(&one.pushkey), BYTES_OUT(&one.json),
                     INT_OUT(&one.sent_position), INT_OUT(&one.set_ts), BOOL_OUT(&one.is_behind),
                     BOOL_OUT(&one.may_ignore)),
                   LIST(one, ret, ret_n));
}

const struct err *pushers_of_slices(struct tx *tx, const int64_t *slices, size_t n,
                                    const struct pusher_row **ret, size_t *ret_n)
{
    return pushers_read_rows(tx, &pushers_of_slices_sql, P(INT_ARRAY(slices, n)), ret, ret_n);
}

const struct err *pushers_of_user(struct tx *tx, int64_t user, const struct pusher_row **ret,
                                  size_t *ret_n)
{
    return pushers_read_rows(tx, &pushers_of_user_sql, P(INT(user)), ret, ret_n);
}

SQL(pushers_reject_sql, "DELETE FROM pushers WHERE id = $1 AND pushkey = $2")

const struct err *pushers_reject(struct tx *tx, int64_t id, const char *pushkey)
{
    return db_exec(tx, &pushers_reject_sql, P(INT(id), TEXT(pushkey)), NULL);
}

SQL(pushers_cursors_sql,
    "UPDATE pushers p SET sent_position = greatest(p.sent_position, u.position), "
    "is_behind = u.behind <> 0 "
    "FROM unnest($1::bigint[], $2::bigint[], $3::bigint[]) AS u (id, position, behind) "
    "WHERE p.id = u.id")

void pushers_write_cursors(struct write *w, const struct pusher_cursor *list, size_t n)
{
    struct arena *a = write_arena(w);
    int64_t *ids = arena_alloc_array(a, n, sizeof *ids);
    int64_t *positions = arena_alloc_array(a, n, sizeof *positions);
    int64_t *behind = arena_alloc_array(a, n, sizeof *behind);
    for (size_t i = 0; i < n; i++) {
        ids[i] = list[i].id;
        positions[i] = list[i].position;
        behind[i] = list[i].is_behind;
    }
    write_statement(w, &pushers_cursors_sql,
                    P(INT_ARRAY(ids, n), INT_ARRAY(positions, n), INT_ARRAY(behind, n)));
}

SQL(push_slices_read_sql, "SELECT slice, position FROM push_slices")

const struct err *push_slices_read(struct tx *tx, int64_t ret[static LEASE_SLICES])
{
    struct rows rows;
    TRY(db_query(tx, &push_slices_read_sql, NO_PARAMS, &rows));
    memset(ret, 0, LEASE_SLICES * sizeof *ret);
    while (rows_next(&rows)) {
        int64_t slice = row_int(&rows, 0);
        if (slice >= 0 && slice < LEASE_SLICES)
            ret[slice] = row_int(&rows, 1);
    }
    return NULL;
}

SQL(push_slices_write_sql,
    "INSERT INTO push_slices AS s (slice, position) "
    "SELECT u.slice, u.position FROM unnest($1::bigint[], $2::bigint[]) AS u (slice, position) "
    "ON CONFLICT (slice) DO UPDATE SET position = greatest(s.position, excluded.position)")

void push_slices_write(struct write *w, const int64_t positions[static LEASE_SLICES])
{
    int64_t *slices = arena_alloc_array(write_arena(w), LEASE_SLICES, sizeof *slices);
    int64_t *list = arena_alloc_array(write_arena(w), LEASE_SLICES, sizeof *list);
    size_t n = 0;
    for (int i = 0; i < LEASE_SLICES; i++)
        if (positions[i]) {
            slices[n] = i;
            list[n++] = positions[i];
        }
    write_statement(w, &push_slices_write_sql, P(INT_ARRAY(slices, n), INT_ARRAY(list, n)));
}

/* A room whose newest event has a receipt has nothing unread: those are most of them. */
SQL(pushers_unread_rooms_sql,
    "SELECT m.room FROM room_members m WHERE m.\"user\" = $1 "
    "AND (m.membership = " MEMBERSHIP_INVITE_SQL " OR m.membership = " MEMBERSHIP_JOIN_SQL
    " AND (SELECT max(position) FROM events e WHERE e.room = m.room) > "
    "COALESCE((SELECT max(r.event) FROM receipts r WHERE r.room = m.room AND r.\"user\" = $1 "
    "AND r.thread = ''), 0)) ORDER BY m.room DESC LIMIT $2")

const struct err *pushers_unread_rooms(struct tx *tx, int64_t user, const int64_t **ret,
                                       size_t *ret_n)
{
    return db_ints(tx, &pushers_unread_rooms_sql, P(INT(user), INT(PUSH_UNREAD_ROOMS_MAX)), ret,
                   ret_n);
}
