#include "storage/rooms/auth_nodes.h"

#include "matrix/json_scan.h"
#include "storage/rooms/event_rows.h"
#include "storage/rooms/sql_numbers.h"

SQL(auth_nodes_newest_sql,
    "SELECT COALESCE((SELECT node FROM auth_nodes WHERE room = $1 ORDER BY node DESC LIMIT 1), 0), "
    "EXISTS (SELECT FROM auth_nodes WHERE room = $1 AND lacks IS NOT NULL), "
    "EXISTS (SELECT FROM auth_nodes n CROSS JOIN LATERAL unnest(n.lacks) l(id) "
    "CROSS JOIN LATERAL (SELECT 1 FROM events WHERE event_id = l.id AND room + 0 = $1 LIMIT 1) e "
    "WHERE n.room = $1 AND n.lacks IS NOT NULL)")

const struct err *auth_nodes_newest(struct tx *tx, int64_t room, uint32_t *ret, bool *ret_lack,
                                    bool *ret_came)
{
    int64_t newest;
    TRY(db_one(tx, &auth_nodes_newest_sql, P(INT(room)), NULL,
               R(INT_OUT(&newest), BOOL_OUT(ret_lack), BOOL_OUT(ret_came))));
    *ret = (uint32_t)newest;
    return NULL;
}

SQL(auth_nodes_find_sql,
    "SELECT event_id, node, is_power, auth IS NOT NULL, auth FROM auth_nodes_find($1, $2, $3, $4)")

static const struct str *read_auth(struct tx *tx, const struct room_version *v, struct str list,
                                   size_t *ret_n)
{
    struct str *ids = arena_alloc_array(tx->arena, EVENT_AUTH_MAX, sizeof *ids);
    struct json_member m, first;
    size_t n = 0, pos = 0;
    while (list.p && n < EVENT_AUTH_MAX && json_scan_next(list, &pos, &m)) {
        size_t inner = 0;
        if (m.value.p[0] == '[' && json_scan_next(m.value, &inner, &first))
            m.value = first.value;
        const char *id = json_scan_string(tx->arena, m.value);
        if (id)
            ids[n] = event_id_to_bytes(tx->arena, v, id);
        n += id && ids[n].p;
    }
    *ret_n = n;
    return ids;
}

const struct err *auth_nodes_find(struct tx *tx, int64_t room, const struct room_version *v,
                                  const struct str *ids, size_t n, size_t limit,
                                  const struct auth_node_row **ret, size_t *ret_n)
{
    struct rows rows;
    TRY(db_query(
        tx, &auth_nodes_find_sql,
        P(INT(room), BYTES_ARRAY(ids, n), BOOL(v->event_id != EVENT_ID_GIVEN), INT((int64_t)limit)),
        &rows));
    struct auth_node_row *list = arena_alloc_array(tx->arena, (size_t)rows.n + 1, sizeof *list);
    size_t found = 0;
    while (rows_next(&rows)) {
        struct auth_node_row *row = &list[found++];
        *row = (struct auth_node_row){.event_id = row_bytes(&rows, 0),
                                      .node = (uint32_t)row_int(&rows, 1),
                                      .is_power = row_bool(&rows, 2),
                                      .is_stored = row_bool(&rows, 3)};
        if (row->is_stored)
            row->auth = read_auth(tx, v, str_of(row_text(&rows, 4)), &row->auth_n);
    }
    *ret = list; /* the rows stay in the arena with them */
    *ret_n = found;
    return NULL;
}

static struct str copy_bytes(struct arena *a, struct str s)
{
    return (struct str){arena_memdup(a, s.p, s.n), s.n};
}

SQL(auth_nodes_history_sql,
    "SELECT s.valid_from, s.event, s.type = " TYPE_POWER_LEVELS_SQL
    " AND s.state_key = '', e.event_id, e.json "
    "FROM room_state s CROSS JOIN LATERAL ("
    "SELECT event_id, json FROM events WHERE position = s.event AND room + 0 = $1 LIMIT 1) e "
    "WHERE s.room = $1 AND s.valid_from >= $2 AND (s.valid_from > $2 OR s.event > $3) "
    "ORDER BY s.valid_from, s.event LIMIT $4")

