#include "base/str.h"

#include "base/mem.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

int str_cmp(struct str a, struct str b)
{
    size_t n = a.n < b.n ? a.n : b.n;
    int c = n ? memcmp(a.p, b.p, n) : 0;
    if (c)
        return c;
    return a.n < b.n ? -1 : a.n > b.n;
}

bool str_starts_with(struct str s, const char *prefix)
{
    size_t n = strlen(prefix);
    return s.n >= n && memcmp(s.p, prefix, n) == 0;
}

bool str_ends_with(struct str s, const char *suffix)
{
    size_t n = strlen(suffix);
    return s.n >= n && memcmp(s.p + s.n - n, suffix, n) == 0;
}

char *str_dup(struct arena *a, struct str s)
{
    return arena_memdup(a, s.p, s.n);
}

struct str str_trim(struct str s, const char *blanks)
{
    size_t n = strlen(blanks);
    while (s.n && memchr(blanks, s.p[0], n))
        s = (struct str){s.p + 1, s.n - 1};
    while (s.n && memchr(blanks, s.p[s.n - 1], n))
        s.n--;
    return s;
}

bool str_to_int64(struct str s, int64_t *ret)
{
    bool negative = s.n && s.p[0] == '-';
    size_t i = negative;
    if (i == s.n)
        return false;
    int64_t v = 0;
    for (; i < s.n; i++) {
        if (s.p[i] < '0' || s.p[i] > '9')
            return false;
        int digit = s.p[i] - '0';
        if (__builtin_mul_overflow(v, 10, &v) ||
            __builtin_add_overflow(v, negative ? -digit : digit, &v))
            return false;
    }
    *ret = v;
    return true;
}

size_t utf8_sequence(const char *bytes, size_t n)
{
    const unsigned char *p = (const unsigned char *)bytes;
    if (p[0] < 0x80)
        return 1;
    size_t len = p[0] >= 0xf0 ? 4 : p[0] >= 0xe0 ? 3 : 2;
    if (p[0] < 0xc2 || p[0] > 0xf4 || n < len)
        return 0;
    for (size_t i = 1; i < len; i++)
        if ((p[i] & 0xc0) != 0x80)
            return 0;
    if ((p[0] == 0xe0 && p[1] < 0xa0) || (p[0] == 0xed && p[1] >= 0xa0) ||
        (p[0] == 0xf0 && p[1] < 0x90) || (p[0] == 0xf4 && p[1] >= 0x90))
        return 0;
    return len;
}

bool utf8_valid(struct str s)
{
    for (size_t i = 0; i < s.n;) {
        size_t len = utf8_sequence(s.p + i, s.n - i);
        if (!len)
            return false;
        i += len;
    }
    return true;
}

bool str_eq_secret(struct str a, struct str b)
{
    if (a.n != b.n)
        return false;
    volatile unsigned char diff = 0;
    for (size_t i = 0; i < a.n; i++)
        diff |= (unsigned char)a.p[i] ^ (unsigned char)b.p[i];
    return diff == 0;
}

void buf_finish(struct buf *b)
{
    free(b->p);
    *b = (struct buf){0};
}

void buf_clear(struct buf *b)
{
    b->n = 0;
    if (b->p)
        b->p[0] = '\0';
}

void buf_truncate(struct buf *b, size_t n)
{
    b->n = n;
    if (b->p)
        b->p[n] = '\0';
}

void buf_reserve(struct buf *b, size_t more)
{
    size_t need;
    if (__builtin_add_overflow(b->n, more, &need) || __builtin_add_overflow(need, 1, &need))
        abort();
    if (need <= b->size)
        return;
    size_t size = b->size ? b->size : 128;
    while (size < need)
        size *= 2;
    b->p = mem_realloc_array(b->p, size, 1);
    b->size = size;
}

void buf_add(struct buf *b, const void *bytes, size_t n)
{
    buf_reserve(b, n);
    if (n)
        memcpy(b->p + b->n, bytes, n);
    b->n += n;
    b->p[b->n] = '\0';
}

void buf_add_str(struct buf *b, struct str s)
{
    buf_add(b, s.p, s.n);
}

void buf_add_text(struct buf *b, const char *s)
{
    buf_add(b, s, strlen(s));
}

void buf_add_char(struct buf *b, char c)
{
    buf_add(b, &c, 1);
}

void buf_add_json_comma(struct buf *b)
{
    if (b->n && !strchr("{[:,", b->p[b->n - 1]))
        buf_add_char(b, ',');
}

void buf_add_int(struct buf *b, int64_t v)
{
    char digits[24];
    char *p = digits + sizeof digits;
    uint64_t u = v < 0 ? 0 - (uint64_t)v : (uint64_t)v;
    do {
        *--p = (char)('0' + u % 10);
        u /= 10;
    } while (u);
    if (v < 0)
        *--p = '-';
    buf_add(b, p, (size_t)(digits + sizeof digits - p));
}

void buf_printf(struct buf *b, const char *fmt, ...)
{
    va_list ap, again;
    va_start(ap, fmt);
    va_copy(again, ap);
    int n = vsnprintf(NULL, 0, fmt, again);
    va_end(again);
    if (n < 0)
        abort();
    buf_reserve(b, (size_t)n);
    vsnprintf(b->p + b->n, (size_t)n + 1, fmt, ap);
    b->n += (size_t)n;
    va_end(ap);
}

