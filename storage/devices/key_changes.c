#include "storage/devices/key_changes.h"

#include "base/map.h"
#include "storage/rooms/sql_numbers.h"

/* A user counts as new unless they were joined
 * without a break from `since` on: a changed display name makes a new member event, too, and a user
 * who left and came back may have other devices. Member events since then are found by
 * room_state_by_start, so that large rooms cost no more than small ones; each OFFSET 0 makes the
 * planner use index probes where it would rather read a whole table (and so does event <> 0,
 * without which it reads all members from the primary key's index). Members learned by a resync
 * (storage/rooms/partial_rooms.c) are backdated, but count as new, too. */
#define MY_ROOMS(condition)                                                                        \
    "mine AS MATERIALIZED (SELECT room, membership, since FROM room_members "                      \
    " WHERE \"user\" = $1" condition ") "
#define MY_JOINED_ROOMS MY_ROOMS(" AND membership = " MEMBERSHIP_JOIN_SQL)
#define MY_ROOMS_OF_ANY_KIND MY_ROOMS("")
#define MOVED_SINCE                                                                                \
    "moved AS MATERIALIZED (SELECT m.room, u.id, u.user_id, t.membership, s.is_backdated "         \
    " FROM mine m CROSS JOIN LATERAL (SELECT state_key, "                                          \
    "  bool_or(event <= " EVENT_OFF_TIMELINE_MAX_SQL                                               \
    ") AS is_backdated FROM (SELECT type, state_key, "                                             \
    "event "                                                                                       \
    "   FROM room_state WHERE room = m.room AND valid_from > $3 AND event <> 0 OFFSET 0) c "       \
    "  WHERE type = " TYPE_MEMBER_SQL " GROUP BY state_key) s "                                    \
    " CROSS JOIN LATERAL (SELECT id, user_id FROM users WHERE user_id = s.state_key OFFSET 0) u "  \
    " CROSS JOIN LATERAL (SELECT membership FROM room_members "                                    \
    "  WHERE room = m.room AND \"user\" = u.id OFFSET 0) t WHERE u.id <> $1) "
#define MEMBERS_OF(room, memberships)                                                              \
    "LATERAL (SELECT \"user\" AS id FROM room_members WHERE room = " room                          \
    " AND membership IN (" memberships ") OFFSET 0)"
#define JOINED_MEMBERS MEMBERS_OF("m.room", MEMBERSHIP_JOIN_SQL)
#define MEMBERS_TO_BE MEMBERS_OF("m.room", MEMBERSHIP_JOIN_SQL ", " MEMBERSHIP_INVITE_SQL)
#define SHARES_A_ROOM(who)                                                                         \
    "EXISTS (SELECT FROM (SELECT room FROM room_members WHERE \"user\" = " who                     \
    " AND membership = " MEMBERSHIP_JOIN_SQL                                                       \
    " OFFSET 0) t CROSS JOIN LATERAL (SELECT FROM room_members "                                   \
    " WHERE room = t.room AND \"user\" = $1 AND membership = " MEMBERSHIP_JOIN_SQL " OFFSET 0) m)"

#define SHARES_A_ROOM_STILL SHARES_A_ROOM("gone.id")

#define SIGNED                                                                                     \
    "SELECT u.user_id FROM user_signature_changes s JOIN users u ON u.id = s.target "              \
    "WHERE s.signer = $1 AND s.position > $2 AND s.position <= $3"
SQL(keys_changed_sql,
    "SELECT u.user_id FROM device_list_changes c JOIN users u ON u.id = c.\"user\" "
    "WHERE c.position > $2 AND c.position <= $3 "
    "AND (c.\"user\" = $1 OR " SHARES_A_ROOM("c.\"user\"") ") UNION " SIGNED)

/* The same for long ranges, in which all users of the server may have changed: by the members of
 * the user's rooms, which are fewer. */
