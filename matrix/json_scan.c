#include "matrix/json_scan.h"

#include "base/json.h"
#include "base/mem.h"
#include "matrix/json_lex.h"

#include <stdarg.h>

struct checker {
    const char *p, *end;
    bool too_deep;
};

static bool json_scan_check_value(struct checker *c, int depth);

/* Also for an absent value: not even 0 may be added to NULL. */
static const char *end_of(struct str s)
{
    return s.n ? s.p + s.n : s.p;
}

static bool check_string(struct checker *c, bool is_key)
{
    bool escaped;
    const char *start = c->p;
    if (start == c->end || *start != '"')
        return false;
    const char *behind = json_lex_string(start, c->end, &escaped);
    if (!behind || (is_key && escaped && json_lex_has_nul(start + 1, behind - 1)))
        return false;
    c->p = behind;
    return true;
}

static bool check_member(struct checker *c, int depth)
{
    if (!check_string(c, true))
        return false;
    c->p = json_lex_space(c->p, c->end);
    if (c->p == c->end || *c->p != ':')
        return false;
    c->p++;
    return json_scan_check_value(c, depth);
}

static bool check_container(struct checker *c, char close, int depth)
{
    if (depth == JSON_DEPTH_MAX) {
        c->too_deep = true;
        return false;
    }
    c->p = json_lex_space(c->p + 1, c->end);
    if (c->p < c->end && *c->p == close) {
        c->p++;
        return true;
    }
    for (;;) {
        c->p = json_lex_space(c->p, c->end);
        if (!(close == '}' ? check_member(c, depth + 1) : json_scan_check_value(c, depth + 1)))
            return false;
        c->p = json_lex_space(c->p, c->end);
        if (c->p == c->end || (*c->p != ',' && *c->p != close))
            return false;
        if (*c->p++ == close)
            return true;
    }
}

static bool check_scalar(struct checker *c)
{
    bool integer;
    const char *behind = *c->p == '-' || (*c->p >= '0' && *c->p <= '9')
                             ? json_lex_number(c->p, c->end, &integer)
                             : json_lex_word(c->p, c->end);
    if (!behind)
        return false;
    c->p = behind;
    return true;
}

static bool json_scan_check_value(struct checker *c, int depth)
{
    c->p = json_lex_space(c->p, c->end);
    if (c->p == c->end)
        return false;
    switch (*c->p) {
    case '{':
        return check_container(c, '}', depth);
    case '[':
        return check_container(c, ']', depth);
    case '"':
        return check_string(c, false);
    default:
        return check_scalar(c);
    }
}

const struct err *json_scan_check(struct str doc)
{
    struct checker c = {.p = doc.p, .end = end_of(doc)};
    bool ok = doc.n && json_scan_check_value(&c, 0);
    if (c.too_deep)
        return err(ERR_NOT_JSON, "The JSON is nested deeper than %d levels", JSON_DEPTH_MAX);
    if (ok)
        c.p = json_lex_space(c.p, c.end);
    if (!ok || c.p != c.end)
        return err(ERR_NOT_JSON, "Content is not JSON: error near byte %zu",
                   doc.n ? (size_t)(c.p - doc.p) : 0);
    return NULL;
}

bool json_scan_next(struct str doc, size_t *pos, struct json_member *ret)
{
    const char *end = end_of(doc), *open = json_lex_space(doc.p, end);
    if (open == end || (*open != '{' && *open != '['))
        return false;
    const char *p = json_lex_space(*pos ? doc.p + *pos : open + 1, end);
    if (p < end && *p == ',' && *pos)
        p = json_lex_space(p + 1, end);
    if (p == end || *p == '}' || *p == ']')
        return false;
    struct json_member m = {0};
    if (*open == '{') {
        if (*p != '"')
            return false;
        const char *behind = json_skip_string(p, end);
        if (behind - p < 2)
            return false;
        m.key = (struct str){p + 1, (size_t)(behind - p) - 2};
        p = json_lex_space(behind, end);
        if (p == end || *p != ':')
            return false;
        p = json_lex_space(p + 1, end);
    }
    const char *behind = json_skip_value(p, end);
    if (behind == p)
        return false;
    m.value = (struct str){p, (size_t)(behind - p)};
    *pos = (size_t)(behind - doc.p);
    *ret = m;
    return true;
}

