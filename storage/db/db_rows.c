#include "storage/db/db_rows.h"

#include <assert.h>
#include <endian.h>

/* The result that `struct rows` points to: cleared by rows_finish or with the arena, whichever
 * comes first. */
struct held {
    PGresult *result;
};

static void clear_held(void *what)
{
    struct held *h = what;
    PQclear(h->result);
    h->result = NULL;
}

void rows_init(struct rows *r, struct arena *arena, PGresult *owned)
{
    struct held *h = arena_alloc(arena, sizeof *h);
    h->result = owned;
    arena_defer(arena, clear_held, h);
    *r = (struct rows){.result = h, .arena = arena, .row = -1, .n = PQntuples(owned)};
}

bool rows_next(struct rows *r)
{
    if (r->row + 1 >= r->n)
        return false;
    r->row++;
    return true;
}

void rows_finish(struct rows *r)
{
    if (r->result)
        clear_held(r->result);
    r->n = 0;
}

enum { OID_BOOL = 16, OID_INT8 = 20, OID_INT2 = 21, OID_INT4 = 23, OID_FLOAT4 = 700 };
enum { OID_FLOAT8 = 701 };

/* An int2, int4 or int8 as sent; NULL is 0. */
static int64_t read_int(struct str s)
{
    union {
        uint16_t two;
        uint32_t four;
        uint64_t eight;
    } v;
    assert(s.n <= sizeof v);
    if (s.n)
        memcpy(&v, s.p, s.n);
    switch (s.n) {
    case 0:
        return 0;
    case 2:
        return (int16_t)be16toh(v.two);
    case 4:
        return (int32_t)be32toh(v.four);
    default:
        assert(s.n == 8);
        return (int64_t)be64toh(v.eight);
    }
}

/* NULL gives p == NULL */
static struct str result_bytes(const PGresult *result, int row, int column)
{
    if (PQgetisnull(result, row, column))
        return (struct str){NULL, 0};
    return (struct str){PQgetvalue(result, row, column), (size_t)PQgetlength(result, row, column)};
}

int64_t result_int(const PGresult *result, int row, int column)
{
    Oid type = PQftype(result, column);
    assert(type == OID_INT2 || type == OID_INT4 || type == OID_INT8);
    return read_int(result_bytes(result, row, column));
}

static bool result_bool(const PGresult *result, int row, int column)
{
    assert(PQftype(result, column) == OID_BOOL);
    return !PQgetisnull(result, row, column) && *PQgetvalue(result, row, column);
}

static double result_double(const PGresult *result, int row, int column)
{
    if (PQgetisnull(result, row, column))
        return 0;
    const char *p = PQgetvalue(result, row, column);
    if (PQftype(result, column) == OID_FLOAT4) {
        uint32_t bits;
        memcpy(&bits, p, sizeof bits);
        bits = be32toh(bits);
        float f;
        memcpy(&f, &bits, sizeof f);
        return (double)f;
    }
    assert(PQftype(result, column) == OID_FLOAT8);
    uint64_t bits;
    memcpy(&bits, p, sizeof bits);
    bits = be64toh(bits);
    double d;
    memcpy(&d, &bits, sizeof d);
    return d;
}

static const PGresult *result_of(const struct rows *r)
{
    const struct held *h = r->result;
    assert(h->result && r->row >= 0 && r->row < r->n);
    return h->result;
}

bool row_is_null(const struct rows *r, int column)
{
    return PQgetisnull(result_of(r), r->row, column);
}

int64_t row_int(const struct rows *r, int column)
{
    return result_int(result_of(r), r->row, column);
}

bool row_bool(const struct rows *r, int column)
{
    return result_bool(result_of(r), r->row, column);
}

double row_double(const struct rows *r, int column)
{
    return result_double(result_of(r), r->row, column);
}

const char *row_text(const struct rows *r, int column)
{
    return result_bytes(result_of(r), r->row, column).p; /* libpq adds the NUL */
}

struct str row_bytes(const struct rows *r, int column)
{
    return result_bytes(result_of(r), r->row, column);
}

/* ---- arrays ---- */

static uint32_t take_be32(struct str *s)
{
    uint32_t v;
    assert(s->n >= sizeof v);
    memcpy(&v, s->p, sizeof v);
    *s = (struct str){s->p + sizeof v, s->n - sizeof v};
    return be32toh(v);
}