SQL(keys_changed_long_ago_sql,
    "WITH " MY_JOINED_ROOMS ", others AS (SELECT t.id FROM mine m CROSS JOIN " JOINED_MEMBERS " t "
    " UNION SELECT $1) "
    "SELECT u.user_id FROM others o CROSS JOIN LATERAL (SELECT FROM device_list_changes c "
    " WHERE c.\"user\" = o.id AND c.position > $2 AND c.position <= $3 OFFSET 0) c "
    "CROSS JOIN LATERAL (SELECT user_id FROM users WHERE id = o.id OFFSET 0) u UNION " SIGNED)

/* Others joined the user's rooms or were invited or knocked there, or the user joined theirs, which
 * also gives the user's own id. */
SQL(members_came_sql, "WITH " MY_JOINED_ROOMS ", " MOVED_SINCE
                      "SELECT user_id FROM moved WHERE membership IN (" MEMBERSHIP_INVITE_SQL
                      ", " MEMBERSHIP_KNOCK_SQL ") OR membership = " MEMBERSHIP_JOIN_SQL " "
                      " AND (is_backdated OR NOT stayed_joined(room, user_id, $3)) "
                      "UNION SELECT u.user_id FROM (SELECT room FROM mine WHERE since > $3 "
                      " AND NOT stayed_joined(room, $2, $3)) m CROSS JOIN " MEMBERS_TO_BE " t "
                      "CROSS JOIN LATERAL (SELECT user_id FROM users WHERE id = t.id OFFSET 0) u")

/* Others left rooms that the user was in, or the user left them; without users who share a room
 * again. */
SQL(members_went_sql,
    "WITH " MY_ROOMS_OF_ANY_KIND ", " MOVED_SINCE ", gone AS MATERIALIZED ( "
    " SELECT id FROM moved WHERE membership <> " MEMBERSHIP_JOIN_SQL
    " AND was_joined(room, user_id, $3) AND was_joined(room, $2, $3) UNION "
    " SELECT t.id FROM (SELECT room FROM mine WHERE since > $3 AND membership "
    "<> " MEMBERSHIP_JOIN_SQL " AND was_joined(room, $2, $3)) m CROSS JOIN " JOINED_MEMBERS " t) "
    "SELECT u.user_id FROM gone CROSS JOIN LATERAL (SELECT user_id FROM users "
    " WHERE id = gone.id AND id <> $1 OFFSET 0) u WHERE NOT " SHARES_A_ROOM_STILL)

/* The texts of both results' first columns, each once. */
static const char *const *texts_of(struct tx *tx, struct rows *rows, struct rows *more,
                                   size_t *ret_n)
{
    struct map seen = {0};
    struct rows *const both[] = {rows, more};
    const char **texts =
        arena_alloc_array(tx->arena, (size_t)rows->n + (size_t)more->n, sizeof *texts);
    size_t n = 0;
    for (int i = 0; i < 2; i++)
        while (rows_next(both[i])) {
            const char *text = row_text(both[i], 0);
            if (!map_put(&seen, str_of(text), (void *)text))
                texts[n++] = text;
        }
    map_finish(&seen);
    *ret_n = n;
    return texts;
}

const struct err *key_changes_read(struct tx *tx, int64_t user, const char *user_id, int64_t since,
                                   int64_t until, bool members_too, const char *const **ret_changed,
                                   size_t *ret_changed_n, const char *const **ret_left,
                                   size_t *ret_left_n)
{
    const struct db_param keys[] = {INT(user), INT(since), INT(until)};
    const struct db_param members[] = {INT(user), TEXT(user_id), INT(since)};
    struct rows changed, came = {0}, went = {0}, none = {0};
    const struct db_batch_query queries[] = {
        {until - since < LONG_RANGE ? &keys_changed_sql : &keys_changed_long_ago_sql, keys, 3,
         &changed},
        {&members_came_sql, members, 3, &came},
        {&members_went_sql, members, 3, &went},
    };
    TRY(db_query_many(tx, queries, members_too ? 3 : 1));
    *ret_changed = texts_of(tx, &changed, &came, ret_changed_n);
    *ret_left = texts_of(tx, &went, &none, ret_left_n);
    return NULL;
}
