/* The grammar of the header (RFC 9110, section 11.4), and the deviations of older servers. */
#include "federation/routes/xmatrix.h"

#include <strings.h>

static const char scheme[] = "X-Matrix";
enum { SCHEME_LENGTH = sizeof scheme - 1 };

static bool xmatrix_parse_is_blank(char c)
{
    return c == ' ' || c == '\t';
}

bool xmatrix_is_scheme(struct str header)
{
    return header.n > SCHEME_LENGTH && strncasecmp(header.p, scheme, SCHEME_LENGTH) == 0 &&
           xmatrix_parse_is_blank(header.p[SCHEME_LENGTH]);
}

static const struct err *xmatrix_parse_malformed(const char *what)
{
    return err(ERR_UNAUTHORIZED, "The Authorization header is malformed: %s", what);
}

struct reader {
    struct arena *arena;
    struct str rest;
};

static char next(const struct reader *r)
{
    return r->rest.n ? r->rest.p[0] : '\0';
}

static void xmatrix_parse_skip(struct reader *r)
{
    r->rest.p++;
    r->rest.n--;
}

static void skip_blanks(struct reader *r)
{
    while (r->rest.n && xmatrix_parse_is_blank(next(r)))
        xmatrix_parse_skip(r);
}

/* A list may have empty elements (RFC 9110, section 5.6.1). */
static void skip_separators(struct reader *r)
{
    while (r->rest.n && (xmatrix_parse_is_blank(next(r)) || next(r) == ','))
        xmatrix_parse_skip(r);
}

static bool xmatrix_parse_is_token(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
           (c && strchr("!#$%&'*+-.^_`|~", c));
}

/* More than tokens: older servers omit the quotes around values with colons, and base64 and IPv6
 * addresses are unambiguous too. */
static bool is_plain(char c)
{
    return xmatrix_parse_is_token(c) || (c && strchr(":/=[]", c));
}

static struct str read_while(struct reader *r, bool (*belongs)(char))
{
    struct str s = {r->rest.p, 0};
    while (r->rest.n && belongs(next(r))) {
        xmatrix_parse_skip(r);
        s.n++;
    }
    return s;
}

static const struct err *xmatrix_parse_read_quoted(struct reader *r, const char **ret)
{
    char *value = arena_alloc(r->arena, r->rest.n);
    size_t n = 0;
    for (xmatrix_parse_skip(r); r->rest.n && next(r) != '"'; xmatrix_parse_skip(r)) {
        if (next(r) == '\\' && r->rest.n > 1)
            xmatrix_parse_skip(r);
        value[n++] = next(r);
    }
    if (!r->rest.n)
        return xmatrix_parse_malformed("a quote is not closed");
    xmatrix_parse_skip(r);
    *ret = value;
    return NULL;
}

static const struct err *xmatrix_parse_read_value(struct reader *r, const char **ret)
{
    if (next(r) == '"')
        return xmatrix_parse_read_quoted(r, ret);
    struct str value = read_while(r, is_plain);
    if (!value.n)
        return xmatrix_parse_malformed("a value is missing or needs quotes");
    *ret = str_dup(r->arena, value);
    return NULL;
}

static bool is_named(struct str name, const char *text)
{
    return name.n == strlen(text) && strncasecmp(name.p, text, name.n) == 0;
}

/* The spec's examples, and all servers, use `sig`; its list of parameters says `signature`. */
static const char **xmatrix_parse_slot_of(struct xmatrix *x, struct str name)
{
    return is_named(name, "origin")                               ? &x->origin
           : is_named(name, "destination")                        ? &x->destination
           : is_named(name, "key")                                ? &x->key_id
           : is_named(name, "sig") || is_named(name, "signature") ? &x->signature
                                                                  : NULL;
}

static const struct err *read_parameter(struct reader *r, struct xmatrix *x)
{
    const char *value = NULL;
    struct str name = read_while(r, xmatrix_parse_is_token);
    skip_blanks(r);
    if (!name.n || next(r) != '=')
        return xmatrix_parse_malformed("it should be a list of name=\"value\"");
    xmatrix_parse_skip(r);
    skip_blanks(r);
    TRY(xmatrix_parse_read_value(r, &value));
    skip_blanks(r);
    if (r->rest.n && next(r) != ',')
        return xmatrix_parse_malformed("a comma is missing between parameters");
    const char **slot = xmatrix_parse_slot_of(x, name);
    if (slot && *slot)
        return xmatrix_parse_malformed("a parameter stands twice");
    if (slot)
        *slot = value;
    return NULL;
}

const struct err *xmatrix_parse(struct arena *a, struct str header, struct xmatrix *ret)
{
    if (!xmatrix_is_scheme(header))
        return xmatrix_parse_malformed("its scheme is not X-Matrix");
    struct xmatrix x = {0};
    struct reader r = {a, {header.p + SCHEME_LENGTH, header.n - SCHEME_LENGTH}};
    for (skip_separators(&r); r.rest.n; skip_separators(&r))
        TRY(read_parameter(&r, &x));
    if (!x.origin || !x.key_id || !x.signature)
        return xmatrix_parse_malformed("it needs origin, key and sig");
    *ret = x;
    return NULL;
}
