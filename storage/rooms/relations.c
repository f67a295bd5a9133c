#include "storage/rooms/relations.h"

#include "storage/db/time_limit.h"
#include "storage/rooms/event_rows.h"

/* For statements that read all matches before they sort them. */
enum { TIME_MAX_MS = 2000 };

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

SQL(relations_find_parents_sql,
    "SELECT e.position FROM events e WHERE e.position = ANY($1) AND EXISTS "
    "(SELECT FROM relations l WHERE l.parent = e.event_id AND l.room = e.room "
    "AND (NOT $2 OR l.rel_type = ANY($3)) "
    "AND (NOT $4 OR l.sender IN (SELECT u.id FROM users u WHERE u.user_id = ANY($5))))")

const struct err *relations_find_parents(struct tx *tx, const int64_t *positions, size_t n,
                                         const struct relations_match *m, bool *ret)
{
    struct rows rows;
    TRY(db_query(tx, &relations_find_parents_sql,
                 P(INT_ARRAY(positions, n), BOOL(m->by_rel_type),
                   TEXT_ARRAY(m->rel_types, m->rel_types_n), BOOL(m->by_sender),
                   TEXT_ARRAY(m->senders, m->senders_n)),
                 &rows));
    memset(ret, 0, n * sizeof *ret);
    while (rows_next(&rows))
        for (size_t i = 0; i < n; i++)
            ret[i] |= positions[i] == row_int(&rows, 0);
    rows_finish(&rows);
    return NULL;
}

#define RELATED                                                                                    \
    "SELECT " EVENT_COLUMNS "FROM relations l JOIN events e ON e.position = l.child "              \
    "JOIN rooms r ON r.id = e.room WHERE l.parent = $2 AND l.room = $1 AND l.rel_type = $3 "       \
    "AND ($4 = 0 OR l.type = $4) AND l.child > $5 AND l.child <= $6 ORDER BY l.child "
SQL(relations_page_down_sql, RELATED "DESC LIMIT $7")
SQL(relations_page_up_sql, RELATED "LIMIT $7")

/* The filters apply to every step: events related through a filtered one are not found. */
#define RELATED_STEP                                                                               \
    "l.room = $1 AND ($3::text IS NULL OR l.rel_type = $3) AND ($4 = 0 OR l.type = $4) "
SQL(relations_page_deep_sql,
    "WITH RECURSIVE found (child, depth) AS ("
    "SELECT l.child, 1 FROM relations l WHERE l.parent = $2 AND " RELATED_STEP "UNION ALL "
    "SELECT l.child, f.depth + 1 FROM found f JOIN events p ON p.position = f.child "
    "JOIN relations l ON l.parent = p.event_id AND " RELATED_STEP "WHERE f.depth < $8) "
    "SELECT " EVENT_COLUMNS "FROM (SELECT child FROM found WHERE child > $5 AND child <= $6 "
    "ORDER BY child * $9 LIMIT $7) f JOIN events e ON e.position = f.child "
    "JOIN rooms r ON r.id = e.room ORDER BY e.position * $9")

const struct err *relations_page(struct tx *tx, int64_t room, const struct relations_range *range,
                                 int64_t from, int64_t to, bool newest_first, int64_t limit,
                                 const struct stored_event **ret, size_t *ret_n)
{
    if (range->rel_type && range->depth == 1)
        return event_rows(tx, newest_first ? &relations_page_down_sql : &relations_page_up_sql,
                          P(INT(room), BYTES(range->parent), TEXT(range->rel_type),
                            INT(range->type), INT(from), INT(to), INT(limit)),
                          ret, ret_n);
    struct rows rows;
    TRY(time_limit_query(tx, TIME_MAX_MS, &relations_page_deep_sql,
                         P(INT(room), BYTES(range->parent), TEXT(range->rel_type), INT(range->type),
                           INT(from), INT(to), INT(limit), INT(range->depth),
                           INT(newest_first ? -1 : 1)),
                         &rows));
    return event_rows_read(tx, &rows, ret, ret_n);
}

