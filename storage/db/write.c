#include "storage/db/write_internal.h"

#include "base/mem.h"

struct write *write_begin(struct job *job)
{
    struct write *w = arena_alloc(job->arena, sizeof *w);
    w->arena = job->arena;
    w->last_row = &w->rows;
    w->last_statement = &w->statements;
    sem_init(&w->done, 0, 0);
    return w;
}

static size_t count_array(const struct db_param *p)
{
    size_t bytes = p->n * sizeof(int64_t);
    for (size_t i = 0; i < p->n; i++)
        if (p->type == DB_TEXT_ARRAY)
            bytes += str_of(((const char *const *)p->array)[i]).n;
        else if (p->type == DB_BYTES_ARRAY)
            bytes += ((const struct str *)p->array)[i].n;
    return bytes;
}

static void write_count_bytes(struct write *w, const struct db_param *values, size_t n)
{
    w->bytes += WRITE_ROW_BYTES;
    for (size_t i = 0; i < n; i++)
        w->bytes += values[i].s.n + (values[i].n ? count_array(&values[i]) : 0);
}

void write_set_large(struct write *w)
{
    w->is_large = true;
}

int write_change(struct write *w, const struct change *c)
{
    w->bytes += WRITE_ROW_BYTES;
    if (w->changes_n == w->changes_cap) {
        size_t cap = w->changes_cap ? w->changes_cap * 2 : 4;
        struct change *grown = arena_alloc_array(w->arena, cap, sizeof *grown);
        if (w->changes_n)
            memcpy(grown, w->changes, w->changes_n * sizeof *grown);
        w->changes = grown;
        w->changes_cap = cap;
    }
    w->changes[w->changes_n++] = *c;
    return (int)w->changes_n;
}

struct change *write_last_change(struct write *w)
{
    return w->changes_n ? &w->changes[w->changes_n - 1] : NULL;
}

void write_row(struct write *w, const struct batch_table *t, const struct db_param *values,
               size_t n)
{
    if (n != (size_t)t->columns_n)
        abort();
    struct batch_row *r = arena_alloc(w->arena, sizeof *r + n * sizeof *values);
    r->table = t;
    memcpy(r->values, values, n * sizeof *values);
    write_count_bytes(w, values, n);
    *w->last_row = r;
    w->last_row = &r->next;
}

void write_statement(struct write *w, struct sql *sql, const struct db_param *params, size_t n)
{
    struct statement *s = arena_alloc(w->arena, sizeof *s + n * sizeof *params);
    s->sql = sql;
    s->params_n = n;
    if (n)
        memcpy(s->params, params, n * sizeof *params);
    write_count_bytes(w, params, n);
    *w->last_statement = s;
    w->last_statement = &s->next;
}

size_t write_changes_n(const struct write *w)
{
    return w->changes_n;
}

void write_abandon(struct write *w)
{
    sem_destroy(&w->done);
}

bool write_is_empty(const struct write *w)
{
    return !w->rows && !w->statements && !w->changes_n;
}

struct arena *write_arena(const struct write *w)
{
    return w->arena;
}

const struct err *write_commit(struct job *job, struct write *w, int64_t *ret_position)
{
    write_enqueue(job, w);
    return write_wait(job, w, ret_position);
}