const struct err *auth_nodes_history(struct tx *tx, int64_t room, const struct room_version *v,
                                     struct auth_history_place *after, size_t limit,
                                     const struct auth_node_row **ret, size_t *ret_n)
{
    struct rows rows;
    TRY(db_query(tx, &auth_nodes_history_sql,
                 P(INT(room), INT(after->valid_from), INT(after->event), INT((int64_t)limit)),
                 &rows));
    struct auth_node_row *list = arena_alloc_array(tx->arena, (size_t)rows.n + 1, sizeof *list);
    size_t n = 0;
    while (rows_next(&rows)) {
        struct auth_node_row *row = &list[n++];
        *after = (struct auth_history_place){row_int(&rows, 0), row_int(&rows, 1)};
        *row = (struct auth_node_row){.event_id = copy_bytes(tx->arena, row_bytes(&rows, 3)),
                                      .is_power = row_bool(&rows, 2),
                                      .is_stored = true};
        row->auth =
            read_auth(tx, v, json_scan_get(row_bytes(&rows, 4), "auth_events"), &row->auth_n);
    }
    rows_finish(&rows);
    *ret = list;
    *ret_n = n;
    return NULL;
}

SQL(auth_nodes_write_sql,
    "INSERT INTO auth_nodes (room, node, event_id, is_power, cites, power, lacks) "
    "SELECT $1, u.node, u.event_id, u.is_power <> 0, u.cites::int[], u.power, "
    "NULLIF(u.lacks, '')::bytea[] "
    "FROM unnest($2::int8[], $3::bytea[], $4::int8[], $5::text[], $6::int8[], $7::text[]) "
    "u(node, event_id, is_power, cites, power, lacks)")

static const char *cites_text(struct arena *a, const struct auth_node_new *row)
{
    buf_auto struct buf b = {0};
    for (size_t i = 0; i < row->cites_n; i++)
        buf_printf(&b, "%c%u", i ? ',' : '{', (unsigned)row->cites[i]);
    buf_add_text(&b, row->cites_n ? "}" : "{}");
    return arena_strdup(a, b.p);
}

static const char *lacks_text(struct arena *a, const struct auth_node_new *row)
{
    if (!row->lacks_n)
        return "";
    buf_auto struct buf b = {0};
    for (size_t i = 0; i < row->lacks_n; i++)
        buf_printf(&b, "%c\"\\\\x%s\"", i ? ',' : '{',
                   hex_encode(a, row->lacks[i].p, row->lacks[i].n));
    buf_add_char(&b, '}');
    return arena_strdup(a, b.p);
}

const struct err *auth_nodes_write(struct tx *tx, int64_t room, const struct auth_node_new *rows,
                                   size_t n)
{
    struct arena *a = tx->arena;
    int64_t *nodes = arena_alloc_array(a, n + 1, sizeof *nodes);
    int64_t *are_power = arena_alloc_array(a, n + 1, sizeof *are_power);
    int64_t *powers = arena_alloc_array(a, n + 1, sizeof *powers);
    struct str *ids = arena_alloc_array(a, n + 1, sizeof *ids);
    const char **cites = arena_alloc_array(a, n + 1, sizeof *cites);
    const char **lacks = arena_alloc_array(a, n + 1, sizeof *lacks);
    for (size_t i = 0; i < n; i++) {
        nodes[i] = rows[i].node;
        are_power[i] = rows[i].is_power;
        powers[i] = rows[i].power;
        ids[i] = rows[i].event_id;
        cites[i] = cites_text(a, &rows[i]);
        lacks[i] = lacks_text(a, &rows[i]);
    }
    return db_exec(tx, &auth_nodes_write_sql,
                   P(INT(room), INT_ARRAY(nodes, n), BYTES_ARRAY(ids, n), INT_ARRAY(are_power, n),
                     TEXT_ARRAY(cites, n), INT_ARRAY(powers, n), TEXT_ARRAY(lacks, n)),
                   NULL);
}

SQL(auth_nodes_drop_sql, "DELETE FROM auth_nodes WHERE room = $1")

const struct err *auth_nodes_drop(struct tx *tx, int64_t room)
{
    return db_exec(tx, &auth_nodes_drop_sql, P(INT(room)), NULL);
}

SQL(auth_nodes_page_sql, "SELECT cites, power, node FROM auth_nodes "
                         "WHERE room = $1 AND node > $2 AND node <= $3 ORDER BY node DESC")

