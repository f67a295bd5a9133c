#include "storage/db/batch.h"

#include "base/mem.h"
#include "storage/db/db_params.h"
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

void followed_note(const struct write *w, struct followed *ret)
{
    ret->table = NULL;
    for (const struct batch_row *r = w->rows; r && !ret->table; r = r->next)
        if (r->table->follows) {
            ret->table = r->table;
            memcpy(ret->values, r->values, (size_t)r->table->columns_n * sizeof r->values[0]);
        }
}

static bool followed_by(const struct followed *f, const struct write *w)
{
    for (const struct batch_row *r = w->rows; r; r = r->next)
        if (r->table == f->table)
            return f->table->follows(f->values, r->values);
    return false;
}

size_t followed_cut(struct followed *f, struct write **list, struct write **ret_followers)
{
    struct write **at = list, **last = ret_followers;
    size_t n = 0;
    while (f->table && *at) {
        struct write *w = *at;
        if (!followed_by(f, w)) {
            at = &w->next;
            continue;
        }
        followed_note(w, f);
        *at = w->next;
        *last = w;
        last = &w->next;
        n++;
    }
    *last = NULL;
    return n;
}