/* Adds the escape that canonical JSON demands for one byte. */
static void add_json_escape(struct buf *b, unsigned char c)
{
    switch (c) {
    case '"':
        BUF_LIT(b, "\\\"");
        return;
    case '\\':
        BUF_LIT(b, "\\\\");
        return;
    case '\b':
        BUF_LIT(b, "\\b");
        return;
    case '\f':
        BUF_LIT(b, "\\f");
        return;
    case '\n':
        BUF_LIT(b, "\\n");
        return;
    case '\r':
        BUF_LIT(b, "\\r");
        return;
    case '\t':
        BUF_LIT(b, "\\t");
        return;
    default:
        buf_printf(b, "\\u%04x", c);
    }
}

void buf_add_json_inside(struct buf *b, struct str s)
{
    size_t done = 0;
    for (size_t i = 0; i < s.n; i++) {
        unsigned char c = (unsigned char)s.p[i];
        if (c >= 0x20 && c != '"' && c != '\\')
            continue;
        buf_add(b, s.p + done, i - done);
        add_json_escape(b, c);
        done = i + 1;
    }
    buf_add(b, s.p + done, s.n - done);
}

void buf_add_json_string(struct buf *b, struct str s)
{
    buf_reserve(b, s.n + 2);
    buf_add_char(b, '"');
    buf_add_json_inside(b, s);
    buf_add_char(b, '"');
}

void buf_add_shell_word(struct buf *b, const char *text)
{
    static const char plain[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789"
                                "@%+=:,./_-";
    if (*text && !text[strspn(text, plain)]) {
        buf_add_text(b, text);
        return;
    }
    buf_add_char(b, '\'');
    for (; *text; text++)
        if (*text == '\'')
            BUF_LIT(b, "'\\''");
        else
            buf_add_char(b, *text);
    buf_add_char(b, '\'');
}

char *buf_steal(struct buf *b, size_t *ret_n)
{
    buf_reserve(b, 0);
    b->p[b->n] = '\0';
    char *p = b->p;
    *ret_n = b->n;
    *b = (struct buf){0};
    return p;
}

static const char *const base64_alphabet[] = {
    [BASE64_STANDARD] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/",
    [BASE64_URL] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_",
};

void buf_add_base64(struct buf *b, enum base64_kind kind, const void *bytes, size_t n)
{
    const char *alphabet = base64_alphabet[kind];
    const unsigned char *in = bytes;
    buf_reserve(b, n / 3 * 4 + 4);
    char *out = b->p + b->n;
    for (size_t i = 0; i < n; i += 3) {
        size_t left = n - i;
        uint32_t v = (uint32_t)in[i] << 16;
        if (left > 1)
            v |= (uint32_t)in[i + 1] << 8;
        if (left > 2)
            v |= in[i + 2];
        *out++ = alphabet[v >> 18];
        *out++ = alphabet[v >> 12 & 63];
        if (left > 1)
            *out++ = alphabet[v >> 6 & 63];
        if (left > 2)
            *out++ = alphabet[v & 63];
    }
    *out = '\0';
    b->n = (size_t)(out - b->p);
}

char *base64_encode(struct arena *a, enum base64_kind kind, const void *bytes, size_t n)
{
    buf_auto struct buf b = {0};
    buf_add_base64(&b, kind, bytes, n);
    return arena_memdup(a, b.p, b.n);
}

static int base64_value(enum base64_kind kind, char c)
{
    if (c >= 'A' && c <= 'Z')
        return c - 'A';
    if (c >= 'a' && c <= 'z')
        return c - 'a' + 26;
    if (c >= '0' && c <= '9')
        return c - '0' + 52;
    if (c == (kind == BASE64_URL ? '-' : '+'))
        return 62;
    if (c == (kind == BASE64_URL ? '_' : '/'))
        return 63;
    return -1;
}

bool base64_decode(enum base64_kind kind, struct str text, void *ret, size_t max, size_t *ret_n)
{
    size_t padding = 0;
    while (text.n && text.p[text.n - 1] == '=' && padding < 2) {
        text.n--;
        padding++;
    }
    if (text.n % 4 == 1 || (padding && (text.n + padding) % 4))
        return false;
    unsigned char *out = ret;
    size_t n = 0;
    uint32_t bits = 0;
    int have = 0;
    for (size_t i = 0; i < text.n; i++) {
        int v = base64_value(kind, text.p[i]);
        if (v < 0)
            return false;
        bits = bits << 6 | (uint32_t)v;
        have += 6;
        if (have < 8)
            continue;
        have -= 8;
        if (n == max)
            return false;
        out[n++] = (unsigned char)(bits >> have);
    }
    *ret_n = n;
    return true;
}

char *hex_encode(struct arena *a, const void *bytes, size_t n)
{
    static const char digits[] = "0123456789abcdef";
    const unsigned char *in = bytes;
    char *out = arena_alloc(a, n * 2 + 1);
    for (size_t i = 0; i < n; i++) {
        out[2 * i] = digits[in[i] >> 4];
        out[2 * i + 1] = digits[in[i] & 15];
    }
    return out;
}

void buf_add_html(struct buf *b, const char *text)
{
    for (; *text; text++)
        switch (*text) {
        case '&':
            BUF_LIT(b, "&amp;");
            break;
        case '<':
            BUF_LIT(b, "&lt;");
            break;
        case '>':
            BUF_LIT(b, "&gt;");
            break;
        case '"':
            BUF_LIT(b, "&quot;");
            break;
        case '\'':
            BUF_LIT(b, "&#39;");
            break;
        default:
            buf_add_char(b, *text);
        }
}
