#include "storage/db/batch.h"

#include "base/mem.h"
#include "storage/db/db_params.h"
#include "storage/db/log_batches.h"
#include "storage/db/write_internal.h"

enum { LOOK_BACK_MAX = 64 };

void batch_init(struct batch *b)
{
    *b = (struct batch){.arena = arena_create()};
}

void batch_finish(struct batch *b)
{
    for (size_t i = 0; i < b->tables_n; i++) {
        for (int c = 0; c < b->tables[i].table->columns_n; c++)
            buf_finish(&b->tables[i].columns[c]);
        map_finish(&b->tables[i].by_key);
    }
    free(b->tables);
    arena_destroy(b->arena);
}

/* Keeps the tables and their column buffers for the next batch. */
void batch_clear(struct batch *b)
{
    for (size_t i = 0; i < b->tables_n; i++) {
        b->tables[i].n = b->tables[i].cap = b->tables[i].indexed_n = 0;
        b->tables[i].rows = NULL;
        map_finish(&b->tables[i].by_key);
        b->tables[i].by_key = (struct map){0};
        for (int c = 0; c < b->tables[i].table->columns_n; c++)
            buf_clear(&b->tables[i].columns[c]);
    }
    arena_reset(b->arena);
}

static struct table_rows *rows_of(struct batch *b, const struct batch_table *table)
{
    for (size_t i = 0; i < b->tables_n; i++)
        if (b->tables[i].table == table)
            return &b->tables[i];
    if (b->tables_n == b->tables_cap) {
        b->tables_cap = b->tables_cap ? b->tables_cap * 2 : 16;
        b->tables = mem_realloc_array(b->tables, b->tables_cap, sizeof *b->tables);
    }
    size_t at = b->tables_n++;
    while (at > 0 && b->tables[at - 1].table->order > table->order) {
        b->tables[at] = b->tables[at - 1];
        at--;
    }
    b->tables[at] = (struct table_rows){.table = table};
    return &b->tables[at];
}

static bool batch_same_key(const struct batch_table *t, const struct db_param *x,
                           const struct db_param *y)
{
    for (int i = 0; i < t->key_columns; i++) {
        bool text = t->columns[i] == DB_TEXT || t->columns[i] == DB_BYTES;
        if (text ? !str_eq(x[i].s, y[i].s) : x[i].i != y[i].i)
            return false;
    }
    return true;
}

static struct str batch_key_of(struct batch *b, const struct batch_table *t,
                               const struct db_param *row)
{
    buf_auto struct buf key = {0};
    for (int i = 0; i < t->key_columns; i++) {
        bool text = t->columns[i] == DB_TEXT || t->columns[i] == DB_BYTES;
        int64_t n = text ? (int64_t)row[i].s.n : row[i].i;
        buf_add(&key, &n, sizeof n);
        if (text)
            buf_add_str(&key, row[i].s);
    }
    return (struct str){arena_memdup(b->arena, key.p, key.n), key.n};
}

/* Rows below t->indexed_n are in the index. */
static struct db_param *find_in_index(struct batch *b, struct table_rows *t,
                                      const struct db_param *values)
{
    for (; t->indexed_n < t->n; t->indexed_n++)
        map_put(&t->by_key, batch_key_of(b, t->table, t->rows[t->indexed_n]),
                t->rows[t->indexed_n]);
    return map_get(&t->by_key, batch_key_of(b, t->table, values));
}

/* The row of this batch with the same key (of an upsert). Most batches are small (one row a waiting
 * request), and a linear search costs less than an index. */
static struct db_param *find_same_key(struct batch *b, struct table_rows *t,
                                      const struct db_param *values)
{
    if (!t->table->key_columns)
        return NULL;
    if (t->n > LOOK_BACK_MAX)
        return find_in_index(b, t, values);
    for (size_t i = t->n; i-- > 0;)
        if (batch_same_key(t->table, t->rows[i], values))
            return t->rows[i];
    return NULL;
}

static void batch_append(struct batch *b, struct table_rows *t, struct db_param *values)
{
    if (t->n == t->cap) {
        size_t cap = t->cap ? t->cap * 2 : 32;
        struct db_param **grown = arena_alloc_array(b->arena, cap, sizeof *grown);
        if (t->n)
            memcpy(grown, t->rows, t->n * sizeof *grown);
        t->rows = grown;
        t->cap = cap;
    }
    t->rows[t->n++] = values;
}

