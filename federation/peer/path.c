/* Paths of requests. */
#include "federation/peer/path.h"

#include <assert.h>
#include <stdarg.h>

static void path_add_encoded(struct buf *b, const char *text)
{
    static const char plain[] =
        "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-._~";
    for (; *text; text++) {
        if (strchr(plain, *text))
            buf_add_char(b, *text);
        else
            buf_printf(b, "%%%02X", (unsigned char)*text);
    }
}

const char *federation_path(struct arena *a, const char *format, ...)
{
    buf_auto struct buf b = {0};
    va_list ap;
    va_start(ap, format);
    for (const char *at = format; *at;) {
        size_t n = strcspn(at, "%");
        buf_add(&b, at, n);
        at += n;
        if (!*at)
            break;
        if (strncmp(at, "%s", 2) == 0)
            path_add_encoded(&b, va_arg(ap, const char *));
        else if (strncmp(at, "%d", 2) == 0)
            buf_add_int(&b, va_arg(ap, int));
        else if (strncmp(at, "%zu", 3) == 0)
            buf_add_int(&b, (int64_t)va_arg(ap, size_t));
        else if (strncmp(at, "%lld", 4) == 0)
            buf_add_int(&b, va_arg(ap, long long));
        else
            assert(!"federation_path() knows %s, %d, %zu and %lld");
        at += at[1] == 'z' ? 3 : at[1] == 'l' ? 4 : 2;
    }
    va_end(ap);
    return arena_memdup(a, b.p ? b.p : "", b.n);
}
