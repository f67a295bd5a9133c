/* Writing jansson trees (see json.h). jansson itself would write 0.1 as 0.10000000000000001. */
#include "base/json.h"

#include "base/mem.h"

#include <assert.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

enum { FEW_MEMBERS = 16, DIGITS_MAX = 17 };

/* ---- floats ---- */

/* Raises the last digit of "d.ddde-XX" by one. */
static void raise_last_digit(char *text)
{
    char *p = strchr(text, 'e') - 1;
    while (p > text && (*p == '9' || *p == '.')) {
        *p = *p == '9' ? '0' : '.';
        p--;
    }
    if (*p >= '0' && *p < '9')
        ++*p;
}

/* "d.ddde-XX": the fewest digits that read back the same. Above a power of two, doubles are further
 * apart than below it: the nearest decimal may belong to another double, and the next one above it
 * to this one. */
static void shortest_digits(double v, char text[static 40])
{
    for (int digits = 0; digits < DIGITS_MAX; digits++) {
        snprintf(text, 40, "%.*e", digits, v);
        if (strtod(text, NULL) == v)
            return;
        raise_last_digit(text);
        if (strtod(text, NULL) == v)
            return;
    }
}

/* Places the decimal point `whole` digits from the left. */
static void add_positional(struct buf *b, const char *digits, int n, int whole)
{
    if (whole <= 0)
        BUF_LIT(b, "0.");
    for (int i = whole; i < 0; i++)
        buf_add_char(b, '0');
    for (int i = 0; i < n || i <= whole; i++) {
        if (i == whole && whole > 0)
            buf_add_char(b, '.');
        buf_add_char(b, i < n ? digits[i] : '0');
    }
}

static void add_scientific(struct buf *b, const char *digits, int n, int exponent)
{
    buf_add_char(b, digits[0]);
    if (n > 1) {
        buf_add_char(b, '.');
        buf_add(b, digits + 1, (size_t)n - 1);
    }
    buf_printf(b, "e%c%02d", exponent < 0 ? '-' : '+', abs(exponent));
}

void buf_add_real(struct buf *b, double v)
{
    char text[40], digits[DIGITS_MAX + 1] = "";
    int n = 0;
    assert(isfinite(v));
    shortest_digits(v, text);
    const char *p = text;
    if (*p == '-') {
        buf_add_char(b, '-');
        p++;
    }
    for (; *p && *p != 'e'; p++)
        if (*p != '.')
            digits[n++] = *p;
    int exponent = *p ? atoi(p + 1) : 0;
    if (exponent < -4 || exponent >= 16)
        add_scientific(b, digits, n, exponent);
    else
        add_positional(b, digits, n, exponent + 1);
}

/* ---- trees ---- */

struct item {
    struct str key;
    const json_t *value;
};

static int compare_items(const void *x, const void *y)
{
    return str_cmp(((const struct item *)x)->key, ((const struct item *)y)->key);
}

static void add_object(struct buf *b, const json_t *o)
{
    struct item few[FEW_MEMBERS], *items = few;
    size_t n = 0, size = json_object_size(o);
    if (size > FEW_MEMBERS)
        items = mem_realloc_array(NULL, size, sizeof *items);
    for (void *it = json_object_iter((json_t *)o); it; it = json_object_iter_next((json_t *)o, it))
        items[n++] = (struct item){
            {json_object_iter_key(it), json_object_iter_key_len(it)},
            json_object_iter_value(it),
        };
    qsort(items, n, sizeof *items, compare_items);
    buf_add_char(b, '{');
    for (size_t i = 0; i < n; i++) {
        buf_add_json_comma(b);
        buf_add_json_string(b, items[i].key);
        buf_add_char(b, ':');
        buf_add_json(b, items[i].value);
    }
    buf_add_char(b, '}');
    if (items != few)
        free(items);
}

static void json_write_add_array(struct buf *b, const json_t *a)
{
    buf_add_char(b, '[');
    for (size_t i = 0; i < json_array_size(a); i++) {
        buf_add_json_comma(b);
        buf_add_json(b, json_array_get(a, i));
    }
    buf_add_char(b, ']');
}

void buf_add_json(struct buf *b, const json_t *v)
{
    if (!v)
        return;
    switch (json_typeof(v)) {
    case JSON_OBJECT:
        add_object(b, v);
        break;
    case JSON_ARRAY:
        json_write_add_array(b, v);
        break;
    case JSON_STRING:
        buf_add_json_string(b, (struct str){json_string_value(v), json_string_length(v)});
        break;
    case JSON_INTEGER:
        buf_add_int(b, json_integer_value(v));
        break;
    case JSON_REAL:
        buf_add_real(b, json_real_value(v));
        break;
    case JSON_TRUE:
        BUF_LIT(b, "true");
        break;
    case JSON_FALSE:
        BUF_LIT(b, "false");
        break;
    case JSON_NULL:
        BUF_LIT(b, "null");
        break;
    }
}

char *json_write(struct arena *a, const json_t *v)
{
    buf_auto struct buf b = {0};
    buf_add_json(&b, v);
    return arena_memdup(a, b.p, b.n);
}