const struct err *json_scan_object(struct arena *a, struct str doc, struct json_members *ret)
{
    const char *end = end_of(doc), *open = json_lex_space(doc.p, end);
    if (open == end || *open != '{')
        return err(ERR_BAD_JSON, "Content must be an object");
    size_t n = 0, pos = 0;
    struct json_member one;
    while (json_scan_next(doc, &pos, &one))
        n++;
    struct json_member *m = arena_alloc_array(a, n, sizeof *m);
    pos = 0;
    for (size_t i = 0; i < n; i++)
        json_scan_next(doc, &pos, &m[i]);
    *ret = (struct json_members){m, n};
    return NULL;
}

/* Compares the inside of a raw string with plain text. */
static bool inside_is(struct str inside, const char *text)
{
    if (!inside.n || !memchr(inside.p, '\\', inside.n))
        return str_is(inside, text);
    const char *p = inside.p, *end = p + inside.n;
    while (p < end) {
        char utf8[4] = {*p};
        size_t n = 1;
        uint32_t code_point;
        if (*p != '\\')
            p++;
        else if ((p = json_lex_escape(p, end, &code_point)))
            n = json_lex_utf8(code_point, utf8);
        if (!p || memchr(utf8, '\0', n) || strncmp(text, utf8, n) != 0)
            return false;
        text += n;
    }
    return *text == '\0';
}

/* An escaped text is always longer than the unescaped one. */
static bool key_is(struct str key, struct str text)
{
    if (key.n == text.n)
        return str_eq(key, text) && (!key.n || !memchr(key.p, '\\', key.n));
    return key.n > text.n && memchr(key.p, '\\', key.n) && inside_is(key, text.p);
}

static struct str matrix_json_scan_get(struct str doc, struct str key)
{
    struct str found = {0};
    struct json_member m;
    const char *end = end_of(doc), *open = json_lex_space(doc.p, end);
    if (open == end || *open != '{')
        return found;
    for (size_t pos = 0; json_scan_next(doc, &pos, &m);)
        if (key_is(m.key, key))
            found = m.value;
    return found;
}

struct str json_scan_get(struct str doc, const char *key)
{
    return matrix_json_scan_get(doc, str_of(key));
}

struct str json_scan_path(struct str doc, ...)
{
    va_list ap;
    va_start(ap, doc);
    for (const char *key; doc.p && (key = va_arg(ap, const char *));)
        doc = matrix_json_scan_get(doc, str_of(key));
    va_end(ap);
    return doc;
}

static bool is_string(struct str raw)
{
    return raw.n >= 2 && raw.p[0] == '"' && raw.p[raw.n - 1] == '"';
}

size_t json_scan_unescape(struct str inside, char *ret)
{
    char *out = ret;
    const char *p = inside.p, *end = end_of(inside);
    while (p < end) {
        const char *backslash = memchr(p, '\\', (size_t)(end - p));
        size_t run = (size_t)((backslash ? backslash : end) - p);
        memcpy(out, p, run);
        out += run;
        p += run;
        uint32_t code_point;
        if (!backslash)
            break;
        if (!(p = json_lex_escape(p, end, &code_point)))
            break;
        out += json_lex_utf8(code_point, out);
    }
    return (size_t)(out - ret);
}

struct str json_scan_str(struct arena *a, struct str raw)
{
    if (!is_string(raw))
        return (struct str){NULL, 0};
    char *text = arena_alloc(a, raw.n);
    size_t n = json_scan_unescape((struct str){raw.p + 1, raw.n - 2}, text);
    text[n] = '\0';
    return (struct str){text, n};
}

char *json_scan_string(struct arena *a, struct str raw)
{
    struct str s = json_scan_str(a, raw);
    return s.p && !memchr(s.p, '\0', s.n) ? (char *)s.p : NULL;
}

bool json_scan_string_is(struct str raw, const char *text)
{
    return is_string(raw) && inside_is((struct str){raw.p + 1, raw.n - 2}, text);
}

bool json_scan_int(struct str raw, int64_t *ret)
{
    bool integer;
    const char *end = end_of(raw);
    return raw.n && json_lex_number(raw.p, end, &integer) == end && str_to_int64(raw, ret);
}
