/* Listening sockets. The first loop accepts for all, and gives each connection to the loop that has
 * the fewest: the cost of a wake grows with the connections of a loop. */
#include "base/log.h"
#include "base/mem.h"
#include "http/internal.h"

#include <errno.h>
#include <netdb.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <sys/epoll.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

enum { BACKLOG = 4096, ACCEPT_AT_ONCE = 64 };

static const struct err *listen_failed(const struct http_listener *l, const char *why)
{
    return err_internal("listener %s: %s", l->address, why);
}

static bool is_left_over(const struct sockaddr_un *address)
{
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    bool dead = connect(fd, (const struct sockaddr *)address, sizeof *address) != 0 &&
                errno == ECONNREFUSED;
    close(fd);
    return dead;
}

static const struct err *open_unix(const struct http_listener *l, struct listening *ret)
{
    const char *path = l->address + strlen("unix:");
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    if (!*path || strlen(path) >= sizeof address.sun_path)
        return listen_failed(l, "the path of a unix socket has 1 to 107 bytes");
    strcpy(address.sun_path, path);
    if (is_left_over(&address))
        unlink(path);
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (fd < 0)
        return listen_failed(l, strerror(errno));
    if (bind(fd, (struct sockaddr *)&address, sizeof address) || chmod(path, 0660) ||
        listen(fd, BACKLOG)) {
        const char *why = strerror(errno);
        close(fd);
        return listen_failed(l, why);
    }
    ret->fd = fd;
    ret->unix_path = mem_strdup(path);
    return NULL;
}

/* "host:port", "[v6]:port" or ":port". */
static bool split_address(const char *text, char host[256], char port[16])
{
    const char *colon = strrchr(text, ':');
    if (!colon || !colon[1] || strlen(colon + 1) >= 16)
        return false;
    struct str h = {text, (size_t)(colon - text)};
    if (h.n >= 2 && h.p[0] == '[' && h.p[h.n - 1] == ']')
        h = (struct str){h.p + 1, h.n - 2};
    if (h.n >= 256)
        return false;
    memcpy(host, h.p, h.n);
    host[h.n] = '\0';
    strcpy(port, colon + 1);
    return true;
}

static int bind_and_listen(const struct addrinfo *ai, bool all_families)
{
    int on = 1, v6only = !all_families;
    int fd = socket(ai->ai_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (fd < 0)
        return -1;
    setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
    if (ai->ai_family == AF_INET6)
        setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &v6only, sizeof v6only);
    if (bind(fd, ai->ai_addr, ai->ai_addrlen) || listen(fd, BACKLOG)) {
        int why = errno;
        close(fd);
        errno = why;
        return -1;
    }
    return fd;
}

/* Without a host: one IPv6 socket for both families, or IPv4 where there is no IPv6. */
static const struct err *open_tcp(const struct http_listener *l, struct listening *ret)
{
    char host[256], port[16];
    struct addrinfo hints = {.ai_socktype = SOCK_STREAM, .ai_flags = AI_PASSIVE | AI_NUMERICSERV};
    struct addrinfo *found;
    if (!split_address(l->address, host, port))
        return listen_failed(l, "expected address:port, :port or unix:/path");
    int families[] = {*host ? AF_UNSPEC : AF_INET6, AF_INET};
    const char *why = "no such address";
    for (int i = 0; i < (*host ? 1 : 2); i++) {
        hints.ai_family = families[i];
        int problem = getaddrinfo(*host ? host : NULL, port, &hints, &found);
        if (problem) {
            why = gai_strerror(problem);
            continue;
        }
        int fd = bind_and_listen(found, !*host);
        why = strerror(errno);
        freeaddrinfo(found);
        if (fd >= 0) {
            ret->fd = fd;
            return NULL;
        }
    }
    return listen_failed(l, why);
}

const struct err *listen_open(const struct http_listener *l, struct listening *ret)
{
    return strncmp(l->address, "unix:", 5) == 0 ? open_unix(l, ret) : open_tcp(l, ret);
}