void batch_add_rows(struct batch *b, const struct batch_row *rows, int64_t first)
{
    for (const struct batch_row *r = rows; r; r = r->next) {
        struct table_rows *t = rows_of(b, r->table);
        size_t size = (size_t)r->table->columns_n * sizeof r->values[0];
        struct db_param *values = arena_alloc(b->arena, size);
        memcpy(values, r->values, size);
        for (int c = 0; c < r->table->columns_n; c++)
            if (values[c].type == DB_POSITION)
                values[c].i += first - 1;
        struct db_param *older = find_same_key(b, t, values);
        if (!older)
            batch_append(b, t, values);
        else if (t->table->merge)
            t->table->merge(older, values);
        else
            memcpy(older, values, size);
    }
}

static void encode_column(struct table_rows *t, int c, int64_t changes_n)
{
    struct buf *b = &t->columns[c];
    size_t at = db_array_begin(b, t->table->columns[c]);
    for (size_t i = 0; i < t->n; i++) {
        struct db_param v = t->rows[i][c];
        if (v.type == DB_POSITION)
            v.i = changes_n - v.i;
        db_array_add(b, at, &v);
    }
}

void batch_encode(struct batch *b, int64_t changes_n)
{
    for (size_t i = 0; i < b->tables_n; i++)
        for (int c = 0; b->tables[i].n && c < b->tables[i].table->columns_n; c++)
            encode_column(&b->tables[i], c, changes_n);
}

/* ---- sending ---- */

SQL(begin_sql, "BEGIN")
SQL(commit_sql, "COMMIT")
/* A batch of an epoch that has ended, or of a node that does not know all others, fails as a whole.
 */
SQL(head_sql, "UPDATE log_head SET node = $2, batch = $3, position = CASE "
              "WHEN epoch = $4 AND members = $5 THEN position + $1 ELSE log_refuse() END "
              "RETURNING position")

static const struct err *batch_send_table(struct pipeline *p, struct table_rows *t)
{
    int n = t->table->columns_n;
    const char *values[BATCH_COLUMNS_MAX];
    int lengths[BATCH_COLUMNS_MAX], formats[BATCH_COLUMNS_MAX];
    Oid types[BATCH_COLUMNS_MAX];
    for (int i = 0; i < n; i++) {
        values[i] = t->columns[i].p;
        lengths[i] = (int)t->columns[i].n;
        formats[i] = 1;
        types[i] = db_type_array_oid(t->table->columns[i]);
    }
    struct db_encoded e = {
        .n = n, .types = types, .values = values, .lengths = lengths, .formats = formats};
    return pipeline_send_encoded(p, t->table->sql, &e);
}

static const struct err *batch_send_statement(struct pipeline *p, const struct statement *s,
                                              int64_t first, int64_t changes_n)
{
    struct db_param params[64];
    if (s->params_n > 64)
        abort();
    for (size_t i = 0; i < s->params_n; i++) {
        params[i] = s->params[i];
        if (params[i].type == DB_POSITION)
            params[i].i = changes_n - (params[i].i + first - 1);
    }
    return pipeline_send(p, s->sql, params, s->params_n);
}

SQL(batch_row_sql, "INSERT INTO log_batches (first, last, node, batch, changes) "
                   "SELECT position - $1 + 1, position, $2, $3, $4 FROM log_head")
SQL(notify_sql, "SELECT pg_notify('concorde_log', '')")

/* Stores the changes for other processes, and wakes them. */
static const struct err *batch_send_row(struct pipeline *p, const struct write *writes,
                                        int64_t changes_n, const struct batch_claim *claim)
{
    buf_auto struct buf encoded = {0};
    for (const struct write *w = writes; w; w = w->next)
        for (size_t i = 0; i < w->changes_n; i++)
            log_batch_add(&encoded, &w->changes[i]);
    log_batch_end(&encoded);
    TRY(pipeline_send(
        p, &batch_row_sql,
        P(INT(changes_n), INT(claim->node), INT(claim->number), BYTES(buf_str(&encoded)))));
    return pipeline_send(p, &notify_sql, NO_PARAMS);
}

static void batch_fill(struct batch *b, const struct write *writes, int64_t changes_n)
{
    int64_t first = 1;
    for (const struct write *w = writes; w; w = w->next) {
        batch_add_rows(b, w->rows, first);
        first += (int64_t)w->changes_n;
    }
    batch_encode(b, changes_n);
}

static const struct err *batch_send_writes(struct batch *b, struct pipeline *p,
                                           const struct write *writes, int64_t changes_n)
{
    int64_t first = 1;
    for (size_t i = 0; i < b->tables_n; i++)
        if (b->tables[i].n)
            TRY(batch_send_table(p, &b->tables[i]));
    for (const struct write *w = writes; w; w = w->next) {
        for (const struct statement *s = w->statements; s; s = s->next)
            TRY(batch_send_statement(p, s, first, changes_n));
        first += (int64_t)w->changes_n;
    }
    return NULL;
}

