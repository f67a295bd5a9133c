#include "storage/db/db_params.h"

#include "base/mem.h"

#include <assert.h>
#include <endian.h>
#include <limits.h>

/* From PostgreSQL's catalog (pg_type.dat): these never change. */
static const struct {
    Oid scalar, array;
} oids[] = {
    [DB_INT8] = {20, 1016},      [DB_INT4] = {23, 1007},      [DB_BOOL] = {16, 1000},
    [DB_TEXT] = {25, 1009},      [DB_BYTES] = {17, 1001},     [DB_DOUBLE] = {701, 1022},
    [DB_INT8_ARRAY] = {1016, 0}, [DB_TEXT_ARRAY] = {1009, 0}, [DB_BYTES_ARRAY] = {1001, 0},
    [DB_POSITION] = {20, 1016},
};

static Oid type_oid(enum db_type type)
{
    return oids[type].scalar;
}

Oid db_type_array_oid(enum db_type element)
{
    assert(oids[element].array);
    return oids[element].array;
}

static void add_be32(struct buf *b, uint32_t v)
{
    v = htobe32(v);
    buf_add(b, &v, sizeof v);
}

static void add_be64(struct buf *b, uint64_t v)
{
    v = htobe64(v);
    buf_add(b, &v, sizeof v);
}

static void add_scalar(struct buf *b, const struct db_param *p)
{
    switch (p->type) {
    case DB_INT8:
    case DB_POSITION:
        add_be64(b, (uint64_t)p->i);
        break;
    case DB_INT4:
        assert(p->i >= INT32_MIN && p->i <= INT32_MAX);
        add_be32(b, (uint32_t)p->i);
        break;
    case DB_BOOL:
        buf_add_char(b, p->i != 0);
        break;
    case DB_DOUBLE: {
        uint64_t bits;
        memcpy(&bits, &p->d, sizeof bits);
        add_be64(b, bits);
        break;
    }
    case DB_TEXT:
    case DB_BYTES:
        buf_add_str(b, p->s);
        break;
    default:
        assert(!"a scalar");
    }
}

/* The header: dimensions, has-nulls flag, element type, then size and lower bound of the one
 * dimension. An empty array has no dimension, and its header ends before them. */
enum { AT_DIMENSIONS = 0, AT_HAS_NULLS = 4, AT_SIZE = 12, EMPTY_HEADER = 12 };

static void patch_be32(struct buf *b, size_t at, uint32_t v)
{
    v = htobe32(v);
    memcpy(b->p + at, &v, sizeof v);
}

size_t db_array_begin(struct buf *b, enum db_type element)
{
    size_t at = b->n;
    add_be32(b, 0);
    add_be32(b, 0);
    add_be32(b, type_oid(element));
    return at;
}

void db_array_add(struct buf *b, size_t at, const struct db_param *element)
{
    if (b->n == at + EMPTY_HEADER) {
        patch_be32(b, at + AT_DIMENSIONS, 1);
        add_be32(b, 0);
        add_be32(b, 1);
    }
    uint32_t count;
    memcpy(&count, b->p + at + AT_SIZE, sizeof count);
    patch_be32(b, at + AT_SIZE, be32toh(count) + 1);
    if (element->null) {
        patch_be32(b, at + AT_HAS_NULLS, 1);
        add_be32(b, UINT32_MAX);
        return;
    }
    size_t length_at = b->n;
    add_be32(b, 0);
    add_scalar(b, element);
    patch_be32(b, length_at, (uint32_t)(b->n - length_at - 4));
}

static void db_params_add_array(struct buf *b, const struct db_param *p)
{
    const int64_t *ints = p->array;
    const char *const *texts = p->array;
    const struct str *bytes = p->array;
    size_t at;
    switch (p->type) {
    case DB_INT8_ARRAY:
        at = db_array_begin(b, DB_INT8);
        for (size_t i = 0; i < p->n; i++)
            db_array_add(b, at, &INT(ints[i]));
        break;
    case DB_TEXT_ARRAY:
        at = db_array_begin(b, DB_TEXT);
        for (size_t i = 0; i < p->n; i++) {
            struct db_param text = TEXT(texts[i]);
            db_array_add(b, at, &text);
        }
        break;
    default:
        assert(p->type == DB_BYTES_ARRAY);
        at = db_array_begin(b, DB_BYTES);
        for (size_t i = 0; i < p->n; i++) {
            struct db_param one = BYTES(bytes[i]);
            db_array_add(b, at, &one);
        }
        break;
    }
}

static bool is_array(enum db_type type)
{
    return type == DB_INT8_ARRAY || type == DB_TEXT_ARRAY || type == DB_BYTES_ARRAY;
}

static bool is_sent_in_place(const struct db_param *p)
{
    return p->type == DB_TEXT || p->type == DB_BYTES;
}

static void make_room(struct db_encoded *e, int n)
{
    if (n <= e->size)
        return;
    e->size = n < 16 ? 16 : n;
    size_t size = (size_t)e->size;
    e->types = mem_realloc_array(e->types, size, sizeof *e->types);
    e->values = mem_realloc_array(e->values, size, sizeof *e->values);
    e->lengths = mem_realloc_array(e->lengths, size, sizeof *e->lengths);
    e->formats = mem_realloc_array(e->formats, size, sizeof *e->formats);
    e->offsets = mem_realloc_array(e->offsets, size, sizeof *e->offsets);
}

void db_encode(struct db_encoded *e, const struct db_param *params, size_t n)
{
    assert(n <= UINT16_MAX); /* the protocol's limit */
    make_room(e, (int)n);
    e->n = (int)n;
    buf_clear(&e->bytes);
    for (size_t i = 0; i < n; i++) {
        const struct db_param *p = &params[i];
        e->types[i] = type_oid(p->type);
        e->formats[i] = 1;
        e->offsets[i] = e->bytes.n;
        if (p->null || is_sent_in_place(p)) {
            assert(p->s.n <= INT_MAX);
            e->lengths[i] = p->null ? 0 : (int)p->s.n;
            continue;
        }
        if (is_array(p->type))
            db_params_add_array(&e->bytes, p);
        else
            add_scalar(&e->bytes, p);
        e->lengths[i] = (int)(e->bytes.n - e->offsets[i]);
    }
    for (size_t i = 0; i < n; i++) { /* the buffer does not move any more */
        const struct db_param *p = &params[i];
        e->values[i] = p->null ? NULL : is_sent_in_place(p) ? p->s.p : e->bytes.p + e->offsets[i];
    }
}

void db_encoded_finish(struct db_encoded *e)
{
    free(e->types);
    free(e->values);
    free(e->lengths);
    free(e->formats);
    free(e->offsets);
    buf_finish(&e->bytes);
    *e = (struct db_encoded){0};
}
