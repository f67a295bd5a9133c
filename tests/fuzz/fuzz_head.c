/* Input: a request as received. libmicrohttpd reads it from a socket of ours; any proxy must read
 * the heads that we accept, and the length of the body, in the same way (RFC 9112). */
#include "fuzz.h"

#include "http/internal.h"

#include <ctype.h>
#include <strings.h>
#include <sys/socket.h>
#include <unistd.h>

enum { INPUT_MAX = 1 << 15, ROUNDS_MAX = 40, MEMORY = HEAD_MAX + 4 * 1024 };

/* The one request. */
static struct {
    struct str bytes;
    struct exchange ex;
    bool judged, done;
} now;

/* ---- a strict reading of our own ---- */

static bool take(struct str *left, const char *text)
{
    size_t n = strlen(text);
    if (left->n < n || memcmp(left->p, text, n) != 0)
        return false;
    *left = (struct str){left->p + n, left->n - n};
    return true;
}

/* An end of a line. libmicrohttpd 0.9.75 writes NUL over CR, LF and the colon, and takes a line
 * that begins with NUL or a colon for an empty one: head_check() sees two NUL where CR LF must be,
 * and not the original bytes. */
static bool take_end(struct str *left)
{
    for (size_t i = 0; i < 2; i++)
        if (left->n <= i || (left->p[i] && !strchr("\r\n:", left->p[i])))
            return false;
    *left = (struct str){left->p + 2, left->n - 2};
    return true;
}

static struct str take_while(struct str *left, bool (*is_good)(unsigned char))
{
    struct str s = {left->p, 0};
    while (s.n < left->n && is_good((unsigned char)left->p[s.n]))
        s.n++;
    *left = (struct str){left->p + s.n, left->n - s.n};
    return s;
}

static bool is_token(unsigned char c)
{
    return isalnum(c) || (c && strchr("!#$%&'*+-.^_`|~", c));
}

static bool is_target(unsigned char c)
{
    return c > 0x20 && c != 0x7f;
}

static bool is_value(unsigned char c)
{
    return (c >= 0x20 && c != 0x7f) || c == '\t';
}

static bool is_in_line(unsigned char c)
{
    return c != '\n';
}

/* "GET /x HTTP/1.1"; only empty lines may precede it. */
static bool read_request_line(struct str *left, struct str *ret_method, struct str *ret_uri,
                              bool *ret_is_10)
{
    while (take(left, "\r\n") || take(left, "\n") || (left->n && !left->p[0]))
        if (left->n && !left->p[0]) { /* libmicrohttpd takes such a line for an empty one */
            take_while(left, is_in_line);
            if (!take(left, "\n"))
                return false;
        }
    *ret_method = take_while(left, is_token);
    if (!ret_method->n || !take(left, " "))
        return false;
    *ret_uri = take_while(left, is_target);
    if (!ret_uri->n || !take(left, " HTTP/1."))
        return false;
    if (!left->n || !isdigit((unsigned char)left->p[0]))
        return false;
    *ret_is_10 = take(left, "0");
    if (!*ret_is_10) /* later versions are read as HTTP/1.1 (RFC 9110, section 2.5) */
        *left = (struct str){left->p + 1, left->n - 1};
    return take_end(left);
}

/* The headers that define the end of a request. */
struct headers {
    size_t n, hosts, lengths, encodings;
    struct str length, encoding; /* the last of each */
};

static bool is_named(struct str name, const char *wanted)
{
    return name.n == strlen(wanted) && strncasecmp(name.p, wanted, name.n) == 0;
}

static void note(struct headers *h, struct str name, struct str value)
{
    h->n++;
    h->hosts += is_named(name, "Host");
    if (is_named(name, "Content-Length")) {
        h->lengths++;
        h->length = value;
    } else if (is_named(name, "Transfer-Encoding")) {
        h->encodings++;
        h->encoding = value;
    }
}

static bool read_headers(struct str *left, struct headers *ret)
{
    *ret = (struct headers){0};
    while (!take_end(left)) {
        struct str name = take_while(left, is_token);
        if (!name.n || !take(left, ":"))
            return false;
        struct str value = take_while(left, is_value);
        if (!take_end(left))
            return false;
        note(ret, name, str_trim(value, " \t"));
    }
    return true;
}

