#include "storage/rooms/search.h"

#include "storage/db/time_limit.h"
#include "storage/rooms/event_rows.h"

SQL(search_cursor_take_sql,
    "SELECT position, form, coalesce(remake_below, 0) FROM search_cursor FOR UPDATE")
SQL(search_cursor_set_sql,
    "UPDATE search_cursor SET position = $1, form = $2, remake_below = nullif($3, 0)")

const struct err *search_cursor_take(struct tx *tx, struct search_cursor *ret)
{
    return db_one(tx, &search_cursor_take_sql, NO_PARAMS, NULL,
                  R(INT_OUT(&ret->position), TEXT_OUT(&ret->form), INT_OUT(&ret->remake_below)));
}

const struct err *search_cursor_set(struct tx *tx, const struct search_cursor *c)
{
    return db_exec(tx, &search_cursor_set_sql,
                   P(INT(c->position), TEXT(c->form), INT(c->remake_below)), NULL);
}

SQL(search_range_write_sql, "INSERT INTO search_ranges (room, first, last) VALUES ($1, $2, $3)")
SQL(search_range_next_sql, "SELECT id, room, first, last FROM search_ranges ORDER BY id LIMIT 1")
SQL(search_range_done_sql, "WITH gone AS (DELETE FROM search_ranges WHERE id = $1 AND last <= $2) "
                           "UPDATE search_ranges SET first = $2 + 1 WHERE id = $1 AND last > $2")

void search_range_write(struct write *w, const struct search_range *r)
{
    write_statement(w, &search_range_write_sql, P(INT(r->room), INT(r->first), INT(r->last)));
}

const struct err *search_range_next(struct tx *tx, struct search_range *ret)
{
    bool found;
    *ret = (struct search_range){0};
    return db_one(
        tx, &search_range_next_sql, NO_PARAMS, &found,
        R(INT_OUT(&ret->id), INT_OUT(&ret->room), INT_OUT(&ret->first), INT_OUT(&ret->last)));
}

const struct err *search_range_done(struct tx *tx, const struct search_range *r, int64_t up_to)
{
    return db_exec(tx, &search_range_done_sql, P(INT(r->id), INT(up_to)), NULL);
}

/* Types with words, and redactions. */
static const int64_t searched_types[] = {TYPE_MESSAGE, TYPE_NAME, TYPE_TOPIC, TYPE_REDACTION};
enum { SEARCHED_TYPES_N = sizeof searched_types / sizeof *searched_types };

SQL(search_range_events_sql,
    EVENT_SELECT "WHERE e.room = $1 AND e.position >= $2 AND e.position <= $3 AND e.type = ANY($4) "
                 "ORDER BY e.position LIMIT $5")

const struct err *search_range_events(struct tx *tx, const struct search_range *r, int64_t limit,
                                      const struct stored_event **ret, size_t *ret_n)
{
    return event_rows(tx, &search_range_events_sql,
                      P(INT(r->room), INT(r->first), INT(r->last),
                        INT_ARRAY(searched_types, SEARCHED_TYPES_N), INT(limit)),
                      ret, ret_n);
}

SQL(search_range_remove_redacted_sql,
    "DELETE FROM search_index s USING events e WHERE e.room = $1 AND e.position >= $2 "
    "AND e.position <= $3 AND e.redacted_by IS NOT NULL AND s.event = e.position")

const struct err *search_range_remove_redacted(struct tx *tx, const struct search_range *r)
{
    return db_exec(tx, &search_range_remove_redacted_sql,
                   P(INT(r->room), INT(r->first), INT(r->last)), NULL);
}

SQL(search_events_sql, EVENT_SELECT "WHERE e.position > $1 AND e.position <= $2 "
                                    "AND e.type = ANY($3) ORDER BY e.position LIMIT $4")

const struct err *search_events(struct tx *tx, int64_t from, int64_t to, int64_t limit,
                                const struct stored_event **ret, size_t *ret_n)
{
    return event_rows(
        tx, &search_events_sql,
        P(INT(from), INT(to), INT_ARRAY(searched_types, SEARCHED_TYPES_N), INT(limit)), ret, ret_n);
}

SQL(search_indexed_events_sql,
    "SELECT " EVENT_COLUMNS "FROM search_index s JOIN events e ON e.position = s.event "
    "JOIN rooms r ON r.id = e.room WHERE s.event < $1 ORDER BY s.event DESC LIMIT $2")

const struct err *search_indexed_events(struct tx *tx, int64_t below, int64_t limit,
                                        const struct stored_event **ret, size_t *ret_n)
{
    return event_rows(tx, &search_indexed_events_sql, P(INT(below), INT(limit)), ret, ret_n);
}

SQL(search_index_put_sql,
    "INSERT INTO search_index (event, room, key, words) "
    "SELECT u.event, u.room, u.key, u.words::tsvector "
    "FROM unnest($1::int8[], $2::int8[], $3::int8[], $4::text[]) u(event, room, key, words) "
    "ON CONFLICT (event) DO UPDATE SET words = excluded.words")