const struct err *batch_send(struct batch *b, struct pipeline *p, const struct write *writes,
                             int64_t changes_n, const struct batch_claim *claim)
{
    batch_clear(b);
    batch_fill(b, writes, changes_n);
    if (!claim->has_begun)
        TRY(pipeline_send(p, &begin_sql, NO_PARAMS));
    TRY(pipeline_send(p, &head_sql,
                      P(INT(changes_n), INT(claim->node), INT(claim->number), INT(claim->epoch),
                        INT(claim->members))));
    TRY(batch_send_writes(b, p, writes, changes_n));
    if (changes_n && claim->is_read)
        TRY(batch_send_row(p, writes, changes_n, claim));
    return pipeline_send(p, &commit_sql, NO_PARAMS);
}

/* ---- versions ---- */

static const struct batch_row *batch_find_version(const struct write *w)
{
    for (const struct batch_row *r = w->rows; r; r = r->next)
        if (r->table->stored_versions)
            return r;
    return NULL;
}

/* The log's head is locked first, as by all writers: so the versions stay what they are. */
SQL(lock_head_sql, "SELECT position FROM log_head FOR UPDATE")

static size_t batch_list_keys(const struct write *writes, struct arena *a,
                              const struct batch_table **ret_table, int64_t **ret)
{
    size_t n = 0, writes_n = 0;
    for (const struct write *w = writes; w; w = w->next)
        writes_n++;
    *ret = arena_alloc_array(a, writes_n, sizeof **ret);
    for (; writes; writes = writes->next) {
        const struct batch_row *r = batch_find_version(writes);
        if (!r)
            continue;
        *ret_table = r->table;
        (*ret)[n++] = r->values[VERSION_KEY].i;
    }
    return n;
}

/* versions: by key; those that the writes leave, in their order. */
static void batch_cut_by_versions(const struct map *versions, struct write **writes,
                                  struct write_queue *outrun)
{
    for (struct write *w; (w = *writes);) {
        const struct batch_row *r = batch_find_version(w);
        int64_t *version = r ? map_get_int(versions, r->values[VERSION_KEY].i) : NULL;
        if (version && *version != r->values[VERSION_BUILT_ON].i) {
            *writes = w->next;
            write_queue_add(outrun, w);
            continue;
        }
        if (version)
            *version = r->values[VERSION_OWN].i;
        writes = &w->next;
    }
}

enum { VERSIONS_STATEMENT = 2 }; /* after BEGIN and the lock */

const struct err *batch_cut_outrun(struct batch *b, struct pipeline *p, struct write **writes,
                                   struct write_queue *outrun, bool *ret_begun)
{
    const struct batch_table *table;
    int64_t *keys, *pairs;
    size_t n;
    batch_clear(b);
    if (!(n = batch_list_keys(*writes, b->arena, &table, &keys)))
        return NULL;
    TRY(pipeline_send(p, &begin_sql, NO_PARAMS));
    TRY(pipeline_send(p, &lock_head_sql, NO_PARAMS));
    TRY(pipeline_send(p, table->stored_versions, P(INT_ARRAY(keys, n))));
    TRY(pipeline_run_pairs(p, VERSIONS_STATEMENT, b->arena, &pairs, &n));
    struct map versions = {0};
    for (size_t i = 0; i < n; i++)
        map_put_int(&versions, pairs[2 * i], &pairs[2 * i + 1]);
    batch_cut_by_versions(&versions, writes, outrun);
    map_finish(&versions);
    *ret_begun = true;
    return NULL;
}

void followed_note(const struct write *w, struct followed *ret)
{
    const struct batch_row *r = batch_find_version(w);
    *ret = (struct followed){.is_any = r};
    if (r) {
        ret->key = r->values[VERSION_KEY].i;
        ret->version = r->values[VERSION_OWN].i;
    }
}

static bool followed_by(const struct followed *f, const struct write *w)
{
    const struct batch_row *r = batch_find_version(w);
    return r && r->values[VERSION_KEY].i == f->key && r->values[VERSION_BUILT_ON].i == f->version;
}

size_t followed_cut(struct followed *f, struct write **list, struct write_queue *ret_followers)
{
    size_t n = 0;
    while (f->is_any && *list) {
        struct write *w = *list;
        if (!followed_by(f, w)) {
            list = &w->next;
            continue;
        }
        followed_note(w, f);
        *list = w->next;
        write_queue_add(ret_followers, w);
        n++;
    }
    return n;
}