/* Reads an array's header (see db_params.c); the elements follow. Returns how many. */
static size_t take_array_header(struct str *s)
{
    if (!s->p)
        return 0;
    uint32_t dimensions = take_be32(s);
    take_be32(s); /* has NULLs */
    take_be32(s); /* element type */
    if (dimensions == 0)
        return 0;
    assert(dimensions == 1);
    uint32_t n = take_be32(s);
    take_be32(s); /* lower bound */
    return n;
}

static struct str take_element(struct str *s)
{
    int32_t n = (int32_t)take_be32(s);
    if (n < 0)
        return (struct str){NULL, 0};
    assert(s->n >= (size_t)n);
    struct str element = {s->p, (size_t)n};
    *s = (struct str){s->p + n, s->n - (size_t)n};
    return element;
}

const struct str *row_bytes_array(const struct rows *r, int column, size_t *ret_n)
{
    struct str s = row_bytes(r, column);
    size_t n = take_array_header(&s);
    struct str *array = arena_alloc_array(r->arena, n, sizeof *array);
    for (size_t i = 0; i < n; i++) {
        array[i] = take_element(&s);
        if (array[i].p)
            array[i].p = arena_memdup(r->arena, array[i].p, array[i].n);
    }
    *ret_n = n;
    return array;
}

const int64_t *row_int_array(const struct rows *r, int column, size_t *ret_n)
{
    struct str s = row_bytes(r, column);
    size_t n = take_array_header(&s);
    int64_t *array = arena_alloc_array(r->arena, n, sizeof *array);
    for (size_t i = 0; i < n; i++)
        array[i] = read_int(take_element(&s));
    *ret_n = n;
    return array;
}

/* ---- outputs ---- */

static void out_int8(const PGresult *result, int row, int column, void *into)
{
    *(int64_t *)into = result_int(result, row, column);
}

static void out_int4(const PGresult *result, int row, int column, void *into)
{
    *(int *)into = (int)result_int(result, row, column);
}

static void out_bool(const PGresult *result, int row, int column, void *into)
{
    *(bool *)into = result_bool(result, row, column);
}

static void out_text(const PGresult *result, int row, int column, void *into)
{
    *(const char **)into = result_bytes(result, row, column).p;
}

static void out_bytes(const PGresult *result, int row, int column, void *into)
{
    *(struct str *)into = result_bytes(result, row, column);
}

static void out_double(const PGresult *result, int row, int column, void *into)
{
    *(double *)into = result_double(result, row, column);
}

static const struct {
    size_t size;
    void (*read)(const PGresult *result, int row, int column, void *into);
} out_types[] = {
    [DB_INT8] = {sizeof(int64_t), out_int8},      [DB_INT4] = {sizeof(int), out_int4},
    [DB_BOOL] = {sizeof(bool), out_bool},         [DB_TEXT] = {sizeof(const char *), out_text},
    [DB_BYTES] = {sizeof(struct str), out_bytes}, [DB_DOUBLE] = {sizeof(double), out_double},
};

/* What the result holds, as the arena's. */
static void db_rows_copy_out(struct arena *a, const struct db_out *out, struct str bytes)
{
    const char *copy = bytes.p ? arena_memdup(a, bytes.p, bytes.n) : NULL;
    if (out->type == DB_TEXT)
        *(const char **)out->into = copy;
    else if (out->type == DB_BYTES)
        *(struct str *)out->into = (struct str){copy, bytes.n};
}

bool result_first_row(struct arena *a, const PGresult *result, const struct db_out *outs, size_t n)
{
    bool found = PQntuples(result) > 0;
    assert(!found || (size_t)PQnfields(result) == n);
    for (size_t i = 0; i < n; i++) {
        if (!found)
            memset(outs[i].into, 0, out_types[outs[i].type].size);
        else if (outs[i].type == DB_TEXT || outs[i].type == DB_BYTES)
            db_rows_copy_out(a, &outs[i], result_bytes(result, 0, (int)i));
        else
            out_types[outs[i].type].read(result, 0, (int)i, outs[i].into);
    }
    return found;
}

void rows_list(struct rows *r, const struct db_out *outs, size_t outs_n, void *one, size_t size,
               void *ret_list, size_t *ret_n)
{
    char *list = arena_alloc_array(r->arena, (size_t)r->n + 1, size);
    size_t n = 0;
    for (; rows_next(r); n++) {
        const PGresult *result = result_of(r);
        for (size_t i = 0; i < outs_n; i++)
            out_types[outs[i].type].read(result, r->row, (int)i, outs[i].into);
        memcpy(list + n * size, one, size);
    }
    memcpy(ret_list, &list, sizeof list);
    *ret_n = n;
}