const struct err *search_index_put(struct tx *tx, const struct search_row *rows, size_t n)
{
    int64_t *events = arena_alloc_array(tx->arena, n + 1, sizeof *events);
    int64_t *rooms = arena_alloc_array(tx->arena, n + 1, sizeof *rooms);
    int64_t *keys = arena_alloc_array(tx->arena, n + 1, sizeof *keys);
    const char **words = arena_alloc_array(tx->arena, n + 1, sizeof *words);
    for (size_t i = 0; i < n; i++) {
        events[i] = rows[i].event;
        rooms[i] = rows[i].room;
        keys[i] = rows[i].key;
        words[i] = rows[i].vector;
    }
    return db_exec(
        tx, &search_index_put_sql,
        P(INT_ARRAY(events, n), INT_ARRAY(rooms, n), INT_ARRAY(keys, n), TEXT_ARRAY(words, n)),
        NULL);
}

SQL(search_index_remove_sql,
    "DELETE FROM search_index WHERE event = "
    "(SELECT position FROM events WHERE event_id = $1 AND redacted_by IS NOT NULL)")

const struct err *search_index_remove(struct tx *tx, struct str event_id)
{
    return db_exec(tx, &search_index_remove_sql, P(BYTES(event_id)), NULL);
}

#define MATCHING                                                                                   \
    "FROM search_index s, CAST($1 AS tsquery) q "                                                  \
    "WHERE s.words @@ q AND s.room = ANY($2) AND s.key = ANY($3::int8[]) "                         \
    "AND (cardinality($4::int8[]) = 0 OR NOT EXISTS (SELECT FROM events i "                        \
    "WHERE i.position = s.event AND NOT i.is_state AND i.sender = ANY($4))) "

#define HITS                                                                                       \
    "JOIN events e ON e.position = m.event JOIN rooms r ON r.id = e.room "                         \
    "WHERE e.redacted_by IS NULL ORDER BY m.rank DESC, m.event DESC"

/* 2000: SEARCH_RANKED_MAX */
SQL(search_best_sql,
    "SELECT " EVENT_COLUMNS ", m.rank FROM (SELECT i.event, i.rank FROM "
    "(SELECT n.event, ts_rank(n.words, n.q)::float8 AS rank FROM (SELECT s.event, s.words, "
    "q " MATCHING "ORDER BY s.event DESC LIMIT 2000) n) i "
    "WHERE (i.rank, i.event) < ($5, $6) ORDER BY i.rank DESC, i.event DESC LIMIT $7) m " HITS)

SQL(search_newest_sql,
    "SELECT " EVENT_COLUMNS
    ", ts_rank(m.words, m.q)::float8 FROM (SELECT s.event, s.words, q, 0 AS rank " MATCHING
    "AND s.event < $5 ORDER BY s.event DESC LIMIT $6) m " HITS)

/* 10000: SEARCH_COUNT_MAX */
SQL(search_count_sql, "SELECT count(*) FROM (SELECT " MATCHING "LIMIT 10000) s")

static const struct err *read_hits(struct tx *tx, struct rows *rows, struct search_result *ret)
{
    struct search_hit *hits = arena_alloc_array(tx->arena, (size_t)rows->n + 1, sizeof *hits);
    size_t n = 0;
    for (; rows_next(rows); n++) {
        hits[n].rank = row_double(rows, EVENT_COLUMNS_N);
        TRY(event_rows_read_one(tx->arena, rows, &hits[n].event));
    }
    rows_finish(rows);
    ret->hits = hits;
    ret->hits_n = n;
    return NULL;
}

const struct err *search_find(struct tx *tx, const struct search_query *q, int64_t limit_ms,
                              struct search_result *ret)
{
    struct rows hits, count;
    enum { MATCHING_N = 4, BEST_N = 7, NEWEST_N = 6 };
    const struct db_param matching[MATCHING_N] = {TEXT(q->query), INT_ARRAY(q->rooms, q->rooms_n),
                                                  INT_ARRAY(q->keys, q->keys_n),
                                                  INT_ARRAY(q->ignored, q->ignored_n)};
    struct db_param best[BEST_N] = {
        [MATCHING_N] = DOUBLE(q->after_rank), INT(q->after_event), INT(q->limit)};
    struct db_param newest[NEWEST_N] = {[MATCHING_N] = INT(q->after_event), INT(q->limit)};
    memcpy(best, matching, sizeof matching);
    memcpy(newest, matching, sizeof matching);
    const struct db_batch_query queries[] = {
        q->by_rank ? (struct db_batch_query){&search_best_sql, best, BEST_N, &hits}
                   : (struct db_batch_query){&search_newest_sql, newest, NEWEST_N, &hits},
        {&search_count_sql, matching, MATCHING_N, &count},
    };
    TRY(time_limit_query_many(tx, limit_ms, queries, 2));
    *ret = (struct search_result){0};
    TRY(read_hits(tx, &hits, ret));
    if (rows_next(&count))
        ret->count = row_int(&count, 0);
    return NULL;
}