/* ---- callbacks of libmicrohttpd ---- */

static void *on_uri(void *cls, const char *uri, struct MHD_Connection *c)
{
    now.ex.uri = (char *)uri;
    return NULL;
}

static size_t leave_undecoded(void *cls, struct MHD_Connection *c, char *text)
{
    return strlen(text);
}

/* A body is accepted only where the head leaves no doubt about its end. */
static void check_body(const struct headers *h, const char *version, bool is_10)
{
    int64_t length = 0;
    if (body_measure(&now.ex, version))
        return;
    HOLDS(h->lengths + h->encodings <= 1);
    HOLDS(!h->encodings || (is_named(h->encoding, "chunked") && !is_10));
    for (size_t i = 0; i < h->length.n; i++)
        HOLDS(isdigit((unsigned char)h->length.p[i]));
    HOLDS(!h->lengths || str_to_int64(h->length, &length));
    HOLDS(now.ex.announced == (h->encodings ? BODY_UNKNOWN : length));
}

static void check(struct MHD_Connection *c, const char *method, const char *version)
{
    struct str left = now.bytes, our_method, our_uri;
    struct headers h;
    bool is_10;
    HOLDS(read_request_line(&left, &our_method, &our_uri, &is_10));
    HOLDS(str_is(our_method, method) && str_is(our_uri, now.ex.uri));
    HOLDS(is_10 == (strcmp(version, "HTTP/1.0") == 0));
    HOLDS(read_headers(&left, &h));
    HOLDS((int)h.n == MHD_get_connection_values_n(c, MHD_HEADER_KIND, NULL, NULL));
    HOLDS(h.hosts == 1 || (!h.hosts && is_10));
    HOLDS((size_t)(left.p - our_method.p) <= HEAD_MAX);
    check_body(&h, version, is_10);
}

static enum MHD_Result on_access(void *cls, struct MHD_Connection *c, const char *url,
                                 const char *method, const char *version, const char *upload,
                                 size_t *upload_n, void **context)
{
    now.ex.mhd = c;
    now.judged = true;
    if (!head_check(&now.ex, method, url, version))
        check(c, method, version);
    return MHD_NO; /* the connection ends */
}

static void on_connection(void *cls, struct MHD_Connection *c, void **context,
                          enum MHD_ConnectionNotificationCode what)
{
    now.done |= what == MHD_CONNECTION_NOTIFY_CLOSED;
}

static struct MHD_Daemon *start(void)
{
    return MHD_start_daemon(MHD_USE_EPOLL | MHD_USE_NO_LISTEN_SOCKET, 0, NULL, NULL, on_access,
                            NULL, MHD_OPTION_CONNECTION_MEMORY_LIMIT, (size_t)MEMORY,
                            MHD_OPTION_UNESCAPE_CALLBACK, leave_undecoded, NULL,
                            MHD_OPTION_URI_LOG_CALLBACK, on_uri, NULL, MHD_OPTION_NOTIFY_CONNECTION,
                            on_connection, NULL, MHD_OPTION_END);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct MHD_Daemon *daemon;
    const struct sockaddr address = {.sa_family = AF_UNIX};
    int fds[2];
    if (!size || size > INPUT_MAX)
        return 0;
    if (!daemon)
        HOLDS((daemon = start()));
    memset(&now, 0, sizeof now);
    now.bytes = fuzz_str(data, size);
    HOLDS(!socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, fds));
    HOLDS(send(fds[1], data, size, MSG_NOSIGNAL) == (ssize_t)size);
    shutdown(fds[1], SHUT_WR);
    HOLDS(MHD_add_connection(daemon, fds[0], &address, sizeof address) == MHD_YES);
    for (int i = 0; !now.done && i < ROUNDS_MAX; i++)
        HOLDS(MHD_run(daemon) == MHD_YES);
    close(fds[1]);
    for (int i = 0; !now.done && i < ROUNDS_MAX; i++)
        HOLDS(MHD_run(daemon) == MHD_YES);
    return 0;
}
