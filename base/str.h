/* Byte ranges (struct str), growing buffers (struct buf) and the encodings the protocol uses.
 *
 * A struct str borrows its bytes and need not end in NUL. A struct buf owns malloc'd memory that
 * buf_finish frees; buf_auto does so at the end of the scope. */
#ifndef BASE_STR_H
#define BASE_STR_H

#include "base/arena.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

struct str {
    const char *p;
    size_t n;
};

#define STR(literal) ((struct str){"" literal, sizeof(literal) - 1})
#define STR_FMT(s) (int)(s).n, (s).p /* for "%.*s" */

static inline struct str str_of(const char *s)
{
    return (struct str){s, s ? strlen(s) : 0};
}

static inline bool str_eq(struct str a, struct str b)
{
    return a.n == b.n && (a.n == 0 || memcmp(a.p, b.p, a.n) == 0);
}

static inline bool str_is(struct str a, const char *b)
{
    return str_eq(a, str_of(b));
}

int str_cmp(struct str a, struct str b); /* bytewise, as memcmp, shorter first */
bool str_starts_with(struct str s, const char *prefix);
bool str_ends_with(struct str s, const char *suffix);
char *str_dup(struct arena *a, struct str s); /* NUL-terminated */
/* Removes these bytes at both ends; NUL is not one of them, unlike with strchr. */
struct str str_trim(struct str s, const char *blanks);

/* A decimal integer with optional minus and nothing else; false if malformed or out of range. */
bool str_to_int64(struct str s, int64_t *ret);

bool utf8_valid(struct str s); /* strict: no overlong forms, surrogates or values over U+10FFFF */
size_t utf8_sequence(const char *p, size_t n); /* length of the one at p (n > 0); 0: not valid */

/* Constant time in the length of the secret; false at once only when the lengths differ. */
bool str_eq_secret(struct str a, struct str b);

struct buf {
    char *p; /* always NUL-terminated once something was appended */
    size_t n, size;
};

void buf_finish(struct buf *b);
void buf_clear(struct buf *b);                /* keeps the memory */
void buf_truncate(struct buf *b, size_t n);   /* back to the first n bytes */
void buf_reserve(struct buf *b, size_t more); /* room for that many further bytes */
void buf_add(struct buf *b, const void *bytes, size_t n);
void buf_add_str(struct buf *b, struct str s);
void buf_add_text(struct buf *b, const char *s);
void buf_add_char(struct buf *b, char c);
void buf_add_int(struct buf *b, int64_t v);
/* Before a member, an element or a value of JSON: a comma where one is needed, which the last byte
 * says. Not for a buffer that is emptied within a list or object (reply_flush). */
void buf_add_json_comma(struct buf *b);
void buf_printf(struct buf *b, const char *fmt, ...) PRINTF_LIKE(2, 3);
#define BUF_LIT(b, literal) buf_add((b), "" literal, sizeof(literal) - 1)

/* A text in HTML, also within quotes. */
void buf_add_html(struct buf *b, const char *text);
/* As one word of a shell's command line: in quotes when it needs them. */
void buf_add_shell_word(struct buf *b, const char *text);
/* A JSON string with its quotes, in canonical JSON's (the shortest) escapes. */
void buf_add_json_string(struct buf *b, struct str s);
void buf_add_json_inside(struct buf *b, struct str s); /* the same without the quotes */

static inline struct str buf_str(const struct buf *b)
{
    return (struct str){b->p ? b->p : "", b->n};
}

char *buf_steal(struct buf *b, size_t *ret_n); /* the caller frees; the buf is empty afterwards */

#define buf_auto __attribute__((cleanup(buf_finish)))

/* Base64 without padding: the standard alphabet (keys, signatures) or the URL-safe one (ids). */
enum base64_kind { BASE64_STANDARD, BASE64_URL };
void buf_add_base64(struct buf *b, enum base64_kind kind, const void *bytes, size_t n);
char *base64_encode(struct arena *a, enum base64_kind kind, const void *bytes, size_t n);

/* Padding is accepted and optional. False on any other byte outside the alphabet. */
bool base64_decode(enum base64_kind kind, struct str text, void *ret, size_t max, size_t *ret_n);

char *hex_encode(struct arena *a, const void *bytes, size_t n); /* lower case */

#endif