/* The roots are read one after the other from events_by_thread, and the latest event of each by one
 * probe there, so that the cost depends on the number of threads, not of their events. */
SQL(threads_page_sql,
    "WITH RECURSIVE roots (root) AS ("
    "(SELECT e.thread FROM events e WHERE e.room = $1 AND e.thread > 0 ORDER BY e.thread LIMIT 1) "
    "UNION ALL SELECT (SELECT e.thread FROM events e WHERE e.room = $1 AND e.thread > 0 "
    "AND e.thread > roots.root ORDER BY e.thread LIMIT 1) FROM roots WHERE roots.root > 0) "
    "SELECT " EVENT_COLUMNS ", t.latest FROM (SELECT root, (SELECT c.position FROM events c "
    "WHERE c.room = $1 AND c.thread > 0 AND c.thread = roots.root AND c.redacted_by IS NULL "
    "ORDER BY c.position DESC LIMIT 1) AS latest FROM roots WHERE root > 0) t "
    "JOIN events e ON e.position = t.root JOIN rooms r ON r.id = e.room "
    "WHERE t.latest <= $2 AND ($3 = 0 OR e.sender = $3 OR EXISTS (SELECT FROM events c "
    "WHERE c.room = $1 AND c.thread > 0 AND c.thread = t.root AND c.sender = $3 "
    "AND c.redacted_by IS NULL)) ORDER BY t.latest DESC LIMIT $4")

const struct err *threads_page(struct tx *tx, int64_t room, int64_t to, int64_t participant,
                               int64_t limit, const struct thread_row **ret, size_t *ret_n)
{
    struct rows rows;
    TRY(time_limit_query(tx, TIME_MAX_MS, &threads_page_sql,
                         P(INT(room), INT(to), INT(participant), INT(limit)), &rows));
    struct thread_row *list = arena_alloc_array(tx->arena, (size_t)rows.n + 1, sizeof *list);
    size_t n = 0;
    for (; rows_next(&rows); n++) {
        list[n].latest = row_int(&rows, EVENT_COLUMNS_N);
        TRY(event_rows_read_one(tx->arena, &rows, &list[n].root));
    }
    rows_finish(&rows);
    *ret = list;
    *ret_n = n;
    return NULL;
}

/* ---- bundled aggregations ---- */

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
    struct event_edit *list = arena_alloc_array(tx->arena, (size_t)rows->n + 1, sizeof *list);
    size_t n = 0;
    while (rows_next(rows)) {
        list[n].parent = row_int(rows, EVENT_COLUMNS_N);
        TRY(event_rows_read_one(tx->arena, rows, &list[n++].event));
    }
    rows_finish(rows);
    ret->edits = list;
    ret->edits_n = n;
    return NULL;
}

static const struct err *relations_read_references(struct tx *tx, struct rows *rows,
                                                   struct children *ret)
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

static void read_threads(struct rows *rows, struct children *ret)
{
    struct thread_summary one = {0};
    rows_list(
        rows,
        R(INT_OUT(&one.root), INT_OUT(&one.latest), INT_OUT(&one.count), BOOL_OUT(&one.took_part)),
        LIST(one, &ret->threads, &ret->threads_n));
}

/* Edits and references of the parents, and a third statement. */
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
    return relations_read_references(tx, &references, ret);
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
    read_threads(&threads, ret);
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

SQL(relations_parent_sql, "SELECT e.position, e.thread FROM relations r "
                          "JOIN events e ON e.event_id = r.parent WHERE r.child = $1 LIMIT 1")

const struct err *relations_parent(struct tx *tx, int64_t child, int64_t *ret_position,
                                   int64_t *ret_thread)
{
    return db_one(tx, &relations_parent_sql, P(INT(child)), NULL,
                  R(INT_OUT(ret_position), INT_OUT(ret_thread)));
}
