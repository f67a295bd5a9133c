#include "matrix/canonical_json.h"

#include "base/mem.h"
#include "matrix/json_lex.h"

#include <float.h>
#include <math.h>
#include <stdlib.h>

/* The maximum of members in all open objects. A document of ten megabytes may have two million, and
 * each takes memory of its own; an event cannot have so many. */
enum { MEMBERS_MAX = 100000 };

/* The writer reads the input once, validating and writing at the same time. It records the place of
 * each member of an object, and sorts them afterwards only if necessary. */
struct member {
    size_t key, value, end; /* offsets in the output; the key with its quotes */
};

struct writer {
    const char *p, *start, *end;
    enum canonical_mode mode;
    struct buf *out;
    struct member *members; /* of all objects that are open */
    size_t n, size;
    struct buf sorted;
};

static const struct err *write_value(struct writer *w, int depth);

static const struct err *not_json(const struct writer *w)
{
    return err(ERR_NOT_JSON, "Content is not JSON: error near byte %zu", (size_t)(w->p - w->start));
}

static const struct err *too_deep(void)
{
    return err(ERR_NOT_JSON, "The JSON is nested deeper than %d levels", JSON_DEPTH_MAX);
}

/* Escapes in their shortest form, everything else as it is. */
static void add_unescaped(struct buf *b, const char *p, const char *end)
{
    while (p < end) {
        const char *backslash = memchr(p, '\\', (size_t)(end - p));
        buf_add(b, p, (size_t)((backslash ? backslash : end) - p));
        if (!backslash)
            return;
        uint32_t code_point;
        p = json_lex_escape(backslash, end, &code_point);
        char utf8[4];
        size_t n = json_lex_utf8(code_point, utf8);
        buf_add_json_inside(b, (struct str){utf8, n});
    }
}

static const struct err *write_string(struct writer *w, bool is_key)
{
    bool escaped;
    const char *from = w->p;
    const char *behind = json_lex_string(from, w->end, &escaped);
    if (!behind || (is_key && escaped && json_lex_has_nul(from + 1, behind - 1)))
        return not_json(w);
    if (escaped) {
        buf_add_char(w->out, '"');
        add_unescaped(w->out, from + 1, behind - 1);
        buf_add_char(w->out, '"');
    } else {
        buf_add(w->out, from, (size_t)(behind - from));
    }
    w->p = behind;
    return NULL;
}

/* Whether it is a whole number in the range, written with an exponent (appendices, example 1e10).
 */
static bool exponent_int(struct str number, double value, int64_t *ret)
{
    if (!memchr(number.p, 'e', number.n) && !memchr(number.p, 'E', number.n))
        return false;
    if (!(value >= -CANONICAL_INT_MAX && value <= CANONICAL_INT_MAX) ||
        value != (double)(int64_t)value)
        return false;
    *ret = (int64_t)value;
    return true;
}

static const struct err *check_strict(struct str number, bool integer)
{
    int64_t value;
    if (!integer)
        return err(ERR_BAD_JSON, "Numbers must be integers");
    if (!str_to_int64(number, &value) || value > CANONICAL_INT_MAX || value < -CANONICAL_INT_MAX)
        return err(ERR_BAD_JSON, "Integers must be between -(2^53 - 1) and 2^53 - 1");
    return NULL;
}

/* The value of a float, or of an integer of many digits. */
static const struct err *read_double(struct str number, double *ret)
{
    buf_auto struct buf text = {0};
    buf_add_str(&text, number);
    *ret = strtod(text.p, NULL);
    return isfinite(*ret) ? NULL : err(ERR_BAD_JSON, "A number is too large");
}

static const struct err *write_float(struct writer *w, struct str number)
{
    double value;
    int64_t whole;
    TRY(read_double(number, &value));
    if (exponent_int(number, value, &whole))
        buf_add_int(w->out, whole);
    else if (w->mode == CANONICAL_SHORTEST)
        buf_add_real(w->out, value);
    else
        buf_add_str(w->out, number);
    return NULL;
}

static const struct err *write_number(struct writer *w)
{
    bool integer;
    const char *behind = json_lex_number(w->p, w->end, &integer);
    if (!behind)
        return not_json(w);
    struct str number = {w->p, (size_t)(behind - w->p)};
    w->p = behind;
    if (w->mode == CANONICAL_STRICT)
        TRY(check_strict(number, integer));
    if (!integer)
        return write_float(w, number);
    double value;
    if (number.n > DBL_MAX_10_EXP)
        TRY(read_double(number, &value));
    buf_add_str(w->out, str_eq(number, STR("-0")) ? STR("0") : number);
    return NULL;
}

static const struct err *write_word(struct writer *w)
{
    const char *behind = json_lex_word(w->p, w->end);
    if (!behind)
        return not_json(w);
    buf_add(w->out, w->p, (size_t)(behind - w->p));
    w->p = behind;
    return NULL;
}

/* Iterates over the bytes of a key, with escapes decoded. */
struct key_walk {
    const char *p, *end;
};

static int next_key_byte(struct key_walk *k)
{
    if (k->p >= k->end)
        return -1;
    if (*k->p != '\\')
        return (unsigned char)*k->p++;
    uint32_t code_point = 0; /* below U+0080: all others are unescaped here */
    k->p = json_lex_escape(k->p, k->end, &code_point);
    return (int)code_point;
}