const struct err *auth_nodes_page(struct tx *tx, int64_t room, uint32_t from, uint32_t to,
                                  void (*each)(void *ctx, uint32_t node, const uint32_t *cites,
                                               size_t n, uint32_t power),
                                  void *ctx)
{
    struct rows rows;
    TRY(db_query(tx, &auth_nodes_page_sql, P(INT(room), INT(from), INT(to)), &rows));
    while (rows_next(&rows)) {
        uint32_t cites[EVENT_AUTH_MAX];
        size_t n;
        const int64_t *list = row_int_array(&rows, 0, &n);
        for (size_t i = 0; i < n && i < EVENT_AUTH_MAX; i++)
            cites[i] = (uint32_t)list[i];
        each(ctx, (uint32_t)row_int(&rows, 2), cites, n < EVENT_AUTH_MAX ? n : EVENT_AUTH_MAX,
             (uint32_t)row_int(&rows, 1));
    }
    rows_finish(&rows);
    return NULL;
}

SQL(auth_nodes_events_sql,
    "SELECT " EVENT_COLUMNS ", COALESCE(s.ref, 0), u.node FROM unnest($2::int8[]) u(node) "
    "CROSS JOIN LATERAL (SELECT event_id FROM auth_nodes WHERE room = $1 AND node = u.node LIMIT "
    "1) n "
    "CROSS JOIN LATERAL (SELECT * FROM events WHERE event_id = n.event_id AND room + 0 = $1 LIMIT "
    "1) e "
    "JOIN rooms r ON r.id = e.room LEFT JOIN event_states s ON s.event = e.position")

const struct err *auth_nodes_events(struct tx *tx, int64_t room, const uint32_t *nodes, size_t n,
                                    const struct known_event **ret, const uint32_t **ret_nodes,
                                    size_t *ret_n)
{
    struct rows rows;
    int64_t *wanted = arena_alloc_array(tx->arena, n + 1, sizeof *wanted);
    for (size_t i = 0; i < n; i++)
        wanted[i] = nodes[i];
    TRY(db_query(tx, &auth_nodes_events_sql, P(INT(room), INT_ARRAY(wanted, n)), &rows));
    struct known_event *list = arena_alloc_array(tx->arena, (size_t)rows.n + 1, sizeof *list);
    uint32_t *numbers = arena_alloc_array(tx->arena, (size_t)rows.n + 1, sizeof *numbers);
    size_t found = 0;
    const struct err *e = NULL;
    while (!e && rows_next(&rows)) {
        e = event_rows_read_one(tx->arena, &rows, &list[found].e);
        list[found].is_stored = true;
        numbers[found] = (uint32_t)row_int(&rows, EVENT_COLUMNS_N + 1);
        list[found++].state_ref = row_int(&rows, EVENT_COLUMNS_N);
    }
    rows_finish(&rows);
    if (e)
        return e;
    *ret = list;
    *ret_nodes = numbers;
    *ret_n = found;
    return NULL;
}

SQL(auth_nodes_moved_sql, "SELECT event_id, node, is_current FROM auth_nodes_moved($1, $2)")
SQL(auth_nodes_state_now_sql,
    "SELECT e.event_id, COALESCE(n.node, 0), true FROM room_state s "
    "CROSS JOIN LATERAL (SELECT event_id FROM events WHERE position = s.event LIMIT 1) e "
    "LEFT JOIN LATERAL (SELECT node FROM auth_nodes WHERE event_id = e.event_id AND room + 0 = $1 "
    "LIMIT 1) n ON true WHERE s.room = $1 AND s.valid_to = " VALID_FOREVER_SQL)

const struct err *auth_nodes_state(struct tx *tx, int64_t room, int64_t after,
                                   const struct auth_node_state **ret, size_t *ret_n)
{
    struct rows rows;
    if (after < 0)
        TRY(db_query(tx, &auth_nodes_state_now_sql, P(INT(room)), &rows));
    else
        TRY(db_query(tx, &auth_nodes_moved_sql, P(INT(room), INT(after)), &rows));
    struct auth_node_state one = {0};
    rows_list(&rows, R(BYTES_OUT(&one.event_id), ENUM_OUT(&one.node), BOOL_OUT(&one.is_current)),
              LIST(one, ret, ret_n));
    return NULL;
}
