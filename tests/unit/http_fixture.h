/* For the tests of http/: a client of raw sockets, and a real server on a free port. */
#ifndef HTTP_FIXTURE_H
#define HTTP_FIXTURE_H

#include "waiting.h"

#include "base/clock.h"
#include "http/server.h"

#include <arpa/inet.h>
#include <poll.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/socket.h>
#include <unistd.h>

#include <setjmp.h>

#include <cmocka.h>

#define FIXTURE_MAY __attribute__((unused)) static

/* One listener on 127.0.0.1, a free port. Change it, then start. */
FIXTURE_MAY struct http_config fixture_config(void)
{
    static const struct http_listener local[] = {{.address = "127.0.0.1:0"}};
    return (struct http_config){.listeners = local,
                                .listeners_n = 1,
                                .loops = 2,
                                .pools = {[POOL_CLIENT] = {.workers = 8},
                                          [POOL_FEDERATION] = {.workers = 2},
                                          [POOL_SLOW] = {.workers = 2}},
                                .connections_max = 5000,
                                .body_max = 64 * 1024,
                                .upload_max = 10 * 1024 * 1024,
                                .upload_dir = "/tmp",
                                .idle_timeout_s = 30};
}

FIXTURE_MAY struct http_server *fixture_start(const struct http_config *config,
                                              const struct route *routes)
{
    struct http_server *s = NULL;
    const struct err *e = http_server_start(config, &routes, 1, &s);
    if (e)
        fail_msg("%s: %s", e->text, e->cause);
    return s;
}

/* A metric, by its name with its labels. */
FIXTURE_MAY long fixture_metric(struct http_server *s, const char *name)
{
    buf_auto struct buf out = {0};
    char line[128];
    snprintf(line, sizeof line, "\n%s ", name);
    http_server_add_metrics(s, &out);
    const char *at = strstr(out.p, line);
    assert_non_null(at);
    return strtol(at + strlen(line), NULL, 10);
}

/* Waits until the metric has that value. */
FIXTURE_MAY void fixture_await_metric(struct http_server *s, const char *name, long n)
{
    WAIT_UNTIL(fixture_metric(s, name) == n);
}

FIXTURE_MAY int fixture_connect(struct http_server *s)
{
    struct sockaddr_in to = {.sin_family = AF_INET,
                             .sin_port = htons((uint16_t)http_server_port(s, 0)),
                             .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    assert_int_equal(connect(fd, (struct sockaddr *)&to, sizeof to), 0);
    return fd;
}

FIXTURE_MAY void fixture_send_bytes(int fd, const char *bytes, size_t n)
{
    while (n) {
        ssize_t w = send(fd, bytes, n, MSG_NOSIGNAL);
        if (w <= 0)
            return; /* the server hung up: its earlier reply can still be read */
        bytes += w;
        n -= (size_t)w;
    }
}

FIXTURE_MAY void fixture_send(int fd, const char *text)
{
    fixture_send_bytes(fd, text, strlen(text));
}

FIXTURE_MAY void fixture_sendf(int fd, const char *format, ...) PRINTF_LIKE(2, 3);
FIXTURE_MAY void fixture_sendf(int fd, const char *format, ...)
{
    char text[4096];
    va_list ap;
    va_start(ap, format);
    vsnprintf(text, sizeof text, format, ap);
    va_end(ap);
    fixture_send(fd, text);
}

FIXTURE_MAY bool fixture_readable(int fd, int within_ms)
{
    struct pollfd p = {.fd = fd, .events = POLLIN};
    return poll(&p, 1, within_ms) > 0;
}

/* One byte within ten seconds; false at the end of the connection. */
FIXTURE_MAY bool fixture_byte(int fd, char *ret)
{
    if (!fixture_readable(fd, 20000))
        fail_msg("the server does not answer");
    return recv(fd, ret, 1, 0) == 1;
}

struct fixture_reply {
    int status;
    char head[4096];
    struct buf body;
};

FIXTURE_MAY void fixture_forget(struct fixture_reply *r)
{
    buf_finish(&r->body);
    *r = (struct fixture_reply){0};
}

/* The value of a header, "" when it is absent. */
FIXTURE_MAY const char *fixture_header(const struct fixture_reply *r, const char *name)
{
    static char value[512];
    char line[128];
    snprintf(line, sizeof line, "\r\n%s: ", name);
    const char *at = strcasestr(r->head, line);
    value[0] = '\0';
    if (at) {
        at += strlen(line);
        snprintf(value, sizeof value, "%.*s", (int)strcspn(at, "\r"), at);
    }
    return value;
}

FIXTURE_MAY bool fixture_read_bytes(int fd, struct buf *into, size_t n)
{
    char piece[16384];
    while (n) {
        if (!fixture_readable(fd, 20000))
            return false;
        ssize_t got = recv(fd, piece, n < sizeof piece ? n : sizeof piece, 0);
        if (got <= 0)
            return false;
        buf_add(into, piece, (size_t)got);
        n -= (size_t)got;
    }
    return true;
}

FIXTURE_MAY bool fixture_read_chunks(int fd, struct buf *into)
{
    for (;;) {
        char line[32] = "";
        for (size_t n = 0; n + 1 < sizeof line && !strstr(line, "\r\n"); n++)
            if (!fixture_byte(fd, &line[n]))
                return false;
        size_t size = strtoul(line, NULL, 16), before = into->n;
        if (!fixture_read_bytes(fd, into, size + 2))
            return false;
        into->n = before + size;
        if (!size)
            return true;
    }
}

/* Reads one reply; false when the connection ends before its end. */
FIXTURE_MAY bool fixture_read(int fd, bool has_body, struct fixture_reply *r)
{
    fixture_forget(r);
    for (size_t n = 0; !strstr(r->head, "\r\n\r\n"); n++) {
        assert_true(n + 1 < sizeof r->head);
        if (!fixture_byte(fd, &r->head[n]))
            return false;
    }
    assert_int_equal(sscanf(r->head, "HTTP/1.1 %d", &r->status), 1);
    if (!has_body || r->status == 304)
        return true;
    if (*fixture_header(r, "Transfer-Encoding"))
        return fixture_read_chunks(fd, &r->body);
    return fixture_read_bytes(fd, &r->body, (size_t)atol(fixture_header(r, "Content-Length")));
}

FIXTURE_MAY bool fixture_is_closed(int fd, int within_ms)
{
    char c;
    return fixture_readable(fd, within_ms) && recv(fd, &c, 1, 0) <= 0;
}

/* Connects, sends, reads one reply, closes. Returns its status, 0 for none. */
FIXTURE_MAY int fixture_ask(struct http_server *s, struct fixture_reply *r, const char *text)
{
    int fd = fixture_connect(s);
    fixture_send(fd, text);
    bool whole = fixture_read(fd, strncmp(text, "HEAD ", 5) != 0, r);
    close(fd);
    return whole ? r->status : 0;
}

#define BODY_IS(reply, text) assert_string_equal((reply).body.p ? (reply).body.p : "", text)

#endif
