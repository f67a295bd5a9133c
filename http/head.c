/* The head of a request, byte for byte. libmicrohttpd 0.9.75 accepts heads that a proxy in front
 * may read differently: a space before the colon, a bare LF at the end of a line, NUL, folded
 * lines. If two readers differ, the body for one is the next request for the other (RFC 9112,
 * section 11.2).
 *
 * libmicrohttpd keeps the head as received, from the method on (its size is
 * MHD_CONNECTION_INFO_REQUEST_HEADER_SIZE), and only overwrites separators with NUL. So the parts
 * that it found must follow each other with exactly the required separators between them. */
#include "http/internal.h"

#include <ctype.h>
#include <strings.h>

enum { VERSION_N = 8 }; /* of "HTTP/1.1" */

struct head_walk {
    const char *at, *end;
    int hosts;
    bool broken;
};

static bool head_is_token(const char *p, size_t n)
{
    for (size_t i = 0; i < n; i++)
        if (!p[i] || (!isalnum((unsigned char)p[i]) && !strchr("!#$%&'*+-.^_`|~", p[i])))
            return false;
    return n > 0;
}

static bool has_controls(const char *p, size_t n, bool space_is_one)
{
    for (size_t i = 0; i < n; i++) {
        unsigned char c = (unsigned char)p[i];
        if (c == 0x7f || (c < 0x20 && (c != '\t' || space_is_one)) || (c == ' ' && space_is_one))
            return true;
    }
    return false;
}

/* Whether there is exactly one end of a line, CR LF, at `p`. */
static bool ends_line(const struct head_walk *w, const char *p)
{
    return p + 2 <= w->end && !p[0] && !p[1];
}

static enum MHD_Result walk_line(void *into, enum MHD_ValueKind kind, const char *name,
                                 size_t name_n, const char *value, size_t value_n)
{
    struct head_walk *w = into;
    w->broken = true;
    if (name != w->at || name_n >= (size_t)(w->end - w->at) || !head_is_token(name, name_n) ||
        !value)
        return MHD_NO;
    const char *p = name + name_n + 1;
    while (p < w->end && (*p == ' ' || *p == '\t'))
        p++;
    if (value != p || value_n >= (size_t)(w->end - p) || has_controls(value, value_n, false) ||
        !ends_line(w, value + value_n))
        return MHD_NO;
    w->hosts += name_n == 4 && strncasecmp(name, "Host", 4) == 0;
    w->at = value + value_n + 2;
    w->broken = false;
    return MHD_YES;
}

static bool walk_request_line(struct head_walk *w, const char *method, const char *url,
                              const char *uri, const char *version)
{
    size_t method_n = strlen(method), uri_n = strlen(uri);
    bool well = head_is_token(method, method_n) && url == method + method_n + 1 && uri_n > 0 &&
                !has_controls(uri, uri_n, true) && version == url + uri_n + 1 &&
                strlen(version) == VERSION_N && ends_line(w, version + VERSION_N);
    w->at = version + VERSION_N + 2;
    return well;
}

const struct err *head_check(struct exchange *ex, const char *method, const char *url,
                             const char *version)
{
    size_t n =
        MHD_get_connection_info(ex->mhd, MHD_CONNECTION_INFO_REQUEST_HEADER_SIZE)->header_size;
    if (n > HEAD_MAX)
        return strlen(ex->uri) > HEAD_MAX / 2
                   ? err(ERR_URI_TOO_LONG, "The request's target is too long")
                   : err(ERR_HEAD_TOO_LARGE, "The request's head is larger than %d bytes",
                         HEAD_MAX);
    struct head_walk w = {.end = method + n};
    bool well = walk_request_line(&w, method, url, ex->uri, version);
    if (well)
        MHD_get_connection_values_n(ex->mhd, MHD_HEADER_KIND, walk_line, &w);
    if (!well || w.broken || w.hosts > 1 || (!w.hosts && strcmp(version, "HTTP/1.0") != 0) ||
        !ends_line(&w, w.at) || w.at + 2 != w.end)
        return err(ERR_UNKNOWN, "The request's head is malformed");
    return NULL;
}
