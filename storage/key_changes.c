#include "storage/key_changes.h"

/* Membership numbers are enum membership: 1 is join. "Joined since" is decided by what the member
 * was at `since`, because a changed display name makes a new member event, too. */
SQL(keys_changed_sql,
    "SELECT u.user_id FROM device_list_changes c JOIN users u ON u.id = c.\"user\" "
    "WHERE c.position > $3 AND c.position <= $4 AND (c.\"user\" = $1 OR EXISTS ( "
    " SELECT FROM room_members theirs JOIN room_members mine ON mine.room = theirs.room "
    " AND mine.\"user\" = $1 AND mine.membership = 1 "
    " WHERE theirs.\"user\" = c.\"user\" AND theirs.membership = 1)) "
    "UNION "
    "SELECT u.user_id FROM user_signature_changes s JOIN users u ON u.id = s.target "
    "WHERE s.signer = $1 AND s.position > $3 AND s.position <= $4 "
    "UNION "
    "SELECT u.user_id FROM room_members mine JOIN room_members theirs ON theirs.room = mine.room "
    "AND theirs.membership = 1 AND theirs.\"user\" <> $1 AND theirs.event > $3 "
    "JOIN users u ON u.id = theirs.\"user\" "
    "WHERE mine.\"user\" = $1 AND mine.membership = 1 "
    "AND NOT was_joined(theirs.room, u.user_id, $3) "
    "UNION "
    "SELECT u.user_id FROM room_members mine JOIN room_members theirs ON theirs.room = mine.room "
    "AND theirs.membership = 1 AND theirs.\"user\" <> $1 "
    "JOIN users u ON u.id = theirs.\"user\" "
    "WHERE mine.\"user\" = $1 AND mine.membership = 1 AND mine.event > $3 "
    "AND NOT was_joined(mine.room, $2, $3)")

SQL(keys_left_sql,
    "SELECT u.user_id FROM ( "
    " SELECT theirs.\"user\" FROM room_members mine "
    " JOIN room_members theirs ON theirs.room = mine.room AND theirs.membership <> 1 "
    " AND theirs.event > $3 JOIN users t ON t.id = theirs.\"user\" "
    " WHERE mine.\"user\" = $1 AND was_joined(mine.room, $2, $3) "
    " AND was_joined(theirs.room, t.user_id, $3) "
    " UNION "
    " SELECT theirs.\"user\" FROM room_members mine "
    " JOIN room_members theirs ON theirs.room = mine.room AND theirs.membership = 1 "
    " WHERE mine.\"user\" = $1 AND mine.membership <> 1 AND mine.event > $3 "
    " AND was_joined(mine.room, $2, $3)) gone "
    "JOIN users u ON u.id = gone.\"user\" WHERE gone.\"user\" <> $1 AND NOT EXISTS ( "
    " SELECT FROM room_members theirs JOIN room_members mine ON mine.room = theirs.room "
    " AND mine.\"user\" = $1 AND mine.membership = 1 "
    " WHERE theirs.\"user\" = gone.\"user\" AND theirs.membership = 1)")

static const char *const *texts_of(struct tx *tx, struct rows *rows)
{
    const char **texts = arena_alloc_array(tx->arena, (size_t)rows->n, sizeof *texts);
    for (size_t i = 0; rows_next(rows); i++)
        texts[i] = row_text(rows, 0);
    return texts;
}

const struct err *key_changes_read(struct tx *tx, int64_t user, const char *user_id, int64_t since,
                                   int64_t until, const char *const **ret_changed,
                                   size_t *ret_changed_n, const char *const **ret_left,
                                   size_t *ret_left_n)
{
    const struct db_param params[] = {INT(user), TEXT(user_id), INT(since), INT(until)};
    struct rows changed, left;
    TRY(db_query_many(tx,
                      (const struct db_batch_query[]){
                          {&keys_changed_sql, params, 4, &changed},
                          {&keys_left_sql, params, 3, &left},
                      },
                      2));
    *ret_changed = texts_of(tx, &changed);
    *ret_changed_n = (size_t)changed.n;
    *ret_left = texts_of(tx, &left);
    *ret_left_n = (size_t)left.n;
    return NULL;
}
