#include "server/media/disposition.h"

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

/* What stands for itself within quotes (RFC 9110, "quoted-string"), and is not read otherwise by
 * some browsers, as percent signs are. */
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
static void add_encoded(struct buf *b, const char *name)
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
        add_encoded(b, file_name);
}
