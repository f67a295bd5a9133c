#include "storage/relations.h"

#include "storage/event_rows.h"

SQL(relations_has_annotation_sql,
    "SELECT 1::int8 FROM relations l JOIN users u ON u.id = l.sender "
    "JOIN event_types t ON t.id = l.type WHERE l.parent = $1 AND l.rel_type = 'm.annotation' "
    "AND l.key = $2 AND u.user_id = $3 AND t.type = $4 LIMIT 1")

const struct err *relations_has_annotation(struct tx *tx, const struct room_version *v,
                                           const struct relation *r, const char *sender,
                                           const char *type, bool *ret)
{
    int64_t one;
    return db_one(tx, &relations_has_annotation_sql,
                  P(BYTES(event_id_to_bytes(tx->arena, v, r->parent)), TEXT(r->key), TEXT(sender),
                    TEXT(type)),
                  ret, R(INT_OUT(&one)));
}

/* ---- bundled with events ----------------------------------------------------------------------
 */

/* 20: EDITS_MAX */
SQL(relations_edits_sql,
    "SELECT " EVENT_COLUMNS ", p.position FROM events p CROSS JOIN LATERAL "
    "(SELECT l.child FROM relations l WHERE l.parent = p.event_id AND l.rel_type = 'm.replace' "
    "AND l.room = p.room AND l.sender = p.sender AND l.type = p.type AND l.child <= $2 "
    "ORDER BY l.child DESC LIMIT 20) l "
    "JOIN events e ON e.position = l.child JOIN rooms r ON r.id = e.room WHERE p.position = "
    "ANY($1)")

/* 250: REFERENCES_MAX */
SQL(relations_references_sql,
    "SELECT p.position, e.position, e.event_id, r.room_version FROM events p CROSS JOIN LATERAL "
    "(SELECT l.child FROM relations l WHERE l.parent = p.event_id AND l.rel_type = 'm.reference' "
    "AND l.room = p.room AND l.child <= $2 AND l.sender <> ALL($3) "
    "ORDER BY l.child LIMIT 250) l "
    "JOIN events e ON e.position = l.child JOIN rooms r ON r.id = e.room "
    "WHERE p.position = ANY($1) ORDER BY p.position, e.position")

SQL(relations_threads_sql,
    "SELECT p.position, t.latest, t.n, t.took_part FROM events p CROSS JOIN LATERAL "
    "(SELECT max(l.child) AS latest, count(*) AS n, bool_or(l.sender = $4) AS took_part "
    "FROM relations l WHERE l.parent = p.event_id AND l.rel_type = 'm.thread' "
    "AND l.room = p.room AND l.child <= $2 AND l.sender <> ALL($3)) t "
    "WHERE p.position = ANY($1) AND t.n > 0")

SQL(relations_latest_sql, EVENT_SELECT "WHERE e.position = ANY($1)")

static const struct err *read_edits(struct tx *tx, struct rows *rows, struct children *ret)
{
    struct edit *list = arena_alloc_array(tx->arena, (size_t)rows->n + 1, sizeof *list);
    size_t n = 0;
    while (rows_next(rows)) {
        list[n].parent = row_int(rows, 14);
        TRY(event_rows_read_one(tx->arena, rows, &list[n++].event));
    }
    rows_finish(rows);
    ret->edits = list;
    ret->edits_n = n;
    return NULL;
}

static const struct err *read_references(struct tx *tx, struct rows *rows, struct children *ret)
{
    struct reference *list = arena_alloc_array(tx->arena, (size_t)rows->n + 1, sizeof *list);
    size_t n = 0;
    while (rows_next(rows)) {
        const struct room_version *v = room_version_find(row_text(rows, 3));
        if (!v)
            return err_internal("room version %s is unknown", row_text(rows, 3));
        list[n++] = (struct reference){
            .parent = row_int(rows, 0),
            .position = row_int(rows, 1),
            .event_id = event_id_from_bytes(tx->arena, v, row_bytes(rows, 2)),
        };
    }
    rows_finish(rows);
    ret->references = list;
    ret->references_n = n;
    return NULL;
}

static void read_threads(struct tx *tx, struct rows *rows, struct children *ret)
{
    struct thread_summary *list = arena_alloc_array(tx->arena, (size_t)rows->n + 1, sizeof *list);
    size_t n = 0;
    while (rows_next(rows))
        list[n++] = (struct thread_summary){
            .root = row_int(rows, 0),
            .latest = row_int(rows, 1),
            .count = row_int(rows, 2),
            .took_part = row_bool(rows, 3),
        };
    rows_finish(rows);
    ret->threads = list;
    ret->threads_n = n;
}

/* The third statement differs; the first two are the same for every kind of parent. */
static const struct err *run_three(struct tx *tx, const struct children_query *q, struct sql *third,
                                   const struct db_param *params, size_t params_n,
                                   struct children *ret, struct rows *ret_third)
{
    struct db_param parents = INT_ARRAY(q->parents, q->parents_n), up_to = INT(q->up_to);
    const struct db_param edits_p[] = {parents, up_to};
    const struct db_param references_p[] = {parents, up_to, INT_ARRAY(q->ignored, q->ignored_n)};
    struct rows edits, references;
    const struct db_batch_query queries[] = {
        {&relations_edits_sql, edits_p, 2, &edits},
        {&relations_references_sql, references_p, 3, &references},
        {third, params, params_n, ret_third},
    };
    TRY(db_query_many(tx, queries, 3));
    TRY(read_edits(tx, &edits, ret));
    return read_references(tx, &references, ret);
}

const struct err *relations_of_parents(struct tx *tx, const struct children_query *q,
                                       struct children *ret)
{
    *ret = (struct children){0};
    struct rows threads;
    TRY(run_three(tx, q, &relations_threads_sql,
                  P(INT_ARRAY(q->parents, q->parents_n), INT(q->up_to),
                    INT_ARRAY(q->ignored, q->ignored_n), INT(q->user)),
                  ret, &threads));
    read_threads(tx, &threads, ret);
    return NULL;
}

const struct err *relations_of_latest(struct tx *tx, const struct children_query *q,
                                      struct children *ret)
{
    *ret = (struct children){0};
    struct rows events;
    TRY(run_three(tx, q, &relations_latest_sql, P(INT_ARRAY(q->parents, q->parents_n)), ret,
                  &events));
    return event_rows_read(tx, &events, &ret->events, &ret->events_n);
}
