#include "federation/users/multipart.h"

#include "http/header_value.h"

#include <strings.h>

enum { BOUNDARY_MAX = 70, HEAD_MAX = 16384, HEADERS_MAX = 32 };

static const struct err *multipart_malformed(const char *what)
{
    return err(ERR_BAD_STATUS, "The other server sent malformed multipart/mixed: %s", what);
}

static struct str multipart_skip(struct str s, size_t n)
{
    return (struct str){s.p + n, s.n - n};
}

static bool multipart_is_blank(char c)
{
    return c == ' ' || c == '\t';
}

static struct str multipart_trim(struct str s)
{
    while (s.n && multipart_is_blank(s.p[0]))
        s = multipart_skip(s, 1);
    while (s.n && multipart_is_blank(s.p[s.n - 1]))
        s.n--;
    return s;
}

static bool is_word(struct str s, const char *word)
{
    return s.n == strlen(word) && strncasecmp(s.p, word, s.n) == 0;
}

/* ---- the boundary ---- */

static bool is_boundary(struct str s)
{
    static const char others[] = "'()+_,-./:=? ";
    if (!s.n || s.n > BOUNDARY_MAX || s.p[s.n - 1] == ' ')
        return false;
    for (size_t i = 0; i < s.n; i++) {
        unsigned char c = (unsigned char)s.p[i];
        bool plain = (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
        if (!plain && (!c || !strchr(others, c)))
            return false;
    }
    return true;
}

bool multipart_boundary(struct arena *a, const char *content_type, struct str *ret)
{
    return content_type && is_word(header_value_main(content_type), "multipart/mixed") &&
           header_value_parameter(a, content_type, "boundary", ret) && is_boundary(*ret);
}

/* ---- delimiters ---- */

/* A line "--BOUNDARY" or, at the very end, "--BOUNDARY--". */
struct delimiter {
    size_t from, to; /* includes the line breaks before and after it */
    bool is_last;
};

/* Reads what follows the boundary at `at`; false if it is not a delimiter. */
static bool read_tail(struct str whole, size_t at, struct delimiter *d)
{
    d->is_last = whole.n - at >= 2 && memcmp(whole.p + at, "--", 2) == 0;
    if (d->is_last)
        at += 2;
    while (at < whole.n && multipart_is_blank(whole.p[at]))
        at++;
    bool has_break = whole.n - at >= 2 && memcmp(whole.p + at, "\r\n", 2) == 0;
    d->to = at + (has_break ? 2 : 0);
    return has_break || (d->is_last && at == whole.n);
}

/* The next delimiter from `from` on. The first may be at the very start, without a line break
 * before it. */
static bool find_delimiter(struct str whole, struct str line, size_t from, struct delimiter *ret)
{
    struct str bare = multipart_skip(line, 2); /* without the line break */
    struct delimiter d = {0};
    if (from == 0 && whole.n >= bare.n && memcmp(whole.p, bare.p, bare.n) == 0 &&
        read_tail(whole, bare.n, &d)) {
        *ret = d;
        return true;
    }
    while (from < whole.n) {
        const char *found = memmem(whole.p + from, whole.n - from, line.p, line.n);
        if (!found)
            return false;
        d.from = (size_t)(found - whole.p);
        if (read_tail(whole, d.from + line.n, &d)) {
            *ret = d;
            return true;
        }
        from = d.from + 2;
    }
    return false;
}

/* ---- parts ---- */

/* A value that may not be used in a header counts as absent. */
static const char *header_value(struct arena *a, struct str value)
{
    for (size_t i = 0; i < value.n; i++)
        if ((unsigned char)value.p[i] < ' ' || value.p[i] == 0x7f)
            return NULL;
    return value.n && utf8_valid(value) ? str_dup(a, value) : NULL;
}

static void read_header(struct arena *a, struct str line, struct multipart_part *part)
{
    const char *colon = memchr(line.p, ':', line.n);
    if (!colon)
        return;
    struct str name = {line.p, (size_t)(colon - line.p)};
    struct str value = multipart_trim(multipart_skip(line, name.n + 1));
    if (is_word(name, "Content-Type"))
        part->content_type = header_value(a, value);
    else if (is_word(name, "Content-Disposition"))
        part->content_disposition = header_value(a, value);
    else if (is_word(name, "Location"))
        part->location = header_value(a, value);
}

/* Header lines, an empty line, the body. Without headers it begins with the empty line. */
static const struct err *read_part(struct arena *a, struct str text, struct multipart_part *ret)
{
    struct multipart_part part = {0};
    for (size_t headers = 0, bytes = 0;; headers++) {
        const char *end = memmem(text.p, text.n, "\r\n", 2);
        if (!end)
            return multipart_malformed("a part has no empty line after its headers");
        struct str line = {text.p, (size_t)(end - text.p)};
        text = multipart_skip(text, line.n + 2);
        bytes += line.n;
        if (!line.n)
            break;
        if (headers == HEADERS_MAX || bytes > HEAD_MAX)
            return multipart_malformed("a part has too many headers");
        read_header(a, line, &part);
    }
    part.body = text;
    *ret = part;
    return NULL;
}

const struct err *multipart_read(struct arena *a, struct str boundary, struct str whole,
                                 struct multipart_part *ret, size_t max, size_t *ret_n)
{
    struct str line = str_of(arena_printf(a, "\r\n--%.*s", STR_FMT(boundary)));
    struct delimiter before, after;
    size_t n = 0;
    if (!find_delimiter(whole, line, 0, &before))
        return multipart_malformed("no part begins");
    while (!before.is_last) {
        /* two adjacent delimiters may share a line break */
        if (!find_delimiter(whole, line, before.to - 2, &after))
            return multipart_malformed("it ends early");
        if (n == max)
            return multipart_malformed("too many parts");
        size_t end = after.from > before.to ? after.from : before.to;
        TRY(read_part(a, (struct str){whole.p + before.to, end - before.to}, &ret[n++]));
        before = after;
    }
    *ret_n = n;
    return NULL;
}
