#include "storage/rooms/aliases.h"

#include "base/clock.h"

SQL(aliases_find_sql, "SELECT a.alias, a.room, a.creator, r.room_id FROM room_aliases a "
                      "JOIN rooms r ON r.id = a.room WHERE a.alias = $1")

const struct err *aliases_find(struct tx *tx, const char *alias, bool *ret_found, struct alias *ret)
{
    return db_one(tx, &aliases_find_sql, P(TEXT(alias)), ret_found,
                  R(TEXT_OUT(&ret->alias), INT_OUT(&ret->room), INT_OUT(&ret->creator),
                    TEXT_OUT(&ret->room_id)));
}

SQL(aliases_of_room_sql, "SELECT alias FROM room_aliases WHERE room = $1 ORDER BY alias")

const struct err *aliases_of_room(struct tx *tx, int64_t room, const char *const **ret,
                                  size_t *ret_n)
{
    const char *one;
    return db_list(tx, &aliases_of_room_sql, P(INT(room)), R(TEXT_OUT(&one)),
                   LIST(one, ret, ret_n));
}

SQL(aliases_count_sql, "SELECT (SELECT count(*) FROM room_aliases WHERE creator = $1), "
                       "(SELECT count(*) FROM room_aliases WHERE room = $2)")

const struct err *aliases_check_number(struct tx *tx, int64_t creator, int64_t room)
{
    int64_t made, of_room;
    TRY(db_one(tx, &aliases_count_sql, P(INT(creator), INT(room)), NULL,
               R(INT_OUT(&made), INT_OUT(&of_room))));
    if (made >= ALIASES_MAX)
        return err(ERR_TOO_LARGE, "You have made %d aliases: remove some of them", ALIASES_MAX);
    return of_room < ALIASES_MAX ? NULL
                                 : err(ERR_TOO_LARGE, "The room has %d aliases", ALIASES_MAX);
}

SQL(aliases_add_sql, "INSERT INTO room_aliases (alias, room, creator, created_ts) "
                     "VALUES ($1, $2, $3, $4) ON CONFLICT DO NOTHING")

const struct err *aliases_add(struct tx *tx, const char *alias, int64_t room, int64_t creator,
                              bool *ret_added)
{
    int64_t n;
    TRY(db_exec(tx, &aliases_add_sql, P(TEXT(alias), INT(room), INT(creator), INT(now_ms())), &n));
    *ret_added = n > 0;
    return NULL;
}

SQL(aliases_write_new_sql, "INSERT INTO room_aliases (alias, room, creator, created_ts) "
                           "VALUES ($1, $2, $3, $4)")

void aliases_write_new(struct write *w, const char *alias, int64_t room, int64_t creator)
{
    write_statement(w, &aliases_write_new_sql,
                    P(TEXT(alias), INT(room), INT(creator), INT(now_ms())));
}

SQL(aliases_write_move_sql, "UPDATE room_aliases SET room = $2 WHERE room = $1")

void aliases_write_move(struct write *w, int64_t from_room, int64_t to_room)
{
    write_statement(w, &aliases_write_move_sql, P(INT(from_room), INT(to_room)));
}

SQL(aliases_remove_sql, "DELETE FROM room_aliases WHERE alias = $1")

const struct err *aliases_remove(struct tx *tx, const char *alias)
{
    return db_exec(tx, &aliases_remove_sql, P(TEXT(alias)), NULL);
}
