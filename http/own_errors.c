/* Turns libmicrohttpd's own error replies, to heads that are too large or malformed, into JSON like
 * all other errors, with the headers that let a browser's client read it.
 *
 * It has no option for that. But it calls its own public functions through the dynamic linker,
 * which looks them up in the program first, and finds the two defined here. They call the
 * library's. */
#include "http/internal.h"

#include <dlfcn.h>
#include <strings.h>

typedef enum MHD_Result queue_fn(struct MHD_Connection *, unsigned, struct MHD_Response *);
typedef enum MHD_Result lookup_fn(struct MHD_Connection *, enum MHD_ValueKind, const char *, size_t,
                                  const char **, size_t *);

enum MHD_Result queue_response(struct MHD_Connection *c, int status, struct MHD_Response *response)
{
    static _Atomic(queue_fn *) library;
    queue_fn *queue = atomic_load(&library);
    if (!queue) {
        queue = (queue_fn *)(uintptr_t)dlsym(RTLD_NEXT, "MHD_queue_response");
        atomic_store(&library, queue);
    }
    return queue(c, (unsigned)status, response);
}

static const struct err *error_of(unsigned status)
{
    switch (status) {
    case MHD_HTTP_URI_TOO_LONG:
        return err(ERR_URI_TOO_LONG, "The request's target is too long");
    case MHD_HTTP_REQUEST_HEADER_FIELDS_TOO_LARGE:
        return err(ERR_HEAD_TOO_LARGE, "The request's head is larger than %d bytes", HEAD_MAX);
    case MHD_HTTP_CONTENT_TOO_LARGE:
        return err(ERR_TOO_LARGE, "The request's body is too large");
    case MHD_HTTP_HTTP_VERSION_NOT_SUPPORTED:
        return err(ERR_UNKNOWN, "This server speaks HTTP/1.1 only");
    default:
        return status < 500 ? err(ERR_UNKNOWN, "The request is malformed")
                            : err_internal("libmicrohttpd: %u", status);
    }
}

enum MHD_Result MHD_queue_response(struct MHD_Connection *c, unsigned status,
                                   struct MHD_Response *its_own)
{
    struct exchange *ex =
        MHD_get_connection_info(c, MHD_CONNECTION_INFO_SOCKET_CONTEXT)->socket_context;
    if (ex->response)
        MHD_destroy_response(ex->response);
    ex->rq.route = NULL;
    ex->ends = true;
    ex->unread_body = true; /* linger: unread bytes would reset the connection */
    reply_now(ex, error_of(status));
    struct MHD_Response *response = ex->response;
    ex->response = NULL;
    enum MHD_Result r = queue_response(c, (int)status, response);
    MHD_destroy_response(response);
    return r;
}

static bool is_length(const char *text, size_t n)
{
    enum { DIGITS_MAX = 18 };
    for (size_t i = 0; i < n; i++)
        if (text[i] < '0' || text[i] > '9')
            return false;
    return n > 0 && n <= DIGITS_MAX;
}

/* libmicrohttpd 0.9.75 answers a malformed Content-Length with two heads. So it is hidden from it
 * here, and body_measure refuses it. */
enum MHD_Result MHD_lookup_connection_value_n(struct MHD_Connection *c, enum MHD_ValueKind kind,
                                              const char *key, size_t key_n, const char **value,
                                              size_t *value_n)
{
    static _Atomic(lookup_fn *) library;
    lookup_fn *lookup = atomic_load(&library);
    if (!lookup) {
        lookup = (lookup_fn *)(uintptr_t)dlsym(RTLD_NEXT, "MHD_lookup_connection_value_n");
        atomic_store(&library, lookup);
    }
    const char *text = NULL;
    size_t n = 0;
    enum MHD_Result r = lookup(c, kind, key, key_n, &text, &n);
    if (r == MHD_YES && text && kind == MHD_HEADER_KIND && key_n == strlen("Content-Length") &&
        strncasecmp(key, "Content-Length", key_n) == 0 && !is_length(text, n)) {
        text = "0";
        n = 1;
    }
    if (value)
        *value = text;
    if (value_n)
        *value_n = n;
    return r;
}
