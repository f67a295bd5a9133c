#include "http/header_value.h"

#include <strings.h>

static bool header_value_is_blank(char c)
{
    return c == ' ' || c == '\t';
}

static struct str header_value_skip(struct str s, size_t n)
{
    return (struct str){s.p + n, s.n - n};
}

static struct str header_value_trim(struct str s)
{
    while (s.n && header_value_is_blank(s.p[0]))
        s = header_value_skip(s, 1);
    while (s.n && header_value_is_blank(s.p[s.n - 1]))
        s.n--;
    return s;
}

struct str header_value_main(const char *value)
{
    return header_value_trim((struct str){value, strcspn(value, ";")});
}

/* A backslash escapes the next character. */
static struct str take_quoted(struct arena *a, struct str *left)
{
    char *out = arena_alloc(a, left->n);
    size_t i = 1, n = 0;
    for (; i < left->n && left->p[i] != '"'; i++) {
        if (left->p[i] == '\\' && i + 1 < left->n)
            i++;
        out[n++] = left->p[i];
    }
    while (i < left->n && left->p[i] != ';')
        i++;
    *left = header_value_skip(*left, i);
    return (struct str){out, n};
}

static struct str take_value(struct arena *a, struct str *left)
{
    while (left->n && header_value_is_blank(left->p[0]))
        *left = header_value_skip(*left, 1);
    if (left->n && left->p[0] == '"')
        return take_quoted(a, left);
    struct str value = {left->p, 0};
    while (value.n < left->n && left->p[value.n] != ';')
        value.n++;
    *left = header_value_skip(*left, value.n);
    return header_value_trim(value);
}

bool header_value_parameter(struct arena *a, const char *value, const char *name, struct str *ret)
{
    struct str left = header_value_skip(str_of(value), strcspn(value, ";"));
    while (left.n) {
        left = header_value_skip(left, 1); /* the semicolon */
        struct str key = {left.p, 0};
        while (key.n < left.n && left.p[key.n] != '=' && left.p[key.n] != ';')
            key.n++;
        left = header_value_skip(left, key.n);
        if (!left.n || left.p[0] == ';')
            continue; /* without a value */
        left = header_value_skip(left, 1);
        struct str found = take_value(a, &left);
        key = header_value_trim(key);
        if (key.n == strlen(name) && strncasecmp(key.p, name, key.n) == 0) {
            *ret = found;
            return true;
        }
    }
    return false;
}

bool header_value_range(struct str range, int64_t size, int64_t *ret_first, int64_t *ret_last)
{
    if (!str_starts_with(range, "bytes=") || memchr(range.p, ',', range.n))
        return true;
    range = (struct str){range.p + 6, range.n - 6};
    const char *dash = memchr(range.p, '-', range.n);
    if (!dash)
        return true;
    struct str from = {range.p, (size_t)(dash - range.p)};
    struct str to = {dash + 1, range.n - from.n - 1};
    int64_t first = 0, last = size - 1, v;
    if ((from.n && (!str_to_int64(from, &first) || first < 0)) ||
        (to.n && (!str_to_int64(to, &v) || v < 0)) || (!from.n && !to.n))
        return true;
    if (!from.n)
        first = v < size ? size - v : 0;
    else if (to.n && v < last)
        last = v;
    if (from.n && to.n && v < first)
        return true;
    if (first >= size || first > last)
        return false;
    *ret_first = first;
    *ret_last = last;
    return true;
}
