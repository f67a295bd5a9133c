#include "server/media/disposition.h"

#include "http/header_value.h"

#include <strings.h>

static const char *const safe_types[] = {
    "text/css",   "text/plain",   "text/csv",    "application/json",
    "image/jpeg", "image/gif",    "image/png",   "application/ld+json",
    "image/apng", "image/webp",   "image/avif",  "video/mp4",
    "video/webm", "video/ogg",    "audio/mp4",   "video/quicktime",
    "audio/webm", "audio/aac",    "audio/mpeg",  "audio/ogg",
    "audio/wave", "audio/wav",    "audio/x-wav", "audio/x-pn-wav",
    "audio/flac", "audio/x-flac",
};

bool disposition_is_safe_inline(const char *content_type)
{
    size_t n = strcspn(content_type, "; \t");
    for (size_t i = 0; i < sizeof safe_types / sizeof *safe_types; i++)
        if (strlen(safe_types[i]) == n && strncasecmp(safe_types[i], content_type, n) == 0)
            return true;
    return false;
}

/* Names that need no escapes within quotes (RFC 9110, "quoted-string") and have no percent signs,
 * which some browsers decode. */
static bool is_quotable(const char *name)
{
    for (; *name; name++)
        if (*name < ' ' || *name > '~' || *name == '%')
            return false;
    return true;
}

static void add_quoted(struct buf *b, const char *name)
{
    BUF_LIT(b, "; filename=\"");
    for (; *name; name++) {
        if (*name == '"' || *name == '\\')
            buf_add_char(b, '\\');
        buf_add_char(b, *name);
    }
    buf_add_char(b, '"');
}

/* RFC 8187: UTF-8, percent-encoded but for attr-char. */
static void disposition_add_encoded(struct buf *b, const char *name)
{
    static const char plain[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
                                "0123456789!#$&+-.^_`|~";
    BUF_LIT(b, "; filename*=utf-8''");
    for (; *name; name++)
        if (strchr(plain, *name))
            buf_add_char(b, *name);
        else
            buf_printf(b, "%%%02X", (unsigned char)*name);
}

void disposition_add(struct buf *b, const char *content_type, const char *file_name)
{
    buf_add_text(b, disposition_is_safe_inline(content_type) ? "inline" : "attachment");
    if (!file_name)
        return;
    if (is_quotable(file_name))
        add_quoted(b, file_name);
    else
        disposition_add_encoded(b, file_name);
}

/* ---- reading ---- */

static const char *usable_name(struct arena *a, struct str name)
{
    if (!name.n || name.n > FILE_NAME_MAX || !utf8_valid(name))
        return NULL;
    for (size_t i = 0; i < name.n; i++)
        if ((unsigned char)name.p[i] < ' ' || name.p[i] == 0x7f)
            return NULL;
    return str_dup(a, name);
}

static int disposition_hex_digit(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    c |= 0x20;
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/* RFC 8187: charset'language'percent-encoded; of the charsets only UTF-8 is still in use. */
static const char *disposition_decode(struct arena *a, struct str value)
{
    const char *language = memchr(value.p, '\'', value.n);
    size_t charset_n = language ? (size_t)(language - value.p) : 0;
    const char *text = language ? memchr(language + 1, '\'', value.n - charset_n - 1) : NULL;
    if (!text || charset_n != 5 || strncasecmp(value.p, "utf-8", 5) != 0)
        return NULL;
    size_t left = value.n - (size_t)(text + 1 - value.p), n = 0;
    char *out = arena_alloc(a, left + 1);
    for (const char *p = text + 1; left; p++, left--) {
        int high = left > 2 && *p == '%' ? disposition_hex_digit(p[1]) : -1;
        int low = high >= 0 ? disposition_hex_digit(p[2]) : -1;
        out[n++] = low >= 0 ? (char)(high << 4 | low) : *p;
        p += low >= 0 ? 2 : 0;
        left -= low >= 0 ? 2 : 0;
    }
    return usable_name(a, (struct str){out, n});
}

const char *disposition_file_name(struct arena *a, const char *header)
{
    struct str value;
    const char *name = NULL;
    if (header && header_value_parameter(a, header, "filename*", &value))
        name = disposition_decode(a, value);
    if (header && !name && header_value_parameter(a, header, "filename", &value))
        name = usable_name(a, value);
    return name;
}
