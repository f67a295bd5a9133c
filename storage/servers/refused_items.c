#include "storage/servers/refused_items.h"

#include "base/clock.h"

/* The same item again, after a restart, is the same row. */
SQL(refused_items_add_sql,
    "WITH same AS (UPDATE federation_set_aside SET answer = $6, asked = $7, since_ts = $8 "
    "WHERE server = $1 AND position = $2 AND type = $3 AND event_id = $4 AND json = $5 RETURNING "
    "1), "
    "new AS (INSERT INTO federation_set_aside (server, position, type, event_id, json, answer, "
    "asked, since_ts) SELECT $1, $2, $3, $4, $5, $6, $7, $8 WHERE NOT EXISTS (SELECT FROM same) "
    "AND (SELECT count(*) FROM federation_set_aside WHERE server = $1) < $9 RETURNING 1) "
    "SELECT EXISTS (SELECT FROM same UNION ALL SELECT FROM new)")

const struct err *refused_items_add(struct tx *tx, const char *server,
                                    const struct refused_item *what, bool asked, bool *ret_added)
{
    return db_one(tx, &refused_items_add_sql,
                  P(TEXT(server), INT(what->position), TEXT(what->type), TEXT(what->event_id),
                    BYTES(what->json), TEXT(what->answer), BOOL(asked), INT(now_ms()),
                    INT(REFUSED_ITEMS_MAX)),
                  NULL, R(BOOL_OUT(ret_added)));
}

SQL(refused_items_list_sql, "SELECT id, position, since_ts, type, event_id, answer "
                            "FROM federation_set_aside WHERE server = $1 ORDER BY id LIMIT $2")

const struct err *refused_items_list(struct tx *tx, const char *server, int limit,
                                     const struct refused_item **ret, size_t *ret_n)
{
    struct refused_item one = {0};
    return db_list(tx, &refused_items_list_sql, P(TEXT(server), INT(limit)),
                   R(INT_OUT(&one.id), INT_OUT(&one.position), INT_OUT(&one.since_ts),
                     TEXT_OUT(&one.type), TEXT_OUT(&one.event_id), TEXT_OUT(&one.answer)),
                   LIST(one, ret, ret_n));
}

SQL(refused_items_ask_sql,
    "UPDATE federation_set_aside SET asked = true WHERE server = $1 AND since_ts >= $2")

const struct err *refused_items_ask(struct tx *tx, const char *server, int64_t since_ts,
                                    int64_t *ret_n)
{
    return db_exec(tx, &refused_items_ask_sql, P(TEXT(server), INT(since_ts)), ret_n);
}

SQL(refused_items_next_asked_sql, "SELECT id, type, event_id, json FROM federation_set_aside "
                                  "WHERE server = $1 AND asked ORDER BY id LIMIT 1")

const struct err *refused_items_next_asked(struct tx *tx, const char *server,
                                           const struct refused_item **ret)
{
    struct refused_item *s = arena_alloc(tx->arena, sizeof *s);
    bool found;
    *s = (struct refused_item){0};
    TRY(db_one(
        tx, &refused_items_next_asked_sql, P(TEXT(server)), &found,
        R(INT_OUT(&s->id), TEXT_OUT(&s->type), TEXT_OUT(&s->event_id), BYTES_OUT(&s->json))));
    *ret = found ? s : NULL;
    return NULL;
}

SQL(refused_items_refused_again_sql,
    "UPDATE federation_set_aside SET asked = false, answer = $2 WHERE id = $1")

const struct err *refused_items_refused_again(struct tx *tx, int64_t id, const char *answer)
{
    return db_exec(tx, &refused_items_refused_again_sql, P(INT(id), TEXT(answer)), NULL);
}

SQL(refused_items_remove_sql, "DELETE FROM federation_set_aside WHERE id = $1")

const struct err *refused_items_remove(struct tx *tx, int64_t id)
{
    return db_exec(tx, &refused_items_remove_sql, P(INT(id)), NULL);
}

SQL(refused_items_discard_sql, "DELETE FROM federation_set_aside WHERE server = $1")

const struct err *refused_items_discard(struct tx *tx, const char *server, int64_t *ret_n)
{
    return db_exec(tx, &refused_items_discard_sql, P(TEXT(server)), ret_n);
}
