#include "storage/key_changes.h"

#include "base/map.h"

/* Membership numbers are enum membership: 1 is join. What the member was at `since` decides who
 * came and went, because a changed display name makes a new member event, too. Member events since
 * then are found by room_state_by_start, so that large rooms cost no more than small ones. */
#define SHARES_A_ROOM(who)                                                                         \
    "EXISTS (SELECT FROM room_members theirs JOIN room_members mine ON mine.room = theirs.room "   \
    " AND mine.\"user\" = $1 AND mine.membership = 1 "                                             \
    " WHERE theirs.\"user\" = " who " AND theirs.membership = 1)"

SQL(keys_changed_sql,
    "SELECT u.user_id FROM device_list_changes c JOIN users u ON u.id = c.\"user\" "
    "WHERE c.position > $2 AND c.position <= $3 "
    "AND (c.\"user\" = $1 OR " SHARES_A_ROOM(
        "c.\"user\"") ") "
                      "UNION "
                      "SELECT u.user_id FROM user_signature_changes s JOIN users u ON u.id = "
                      "s.target "
                      "WHERE s.signer = $1 AND s.position > $2 AND s.position <= $3")

/* Others came into the user's rooms, or the user came to theirs. */
SQL(members_came_sql,
    "SELECT u.user_id FROM room_members mine "
    "JOIN room_state s ON s.room = mine.room AND s.valid_from > $3 AND s.type = 1 "
    "JOIN users u ON u.user_id = s.state_key JOIN room_members theirs "
    "ON theirs.room = mine.room AND theirs.\"user\" = u.id AND theirs.membership = 1 "
    "WHERE mine.\"user\" = $1 AND mine.membership = 1 AND u.id <> $1 "
    "AND NOT was_joined(mine.room, u.user_id, $3) "
    "UNION "
    "SELECT u.user_id FROM room_members mine JOIN room_members theirs ON theirs.room = mine.room "
    "AND theirs.membership = 1 AND theirs.\"user\" <> $1 "
    "JOIN users u ON u.id = theirs.\"user\" "
    "WHERE mine.\"user\" = $1 AND mine.membership = 1 AND mine.event > $3 "
    "AND NOT was_joined(mine.room, $2, $3)")

/* Others left rooms where the user was, or the user left them. */
SQL(members_went_sql,
    "SELECT u.user_id FROM ( "
    " SELECT t.id FROM room_members mine "
    " JOIN room_state s ON s.room = mine.room AND s.valid_from > $3 AND s.type = 1 "
    " JOIN users t ON t.user_id = s.state_key JOIN room_members theirs "
    " ON theirs.room = mine.room AND theirs.\"user\" = t.id AND theirs.membership <> 1 "
    " WHERE mine.\"user\" = $1 AND was_joined(mine.room, t.user_id, $3) "
    " AND was_joined(mine.room, $2, $3) "
    " UNION "
    " SELECT theirs.\"user\" FROM room_members mine "
    " JOIN room_members theirs ON theirs.room = mine.room AND theirs.membership = 1 "
    " WHERE mine.\"user\" = $1 AND mine.membership <> 1 AND mine.event > $3 "
    " AND was_joined(mine.room, $2, $3)) gone "
    "JOIN users u ON u.id = gone.id WHERE gone.id <> $1 AND NOT " SHARES_A_ROOM("gone.id"))

/* The texts of both results' first columns, each once. */
static const char *const *texts_of(struct tx *tx, struct rows *rows, struct rows *more,
                                   size_t *ret_n)
{
    struct map seen = {0};
    struct rows *const both[] = {rows, more};
    const char **texts = arena_alloc_array(tx->arena, (size_t)(rows->n + more->n), sizeof *texts);
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
        {&keys_changed_sql, keys, 3, &changed},
        {&members_came_sql, members, 3, &came},
        {&members_went_sql, members, 3, &went},
    };
    TRY(db_query_many(tx, queries, members_too ? 3 : 1));
    *ret_changed = texts_of(tx, &changed, &came, ret_changed_n);
    *ret_left = texts_of(tx, &went, &none, ret_left_n);
    return NULL;
}
