#include "bench/engine.h"

#include "base/clock.h"
#include "base/mem.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <strings.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

enum { EVENTS = 512 };

struct engine {
    int port; /* of new connections */
    char host[64];
    int epoll;
    struct client **clients;
    size_t n, cap;
};

static _Noreturn void fail(const char *what)
{
    perror(what);
    exit(1);
}

void engine_turn_to(struct engine *e, const char *address)
{
    e->port = atoi(strrchr(address, ':') + 1);
}

struct engine *engine_create(const char *address)
{
    struct engine *e = mem_zalloc(sizeof *e);
    snprintf(e->host, sizeof e->host, "%s", address);
    engine_turn_to(e, address);
    e->epoll = epoll_create1(EPOLL_CLOEXEC);
    return e;
}

void engine_destroy(struct engine *e)
{
    for (size_t i = 0; i < e->n; i++) {
        close(e->clients[i]->fd);
        buf_finish(&e->clients[i]->in);
        buf_finish(&e->clients[i]->out);
        free(e->clients[i]);
    }
    free(e->clients);
    close(e->epoll);
    free(e);
}

static void connect_client(struct engine *e, struct client *c)
{
    int one = 1;
    const struct sockaddr_in address = {.sin_family = AF_INET,
                                        .sin_port = htons((uint16_t)c->port),
                                        .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    c->fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (c->fd < 0 || connect(c->fd, (const struct sockaddr *)&address, sizeof address))
        fail("connect");
    setsockopt(c->fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
    struct epoll_event ev = {.events = EPOLLIN, .data.ptr = c};
    epoll_ctl(e->epoll, EPOLL_CTL_ADD, c->fd, &ev);
}

struct client *engine_connect(struct engine *e)
{
    if (e->n == e->cap) {
        e->cap = e->cap ? e->cap * 2 : 64;
        e->clients = mem_realloc_array(e->clients, e->cap, sizeof *e->clients);
    }
    struct client *c = mem_zalloc(sizeof *c);
    c->index = (int)e->n;
    c->port = e->port;
    e->clients[e->n++] = c;
    connect_client(e, c);
    return c;
}

size_t engine_clients_n(const struct engine *e)
{
    return e->n;
}

struct client *engine_client(struct engine *e, size_t i)
{
    return e->clients[i];
}

/* The server closes idle connections, which occur while many users are made. */
static void engine_reconnect(struct engine *e, struct client *c)
{
    close(c->fd);
    connect_client(e, c);
}

void client_drop(struct engine *e, struct client *c)
{
    c->waiting = false;
    engine_reconnect(e, c);
}

static void send_out(struct engine *e, struct client *c)
{
    for (size_t done = 0; done < c->out.n;) {
        ssize_t w = send(c->fd, c->out.p + done, c->out.n - done, MSG_NOSIGNAL);
        if (w < 0 && (errno == EPIPE || errno == ECONNRESET))
            engine_reconnect(e, c), done = 0;
        else if (w < 0 && errno != EINTR)
            fail("send");
        else if (w > 0)
            done += (size_t)w;
    }
}

void client_send(struct engine *e, struct client *c, const char *method, const char *path,
                 const char *body, client_reply *on_reply)
{
    size_t n = body ? strlen(body) : 0;
    buf_clear(&c->out);
    buf_clear(&c->in);
    buf_printf(&c->out, "%s %s HTTP/1.1\r\nHost: %s\r\nContent-Length: %zu\r\n", method, path,
               e->host, n);
    if (c->token[0])
        buf_printf(&c->out, "Authorization: Bearer %s\r\n", c->token);
    BUF_LIT(&c->out, "\r\n");
    if (n)
        buf_add(&c->out, body, n);
    c->on_reply = on_reply;
    c->waiting = true;
    c->sent_us = mono_us();
    send_out(e, c);
}

/* The value of a header in the head of a response; p == NULL when absent. */
static struct str engine_find_header(struct str head, const char *name)
{
    size_t n = strlen(name);
    for (const char *p = head.p, *end = head.p + head.n; p < end;) {
        const char *eol = memmem(p, (size_t)(end - p), "\r\n", 2);
        eol = eol ? eol : end;
        if ((size_t)(eol - p) > n + 1 && strncasecmp(p, name, n) == 0 && p[n] == ':') {
            p += n + 1;
            while (*p == ' ')
                p++;
            return (struct str){p, (size_t)(eol - p)};
        }
        p = eol + 2;
    }
    return (struct str){0};
}

/* Joins chunks in place; false when the last one has not arrived yet. */
static bool unchunk(char *p, size_t n, size_t *ret_n)
{
    size_t from = 0, to = 0;
    for (;;) {
        char *eol = memmem(p + from, n - from, "\r\n", 2);
        if (!eol)
            return false;
        size_t size = strtoul(p + from, NULL, 16);
        from = (size_t)(eol - p) + 2;
        if (n - from < size + 2)
            return false;
        if (size == 0) {
            *ret_n = to;
            return true;
        }
        memmove(p + to, p + from, size);
        to += size;
        from += size + 2;
    }
}

/* Calls back if the response is complete. */
static void handle_input(struct client *c)
{
    char *end = c->in.n ? memmem(c->in.p, c->in.n, "\r\n\r\n", 4) : NULL;
    if (!end)
        return;
    struct str head = {c->in.p, (size_t)(end - c->in.p)};
    size_t body_at = head.n + 4, body_n = c->in.n - body_at;
    struct str length = engine_find_header(head, "Content-Length");
    if (length.p) {
        if (body_n < strtoul(length.p, NULL, 10))
            return;
    } else if (engine_find_header(head, "Transfer-Encoding").p) {
        /* Only tried when the closing chunk has arrived, for it changes the buffer. */
        if (c->in.n < 5 || memcmp(c->in.p + c->in.n - 5, "0\r\n\r\n", 5) != 0 ||
            !unchunk(c->in.p + body_at, body_n, &body_n))
            return;
    }
    c->waiting = false;
    c->on_reply(c, atoi(c->in.p + 9), (struct str){c->in.p + body_at, body_n});
}

static void read_some(struct engine *e, struct client *c)
{
    buf_reserve(&c->in, 65536);
    ssize_t r = recv(c->fd, c->in.p + c->in.n, c->in.size - c->in.n - 1, 0);
    bool closed = r == 0 || (r < 0 && errno == ECONNRESET);
    if (closed && c->in.n && c->waiting) {
        fprintf(stderr, "the server closed a connection in the middle of a reply\n");
        exit(1);
    }
    if (closed) {
        engine_reconnect(e, c);
        if (c->waiting)
            send_out(e, c);
        return;
    }
    if (r < 0)
        fail("recv");
    c->in.n += (size_t)r;
    c->in.p[c->in.n] = '\0';
    if (c->waiting)
        handle_input(c);
}

void engine_run(struct engine *e, bool (*done)(void *ctx), void *ctx, int64_t max_ms)
{
    int64_t until = mono_ms() + max_ms;
    struct epoll_event events[EVENTS];
    while (!done(ctx) && (!max_ms || mono_ms() < until)) {
        int n = epoll_wait(e->epoll, events, EVENTS, 20);
        for (int i = 0; i < n; i++)
            read_some(e, events[i].data.ptr);
    }
}

struct waited {
    struct client *client;
    int status;
    struct str body;
};

static void on_waited(struct client *c, int status, struct str body)
{
    struct waited *w = c->ctx;
    w->status = status;
    w->body = body;
}

static bool waited_done(void *ctx)
{
    return !((struct waited *)ctx)->client->waiting;
}

struct str client_call(struct engine *e, struct client *c, const char *method, const char *path,
                       const char *body)
{
    struct waited w = {.client = c};
    c->ctx = &w;
    client_send(e, c, method, path, body, on_waited);
    engine_run(e, waited_done, &w, 0);
    if (w.status != 200) {
        fprintf(stderr, "%s %s: %d %.*s\n", method, path, w.status, STR_FMT(w.body));
        exit(1);
    }
    return w.body;
}

void take_string(struct str json, const char *key, char *ret, size_t size)
{
    char pattern[64];
    int n = snprintf(pattern, sizeof pattern, "\"%s\":\"", key);
    const char *p = memmem(json.p, json.n, pattern, (size_t)n);
    if (!p) { /* some servers write a space after the colon */
        n = snprintf(pattern, sizeof pattern, "\"%s\": \"", key);
        p = memmem(json.p, json.n, pattern, (size_t)n);
    }
    const char *end = p ? memchr(p + n, '"', json.n - (size_t)(p + n - json.p)) : NULL;
    if (!end || (size_t)(end - p - n) >= size) {
        fprintf(stderr, "no %s in %.*s\n", key, (int)(json.n < 300 ? json.n : 300), json.p);
        exit(1);
    }
    memcpy(ret, p + n, (size_t)(end - p - n));
    ret[end - p - n] = '\0';
}