void listen_close(struct listening *l)
{
    if (l->fd >= 0)
        close(l->fd);
    l->fd = -1;
    if (l->unix_path)
        unlink(l->unix_path);
    free(l->unix_path);
    l->unix_path = NULL;
}

int listen_port(const struct listening *l)
{
    struct sockaddr_storage address;
    socklen_t n = sizeof address;
    if (l->unix_path || getsockname(l->fd, (struct sockaddr *)&address, &n))
        return 0;
    if (address.ss_family == AF_INET6)
        return ntohs(((struct sockaddr_in6 *)(void *)&address)->sin6_port);
    return ntohs(((struct sockaddr_in *)(void *)&address)->sin_port);
}

static struct loop *listen_least_loaded(struct http_server *s)
{
    struct loop *best = &s->loops[0];
    for (int i = 1; i < s->loops_n; i++)
        if (atomic_load(&s->loops[i].connections_n) < atomic_load(&best->connections_n))
            best = &s->loops[i];
    return best;
}

static void listen_hand_over(struct http_server *s, struct newcomer *n)
{
    int on = 1;
    if (!connections_add(s, n)) {
        close(n->fd);
        return;
    }
    if (n->address.ss_family != AF_UNIX) {
        setsockopt(n->fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
        setsockopt(n->fd, SOL_SOCKET, SO_KEEPALIVE, &on, sizeof on);
    }
    struct loop *l = listen_least_loaded(s);
    atomic_fetch_add(&l->connections_n, 1);
    atomic_fetch_add(&s->connections_n, 1);
    loop_add_newcomer(l, n);
}

void listen_accept(struct loop *l, size_t listening)
{
    struct http_server *s = l->server;
    struct listening *from = &s->listening[listening];
    from->more = false;
    for (int i = 0; i < ACCEPT_AT_ONCE && atomic_load(&s->connections_n) < s->connections_max;
         i++) {
        struct newcomer n = {.kind = from->kind, .address_n = sizeof n.address};
        n.fd = accept4(from->fd, (struct sockaddr *)&n.address, &n.address_n,
                       SOCK_NONBLOCK | SOCK_CLOEXEC);
        if (n.fd >= 0) {
            listen_hand_over(s, &n);
            continue;
        }
        if (errno == EAGAIN || errno == EWOULDBLOCK)
            return;
        if (errno == EMFILE || errno == ENFILE || errno == ENOBUFS || errno == ENOMEM) {
            log_warn("cannot accept connections: %s", strerror(errno));
            s->refused_at = atomic_load(&s->connections_n);
            return;
        }
    }
    from->more = true;
}

void listen_accept_more(struct loop *l)
{
    struct http_server *s = l->server;
    for (size_t i = 0; i < s->listening_n && l == s->loops && s->accepting; i++)
        if (s->listening[i].more)
            listen_accept(l, i);
}

/* The sockets are watched while there is room. After the process has run out of descriptors, there
 * is room again when connections have ended. */
void listen_watch(struct http_server *s)
{
    int n = atomic_load(&s->connections_n);
    bool on = !atomic_load(&s->stopping) && n < s->connections_max;
    connections_make_room(s);
    if (s->refused_at && n >= s->refused_at)
        on = false;
    else
        s->refused_at = 0;
    if (on == s->accepting)
        return;
    s->accepting = on;
    for (size_t i = 0; i < s->listening_n; i++) {
        if (on)
            (void)!loop_watch_listening(&s->loops[0], s->listening[i].fd, i);
        else
            epoll_ctl(s->loops[0].epoll_fd, EPOLL_CTL_DEL, s->listening[i].fd, NULL);
    }
    for (size_t i = 0; atomic_load(&s->stopping) && i < s->listening_n; i++) {
        if (s->listening[i].fd >= 0)
            listen_accept(s->loops, i); /* what is already connected is served */
        listen_close(&s->listening[i]);
    }
}
