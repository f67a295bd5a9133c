#include "http/query.h"

static int query_hex_digit(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    c |= 0x20;
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

size_t query_decode_bytes(struct str raw, bool plus_is_space, char *ret)
{
    size_t n = 0;
    for (size_t i = 0; i < raw.n; i++) {
        char c = raw.p[i];
        if (c == '%' && i + 2 < raw.n && query_hex_digit(raw.p[i + 1]) >= 0 &&
            query_hex_digit(raw.p[i + 2]) >= 0) {
            c = (char)(query_hex_digit(raw.p[i + 1]) << 4 | query_hex_digit(raw.p[i + 2]));
            i += 2;
        } else if (c == '+' && plus_is_space) {
            c = ' ';
        }
        ret[n++] = c;
    }
    return n;
}

const struct err *query_decode(struct arena *a, struct str raw, bool plus_is_space,
                               const char **ret)
{
    char *text = arena_alloc(a, raw.n + 1);
    struct str decoded = {text, query_decode_bytes(raw, plus_is_space, text)};
    if (memchr(text, '\0', decoded.n))
        return err(ERR_INVALID_PARAM, "The request's URI holds a NUL byte");
    if (!utf8_valid(decoded))
        return err(ERR_INVALID_PARAM, "The request's URI is not UTF-8");
    *ret = text;
    return NULL;
}

static size_t count_pairs(const char *text)
{
    size_t n = 1;
    for (; *text; text++)
        n += *text == '&';
    return n;
}

static const struct err *decode_pair(struct arena *a, struct str pair, struct query_pair *ret)
{
    const char *equals = memchr(pair.p, '=', pair.n);
    size_t name_n = equals ? (size_t)(equals - pair.p) : pair.n;
    size_t value_at = equals ? name_n + 1 : name_n;
    TRY(query_decode(a, (struct str){pair.p, name_n}, true, &ret->name));
    return query_decode(a, (struct str){pair.p + value_at, pair.n - value_at}, true, &ret->value);
}

const struct err *query_parse(struct arena *a, const char *text, struct url_query *ret)
{
    struct url_query q = {0};
    if (text && *text) {
        size_t max = count_pairs(text);
        if (max > QUERY_PAIRS_MAX)
            return err(ERR_INVALID_PARAM, "Too many query parameters");
        q.pairs = arena_alloc_array(a, max, sizeof *q.pairs);
        while (*text) {
            size_t n = strcspn(text, "&");
            if (n)
                TRY(decode_pair(a, (struct str){text, n}, &q.pairs[q.n++]));
            text += n + (text[n] == '&');
        }
    }
    *ret = q;
    return NULL;
}