/* By code point, which for UTF-8 is the order of the bytes. */
static int compare_keys(const struct buf *b, const struct member *x, const struct member *y)
{
    struct key_walk kx = {b->p + x->key + 1, b->p + x->value - 2};
    struct key_walk ky = {b->p + y->key + 1, b->p + y->value - 2};
    for (;;) {
        int cx = next_key_byte(&kx), cy = next_key_byte(&ky);
        if (cx != cy)
            return cx < cy ? -1 : 1;
        if (cx < 0)
            return 0;
    }
}

static int compare_members(const void *px, const void *py, void *buf)
{
    const struct member *x = px, *y = py;
    int c = compare_keys(buf, x, y);
    return c ? c : x->key < y->key ? -1 : x->key > y->key;
}

/* Sorts the members from `first` on. Of equal keys the last one stays. */
static const struct err *sort_members(struct writer *w, size_t first)
{
    struct member *m = w->members + first;
    size_t n = w->n - first, start = m[0].key;
    qsort_r(m, n, sizeof *m, compare_members, w->out);
    buf_clear(&w->sorted);
    for (size_t i = 0; i < n; i++) {
        if (i + 1 < n && compare_keys(w->out, &m[i], &m[i + 1]) == 0) {
            if (w->mode == CANONICAL_STRICT)
                return err(ERR_BAD_JSON, "An object has the same key twice");
            continue;
        }
        buf_add_json_comma(&w->sorted);
        buf_add(&w->sorted, w->out->p + m[i].key, m[i].end - m[i].key);
    }
    w->out->n = start;
    buf_add(w->out, w->sorted.p, w->sorted.n);
    return NULL;
}

static struct member *canonical_json_add_member(struct writer *w)
{
    if (w->n == w->size) {
        w->size = w->size ? w->size * 2 : 64;
        w->members = mem_realloc_array(w->members, w->size, sizeof *w->members);
    }
    return &w->members[w->n++];
}

static const struct err *canonical_json_write_member(struct writer *w, int depth)
{
    struct member m = {.key = w->out->n};
    if (w->p == w->end || *w->p != '"')
        return not_json(w);
    TRY(write_string(w, true));
    w->p = json_lex_space(w->p, w->end);
    if (w->p == w->end || *w->p != ':')
        return not_json(w);
    w->p++;
    buf_add_char(w->out, ':');
    m.value = w->out->n;
    TRY(write_value(w, depth));
    m.end = w->out->n;
    if (w->n == MEMBERS_MAX)
        return err(ERR_TOO_LARGE, "The JSON has too many members");
    *canonical_json_add_member(w) = m;
    return NULL;
}

/* After an item: true at the end of the container. */
static const struct err *write_separator(struct writer *w, char close, bool *ret_end)
{
    w->p = json_lex_space(w->p, w->end);
    if (w->p == w->end || (*w->p != ',' && *w->p != close))
        return not_json(w);
    *ret_end = *w->p == close;
    if (!*ret_end) {
        buf_add_char(w->out, ',');
        w->p = json_lex_space(w->p + 1, w->end);
    }
    return NULL;
}

static const struct err *write_object(struct writer *w, int depth)
{
    size_t first = w->n;
    bool ordered = true, end = w->p < w->end && *w->p == '}';
    while (!end) {
        TRY(canonical_json_write_member(w, depth));
        size_t n = w->n - first;
        if (n > 1 && ordered)
            ordered = compare_keys(w->out, &w->members[w->n - 2], &w->members[w->n - 1]) < 0;
        TRY(write_separator(w, '}', &end));
    }
    if (!ordered)
        TRY(sort_members(w, first));
    w->n = first;
    return NULL;
}

static const struct err *write_array(struct writer *w, int depth)
{
    bool end = w->p < w->end && *w->p == ']';
    while (!end) {
        TRY(write_value(w, depth));
        TRY(write_separator(w, ']', &end));
    }
    return NULL;
}

static const struct err *write_container(struct writer *w, int depth)
{
    if (depth == JSON_DEPTH_MAX)
        return too_deep();
    bool object = *w->p == '{';
    buf_add_char(w->out, *w->p);
    w->p = json_lex_space(w->p + 1, w->end);
    TRY(object ? write_object(w, depth + 1) : write_array(w, depth + 1));
    w->p++;
    buf_add_char(w->out, object ? '}' : ']');
    return NULL;
}

static const struct err *write_value(struct writer *w, int depth)
{
    w->p = json_lex_space(w->p, w->end);
    char c = w->p < w->end ? *w->p : '\0';
    if (c == '"')
        return write_string(w, false);
    if (c == '{' || c == '[')
        return write_container(w, depth);
    if (c == '-' || (c >= '0' && c <= '9'))
        return write_number(w);
    return write_word(w);
}

const struct err *canonical_json_add(struct buf *b, enum canonical_mode mode, struct str raw)
{
    size_t before = b->n;
    const char *start = raw.p ? raw.p : "";
    struct writer w = {.p = start, .start = start, .end = start + raw.n, .mode = mode, .out = b};
    buf_reserve(b, raw.n);
    const struct err *e = write_value(&w, 0);
    w.p = json_lex_space(w.p, w.end);
    if (!e && w.p != w.end)
        e = not_json(&w);
    free(w.members);
    buf_finish(&w.sorted);
    if (e)
        buf_truncate(b, before);
    return e;
}
