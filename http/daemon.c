/* A libmicrohttpd daemon without threads or sockets of its own: the loop runs it and hands it
 * connections. */
#include "base/log.h"
#include "http/internal.h"

#include <stdio.h>

/* Every connection has this memory, even while it is parked. A head, the records of its lines and
 * the head of the reply must fit. */
enum { CONNECTION_MEMORY = HEAD_MAX + 4 * 1024 };

/* Forward secrecy and authenticated encryption only. */
static const char tls_priorities[] =
    "NORMAL:-VERS-ALL:+VERS-TLS1.3:+VERS-TLS1.2:-RSA:-CIPHER-ALL:+AES-256-GCM:+CHACHA20-POLY1305:"
    "+AES-128-GCM:-MAC-ALL:+AEAD:-SIGN-RSA-SHA1:-SIGN-ECDSA-SHA1:-SIGN-DSA-SHA1";

/* The router and query.c decode the parts themselves, after splitting the URI. */
static size_t leave_undecoded(void *cls, struct MHD_Connection *c, char *text)
{
    return strlen(text);
}

static void log_message(void *cls, const char *format, va_list ap)
{
    char text[256];
    if (!log_wants(LOG_DEBUG))
        return;
    vsnprintf(text, sizeof text, format, ap);
    log_debug("libmicrohttpd: %s", text);
}

const struct err *daemon_start(struct loop *l, const struct http_listener *tls,
                               struct daemon_slot *ret)
{
    struct http_server *s = l->server;
    unsigned flags = MHD_USE_EPOLL | MHD_ALLOW_SUSPEND_RESUME | MHD_USE_NO_LISTEN_SOCKET |
                     MHD_USE_ERROR_LOG | (tls ? MHD_USE_TLS : 0);
    struct MHD_OptionItem plain[] = {{MHD_OPTION_END, 0, NULL}};
    struct MHD_OptionItem secure[] = {
        {MHD_OPTION_HTTPS_MEM_CERT, 0, tls ? (void *)tls->tls_certificate : NULL},
        {MHD_OPTION_HTTPS_MEM_KEY, 0, tls ? (void *)tls->tls_key : NULL},
        {MHD_OPTION_HTTPS_PRIORITIES, 0, (void *)tls_priorities},
        {MHD_OPTION_END, 0, NULL}};
    ret->loop = l;
    ret->tls = tls;
    ret->mhd = MHD_start_daemon(
        flags, 0, NULL, NULL, exchange_on_access, ret, MHD_OPTION_EXTERNAL_LOGGER, log_message,
        NULL, MHD_OPTION_ARRAY, tls ? secure : plain, MHD_OPTION_CONNECTION_LIMIT,
        (unsigned)s->connections_max, MHD_OPTION_CONNECTION_MEMORY_LIMIT, (size_t)CONNECTION_MEMORY,
        MHD_OPTION_CONNECTION_TIMEOUT, (unsigned)s->idle_timeout_s, MHD_OPTION_UNESCAPE_CALLBACK,
        leave_undecoded, NULL, MHD_OPTION_URI_LOG_CALLBACK, exchange_on_uri, ret,
        MHD_OPTION_NOTIFY_CONNECTION, exchange_on_connection, ret, MHD_OPTION_NOTIFY_COMPLETED,
        exchange_on_completed, ret, MHD_OPTION_END);
    if (!ret->mhd)
        return tls ? err_internal("listener %s: TLS does not start: is the key the certificate's?",
                                  tls->address)
                   : err_internal("libmicrohttpd does not start");
    ret->epoll_fd = MHD_get_daemon_info(ret->mhd, MHD_DAEMON_INFO_EPOLL_FD)->epoll_fd;
    return NULL;
}
