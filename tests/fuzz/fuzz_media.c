/* Input: a content type, a newline, a file name, a newline, then a file. */
#include "fuzz.h"

#include "server/media/disposition.h"
#include "server/media/image_type.h"

static struct str take_line(struct str *left)
{
    const char *end = memchr(left->p, '\n', left->n);
    struct str line = {left->p, end ? (size_t)(end - left->p) : left->n};
    left->p += line.n + (end != NULL);
    left->n -= line.n + (end != NULL);
    return line;
}

static unsigned hex(char c)
{
    return c <= '9' ? (unsigned)(c - '0') : (unsigned)(c - 'A') + 10;
}

/* The parameter as a client reads it: quoted-string, or RFC 8187. */
static void read_name(struct str header, struct buf *ret)
{
    const char *quoted = "; filename=\"", *encoded = "; filename*=utf-8''";
    size_t from = strcspn(header.p, ";"), n = header.n;
    struct str rest = {header.p + from, n - from};
    bool is_quoted = str_starts_with(rest, quoted);
    HOLDS(is_quoted || str_starts_with(rest, encoded));
    HOLDS(!is_quoted || header.p[n - 1] == '"');
    size_t end = is_quoted ? n - 1 : n;
    for (size_t i = from + strlen(is_quoted ? quoted : encoded); i < end; i++) {
        char c = header.p[i];
        if (is_quoted && c == '\\') {
            HOLDS(++i < end);
            c = header.p[i];
        } else if (!is_quoted && c == '%') {
            HOLDS(i + 2 < end);
            c = (char)(hex(header.p[i + 1]) << 4 | hex(header.p[i + 2]));
            i += 2;
        } else {
            HOLDS(!is_quoted || c != '"');
        }
        buf_add_char(ret, c);
    }
}

static void check_disposition(const char *type, const char *name)
{
    buf_auto struct buf header = {0}, again = {0};
    disposition_add(&header, type, name);
    HOLDS(str_starts_with(buf_str(&header),
                          disposition_is_safe_inline(type) ? "inline;" : "attachment;"));
    for (size_t i = 0; i < header.n; i++)
        HOLDS(header.p[i] >= ' ' && header.p[i] <= '~');
    read_name(buf_str(&header), &again);
    HOLDS(str_is(buf_str(&again), name));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    arena_auto struct arena *a = arena_create();
    struct str left = fuzz_str(data, size);
    const char *type = str_dup(a, take_line(&left)), *name = str_dup(a, take_line(&left));
    check_disposition(type, name);
    HOLDS(image_type_mime(image_type_of(left)) && image_type_name(image_type_of(left)));
    if (image_png_is_animated(left))
        HOLDS(memmem(left.p, left.n, "acTL", 4));
    return 0;
}
