#include "matrix/json_lex.h"

#define BYTES(c) (UINT64_C(0x0101010101010101) * (c))

/* Eight bytes at once: whether none of them is a quote, a backslash, a control or a non-ASCII byte.
 */
static inline bool plain_word(const char *p)
{
    uint64_t w;
    memcpy(&w, p, sizeof w);
    uint64_t quote = w ^ BYTES('"'), backslash = w ^ BYTES('\\');
    uint64_t hit = (w - BYTES(0x20)) | (quote - BYTES(1)) | (backslash - BYTES(1)) | w;
    return !(hit & BYTES(0x80));
}

static inline bool plain_byte(unsigned char c)
{
    return c >= 0x20 && c < 0x80 && c != '"' && c != '\\';
}

static int json_lex_hex_digit(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    if ((c | 0x20) >= 'a' && (c | 0x20) <= 'f')
        return (c | 0x20) - 'a' + 10;
    return -1;
}

/* The four digits of \uXXXX; p is at the backslash. */
static bool hex_escape(const char *p, const char *end, uint32_t *ret)
{
    if (end - p < 6 || p[0] != '\\' || p[1] != 'u')
        return false;
    uint32_t v = 0;
    for (int i = 2; i < 6; i++) {
        int digit = json_lex_hex_digit(p[i]);
        if (digit < 0)
            return false;
        v = v << 4 | (uint32_t)digit;
    }
    *ret = v;
    return true;
}

const char *json_lex_escape(const char *p, const char *end, uint32_t *ret_code_point)
{
    static const char names[] = "\"\\/bfnrt", meanings[] = "\"\\/\b\f\n\r\t";
    if (end - p < 2)
        return NULL;
    if (p[1] != 'u') {
        const char *name = p[1] ? strchr(names, p[1]) : NULL;
        if (!name)
            return NULL;
        *ret_code_point = (unsigned char)meanings[name - names];
        return p + 2;
    }
    uint32_t high, low;
    if (!hex_escape(p, end, &high) || (high >= 0xdc00 && high < 0xe000))
        return NULL;
    if (high < 0xd800 || high >= 0xe000) {
        *ret_code_point = high;
        return p + 6;
    }
    if (!hex_escape(p + 6, end, &low) || low < 0xdc00 || low >= 0xe000)
        return NULL;
    *ret_code_point = 0x10000 + ((high - 0xd800) << 10) + (low - 0xdc00);
    return p + 12;
}

const char *json_lex_string(const char *p, const char *end, bool *ret_escaped)
{
    uint32_t code_point;
    *ret_escaped = false;
    p++;
    for (;;) {
        while (end - p >= 8 && plain_word(p))
            p += 8;
        while (p < end && plain_byte((unsigned char)*p))
            p++;
        if (p == end)
            return NULL;
        if (*p == '"')
            return p + 1;
        if (*p == '\\') {
            *ret_escaped = true;
            p = json_lex_escape(p, end, &code_point);
            if (!p)
                return NULL;
        } else {
            size_t n = utf8_sequence(p, (size_t)(end - p));
            if (n < 2) /* a control byte, or not UTF-8 */
                return NULL;
            p += n;
        }
    }
}

static inline bool json_lex_is_digit(const char *p, const char *end)
{
    return p < end && *p >= '0' && *p <= '9';
}

static const char *lex_digits(const char *p, const char *end)
{
    if (!json_lex_is_digit(p, end))
        return NULL;
    while (json_lex_is_digit(p, end))
        p++;
    return p;
}

const char *json_lex_number(const char *p, const char *end, bool *ret_integer)
{
    *ret_integer = true;
    if (p < end && *p == '-')
        p++;
    if (p < end && *p == '0')
        p++;
    else if (!(p = lex_digits(p, end)))
        return NULL;
    if (p < end && *p == '.') {
        *ret_integer = false;
        if (!(p = lex_digits(p + 1, end)))
            return NULL;
    }
    if (p < end && (*p == 'e' || *p == 'E')) {
        *ret_integer = false;
        p++;
        if (p < end && (*p == '+' || *p == '-'))
            p++;
        p = lex_digits(p, end);
    }
    return p;
}

const char *json_lex_word(const char *p, const char *end)
{
    static const struct str words[] = {
        {"true", 4},
        {"false", 5},
        {"null", 4},
    };
    for (size_t i = 0; i < sizeof words / sizeof words[0]; i++)
        if ((size_t)(end - p) >= words[i].n && memcmp(p, words[i].p, words[i].n) == 0)
            return p + words[i].n;
    return NULL;
}

const char *json_skip_string(const char *p, const char *end)
{
    p++;
    for (;;) {
        while (end - p >= 8 && plain_word(p))
            p += 8;
        while (p < end && *p != '"' && *p != '\\')
            p++;
        if (p >= end)
            return end;
        if (*p == '"')
            return p + 1;
        p += end - p >= 2 ? 2 : 1;
    }
}

static const char *skip_container(const char *p, const char *end)
{
    size_t depth = 0;
    while (p < end) {
        char c = *p;
        if (c == '"') {
            p = json_skip_string(p, end);
            continue;
        }
        p++;
        if (c == '{' || c == '[')
            depth++;
        else if ((c == '}' || c == ']') && --depth == 0)
            return p;
    }
    return end;
}

const char *json_skip_value(const char *p, const char *end)
{
    if (p == end)
        return end;
    if (*p == '"')
        return json_skip_string(p, end);
    if (*p == '{' || *p == '[')
        return skip_container(p, end);
    while (p < end && *p != ',' && *p != '}' && *p != ']' && json_lex_space(p, end) == p)
        p++;
    return p;
}

bool json_lex_has_nul(const char *p, const char *end)
{
    while (p < end) {
        uint32_t code_point = 1;
        if (*p != '\\')
            p++;
        else if (!(p = json_lex_escape(p, end, &code_point)))
            return false;
        if (!code_point)
            return true;
    }
    return false;
}

size_t json_lex_utf8(uint32_t c, char ret[4])
{
    if (c < 0x80) {
        ret[0] = (char)c;
        return 1;
    }
    if (c < 0x800) {
        ret[0] = (char)(0xc0 | c >> 6);
        ret[1] = (char)(0x80 | (c & 63));
        return 2;
    }
    if (c < 0x10000) {
        ret[0] = (char)(0xe0 | c >> 12);
        ret[1] = (char)(0x80 | (c >> 6 & 63));
        ret[2] = (char)(0x80 | (c & 63));
        return 3;
    }
    ret[0] = (char)(0xf0 | c >> 18);
    ret[1] = (char)(0x80 | (c >> 12 & 63));
    ret[2] = (char)(0x80 | (c >> 6 & 63));
    ret[3] = (char)(0x80 | (c & 63));
    return 4;
}
