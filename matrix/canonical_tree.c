/* The canonical form of a jansson tree (see canonical_json.h). */
#include "base/mem.h"
#include "matrix/canonical_json.h"

#include <stdio.h>

static const struct err *write_tree(struct buf *b, enum canonical_mode mode, const json_t *v,
                                    int depth);

struct item {
    struct str key;
    const json_t *value;
};

static int compare_items(const void *x, const void *y)
{
    return str_cmp(((const struct item *)x)->key, ((const struct item *)y)->key);
}

static const struct err *write_items(struct buf *b, enum canonical_mode mode,
                                     const struct item *items, size_t n, int depth)
{
    for (size_t i = 0; i < n; i++) {
        if (i)
            buf_add_char(b, ',');
        buf_add_json_string(b, items[i].key);
        buf_add_char(b, ':');
        TRY(write_tree(b, mode, items[i].value, depth));
    }
    return NULL;
}

static const struct err *write_object(struct buf *b, enum canonical_mode mode, const json_t *o,
                                      int depth)
{
    size_t n = 0;
    struct item *items = mem_realloc_array(NULL, json_object_size(o), sizeof *items);
    for (void *it = json_object_iter((json_t *)o); it; it = json_object_iter_next((json_t *)o, it))
        items[n++] = (struct item){
            {json_object_iter_key(it), json_object_iter_key_len(it)},
            json_object_iter_value(it),
        };
    qsort(items, n, sizeof *items, compare_items);
    buf_add_char(b, '{');
    const struct err *e = write_items(b, mode, items, n, depth);
    buf_add_char(b, '}');
    free(items);
    return e;
}

static const struct err *write_array(struct buf *b, enum canonical_mode mode, const json_t *a,
                                     int depth)
{
    buf_add_char(b, '[');
    for (size_t i = 0; i < json_array_size(a); i++) {
        if (i)
            buf_add_char(b, ',');
        TRY(write_tree(b, mode, json_array_get(a, i), depth));
    }
    buf_add_char(b, ']');
    return NULL;
}

static const struct err *write_int(struct buf *b, enum canonical_mode mode, int64_t v)
{
    if (mode == CANONICAL_STRICT && (v > CANONICAL_INT_MAX || v < -CANONICAL_INT_MAX))
        return err(ERR_BAD_JSON, "Integers must be between -(2^53 - 1) and 2^53 - 1");
    buf_add_int(b, v);
    return NULL;
}

/* A tree no longer tells 1e10 from 10000000000.0: whole numbers of the range become integers, as
 * the example in the appendices wants; others take the shortest text that reads back the same. */
static const struct err *write_real(struct buf *b, enum canonical_mode mode, double v)
{
    if (mode == CANONICAL_STRICT)
        return err(ERR_BAD_JSON, "Numbers must be integers");
    if (v >= -CANONICAL_INT_MAX && v <= CANONICAL_INT_MAX && v == (double)(int64_t)v)
        return write_int(b, mode, (int64_t)v);
    char text[40];
    for (int digits = 15; digits <= 17; digits++) {
        snprintf(text, sizeof text, "%.*g", digits, v);
        if (strtod(text, NULL) == v)
            break;
    }
    buf_add_text(b, text);
    return NULL;
}

static const struct err *write_tree(struct buf *b, enum canonical_mode mode, const json_t *v,
                                    int depth)
{
    if (depth > JSON_DEPTH_MAX)
        return err(ERR_BAD_JSON, "The JSON is nested deeper than %d levels", JSON_DEPTH_MAX);
    switch (json_typeof(v)) {
    case JSON_OBJECT:
        return write_object(b, mode, v, depth + 1);
    case JSON_ARRAY:
        return write_array(b, mode, v, depth + 1);
    case JSON_STRING:
        buf_add_json_string(b, (struct str){json_string_value(v), json_string_length(v)});
        return NULL;
    case JSON_INTEGER:
        return write_int(b, mode, json_integer_value(v));
    case JSON_REAL:
        return write_real(b, mode, json_real_value(v));
    case JSON_TRUE:
        BUF_LIT(b, "true");
        return NULL;
    case JSON_FALSE:
        BUF_LIT(b, "false");
        return NULL;
    case JSON_NULL:
        BUF_LIT(b, "null");
        return NULL;
    }
    return err_internal("canonical_json: unknown type of JSON value");
}

const struct err *canonical_json_add_tree(struct buf *b, enum canonical_mode mode, const json_t *v)
{
    size_t before = b->n;
    const struct err *e = write_tree(b, mode, v, 0);
    if (e)
        buf_truncate(b, before);
    return e;
}
