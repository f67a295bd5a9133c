#include "storage/rooms/event_rows.h"
#include "storage/rooms/room_state.h"

/* The state before an event is that of the intervals at the position before its own, unless it has
 * a reference (storage/rooms/state_refs.h): then it is that at the reference's base, except for the
 * keys in the reference and its parents, where the nearest entry counts. An entry without an event
 * means as at the base, an entry of 0 none. */
SQL(room_state_replaced_sql,
    "WITH asked AS (SELECT a.position, t.id AS type, a.state_key "
    "FROM unnest($2::int8[], $3::text[], $4::text[]) a(position, type, state_key) "
    "JOIN event_types t ON t.type = a.type), "
    "placed AS (SELECT a.position, a.type, a.state_key, COALESCE(n.base, a.position - 1) AS base, "
    "n.event FROM asked a LEFT JOIN LATERAL ("
    "WITH RECURSIVE chain AS (SELECT s.id, s.base, s.parent, 0 AS distance FROM event_states w "
    "JOIN state_refs s ON s.id = w.ref WHERE w.event = a.position UNION ALL "
    "SELECT s.id, s.base, s.parent, c.distance + 1 FROM chain c JOIN state_refs s "
    "ON s.id = c.parent WHERE c.distance < 1000) "
    "SELECT c.base, x.event FROM chain c LEFT JOIN state_ref_entries x ON x.ref = c.id "
    "AND x.type = a.type AND x.state_key = a.state_key "
    "ORDER BY x.ref IS NULL, c.distance LIMIT 1) n ON true), "
    "found AS (SELECT p.position, COALESCE(p.event, i.event) AS event FROM placed p "
    "LEFT JOIN LATERAL (SELECT s.event, s.valid_to FROM room_state s WHERE s.room = $1 "
    "AND s.type = p.type AND s.state_key = p.state_key AND s.valid_from <= p.base "
    "ORDER BY s.valid_from DESC LIMIT 1) i ON i.valid_to > p.base) "
    "SELECT " EVENT_COLUMNS ", f.position FROM found f JOIN events e ON e.position = f.event "
    "JOIN rooms r ON r.id = e.room WHERE f.event <> f.position")

/* The same for events without a reference, as nearly all are, at half the cost. Events with a
 * reference are returned with it, but without the event that they replaced. Events of the feed lack
 * the number of their type. */
SQL(room_state_replaced_usual_sql,
    "SELECT " EVENT_COLUMNS ", a.position, w.event FROM "
    "unnest($2::int8[], $3::int8[], $4::text[], $5::text[]) a(position, type, type_name, "
    "state_key) "
    "LEFT JOIN event_states w ON w.event = a.position "
    "LEFT JOIN LATERAL (SELECT s.event, s.valid_to FROM room_state s WHERE w.event IS NULL "
    "AND s.room = $1 AND s.type = CASE WHEN a.type > 0 THEN a.type "
    "ELSE (SELECT t.id FROM event_types t WHERE t.type = a.type_name) END "
    "AND s.state_key = a.state_key AND s.valid_from < a.position "
    "ORDER BY s.valid_from DESC LIMIT 1) i ON i.valid_to >= a.position "
    "LEFT JOIN events e ON e.position = i.event AND i.event <> a.position "
    "LEFT JOIN rooms r ON r.id = e.room WHERE w.event IS NOT NULL OR e.position IS NOT NULL")

/* The state events, as parameters of a statement. */
struct asked {
    const struct stored_event **events;
    int64_t *positions, *types;
    const char **type_names, **keys;
    size_t n;
};

static struct asked asked_init(struct arena *a, size_t capacity)
{
    return (struct asked){
        .events = arena_alloc_array(a, capacity + 1, sizeof(struct stored_event *)),
        .positions = arena_alloc_array(a, capacity + 1, sizeof(int64_t)),
        .types = arena_alloc_array(a, capacity + 1, sizeof(int64_t)),
        .type_names = arena_alloc_array(a, capacity + 1, sizeof(char *)),
        .keys = arena_alloc_array(a, capacity + 1, sizeof(char *)),
    };
}

static void asked_add(struct asked *q, const struct stored_event *e)
{
    q->events[q->n] = e;
    q->positions[q->n] = e->position;
    q->types[q->n] = e->type;
    q->type_names[q->n] = e->event->type;
    q->keys[q->n++] = e->event->state_key;
}

struct found {
    struct replaced_event *list;
    size_t n;
};

static const struct err *replaced_state_read_one(struct tx *tx, const struct rows *rows,
                                                 struct found *f)
{
    struct replaced_event *r = &f->list[f->n++];
    r->by = row_int(rows, EVENT_COLUMNS_N);
    return event_rows_read_one(tx->arena, rows, &r->event);
}

static const struct err *ask_usual(struct tx *tx, int64_t room, const struct asked *q,
                                   struct found *f, struct asked *referring)
{
    struct rows rows;
    const struct err *e = NULL;
    TRY(db_query(tx, &room_state_replaced_usual_sql,
                 P(INT(room), INT_ARRAY(q->positions, q->n), INT_ARRAY(q->types, q->n),
                   TEXT_ARRAY(q->type_names, q->n), TEXT_ARRAY(q->keys, q->n)),
                 &rows));
    while (!e && rows_next(&rows)) {
        if (row_is_null(&rows, EVENT_COLUMNS_N + 1)) {
            e = replaced_state_read_one(tx, &rows, f);
            continue;
        }
        for (size_t i = 0; i < q->n; i++)
            if (q->positions[i] == row_int(&rows, EVENT_COLUMNS_N))
                asked_add(referring, q->events[i]);
    }
    rows_finish(&rows);
    return e;
}

static const struct err *ask_referring(struct tx *tx, int64_t room, const struct asked *q,
                                       struct found *f)
{
    struct rows rows;
    const struct err *e = NULL;
    TRY(db_query(tx, &room_state_replaced_sql,
                 P(INT(room), INT_ARRAY(q->positions, q->n), TEXT_ARRAY(q->type_names, q->n),
                   TEXT_ARRAY(q->keys, q->n)),
                 &rows));
    while (!e && rows_next(&rows))
        e = replaced_state_read_one(tx, &rows, f);
    rows_finish(&rows);
    return e;
}

const struct err *room_state_replaced(struct tx *tx, int64_t room,
                                      const struct stored_event *const *events, size_t n,
                                      const struct replaced_event **ret, size_t *ret_n)
{
    struct asked usual = asked_init(tx->arena, n), referring = asked_init(tx->arena, n);
    struct found f = {arena_alloc_array(tx->arena, n + 1, sizeof *f.list), 0};
    for (size_t i = 0; i < n; i++)
        asked_add(&usual, events[i]);
    TRY(ask_usual(tx, room, &usual, &f, &referring));
    if (referring.n)
        TRY(ask_referring(tx, room, &referring, &f));
    *ret = f.list;
    *ret_n = f.n;
    return NULL;
}
