#include "answering_host.h"

#include "base/lock.h"
#include "fuzz.h"

#include <arpa/inet.h>
#include <netinet/tcp.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>
#include <strings.h>
#include <sys/socket.h>
#include <unistd.h>

enum { HEAD_BYTES_MAX = 16 * 1024 };

static struct {
    int fd;
    SSL_CTX *tls;
    pthread_mutex_t lock;
    struct str content_type, body;
} host = {.lock = PTHREAD_MUTEX_INITIALIZER};

void answering_host_say(struct str content_type, struct str body)
{
    pthread_mutex_lock(&host.lock);
    host.content_type = content_type;
    host.body = body;
    pthread_mutex_unlock(&host.lock);
}

/* ---- one connection ---- */

static bool skip_bytes(SSL *s, long n)
{
    char piece[4096];
    while (n > 0) {
        int got = SSL_read(s, piece, n < (long)sizeof piece ? (int)n : (int)sizeof piece);
        if (got <= 0)
            return false;
        n -= got;
    }
    return true;
}

/* A request of our own client is well-formed: its head, and a body with Content-Length. */
static bool read_request(SSL *s)
{
    char head[HEAD_BYTES_MAX + 1];
    size_t n = 0;
    do {
        if (n == HEAD_BYTES_MAX || SSL_read(s, head + n, 1) <= 0)
            return false;
        head[++n] = '\0';
    } while (n < 4 || memcmp(head + n - 4, "\r\n\r\n", 4) != 0);
    const char *length = strcasestr(head, "\r\nContent-Length:");
    return skip_bytes(s, length ? atol(length + strlen("\r\nContent-Length:")) : 0);
}

static bool send_answer(SSL *s)
{
    buf_auto struct buf b = {0};
    pthread_mutex_lock(&host.lock);
    buf_printf(&b, "HTTP/1.1 200 OK\r\nContent-Length: %zu\r\nContent-Type: ", host.body.n);
    buf_add_str(&b, host.content_type);
    BUF_LIT(&b, "\r\n\r\n");
    buf_add_str(&b, host.body);
    pthread_mutex_unlock(&host.lock);
    return SSL_write(s, b.p, (int)b.n) == (int)b.n;
}

static void *talk(void *arg)
{
    SSL *s = arg;
    if (SSL_accept(s) == 1)
        while (read_request(s) && send_answer(s))
            ;
    close(SSL_get_fd(s));
    SSL_free(s);
    OPENSSL_thread_stop(); /* frees its data of this thread */
    return NULL;
}

static void *accept_all(void *arg)
{
    for (;;) {
        int fd = accept(host.fd, NULL, NULL);
        int on = 1;
        SSL *s = SSL_new(host.tls);
        HOLDS(fd >= 0 && s && SSL_set_fd(s, fd) == 1);
        setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
        fuzz_start_thread(talk, s);
    }
    return NULL;
}

/* ---- starting ---- */

/* Nothing checks the certificate. */
static void make_tls(void)
{
    EVP_PKEY *pair = EVP_EC_gen("P-256");
    X509 *x = X509_new();
    host.tls = SSL_CTX_new(TLS_server_method());
    HOLDS(pair && x && host.tls);
    X509_gmtime_adj(X509_getm_notBefore(x), -3600);
    X509_gmtime_adj(X509_getm_notAfter(x), 7 * 24 * 3600);
    X509_set_pubkey(x, pair);
    X509_sign(x, pair, EVP_sha256());
    HOLDS(SSL_CTX_use_certificate(host.tls, x) == 1);
    HOLDS(SSL_CTX_use_PrivateKey(host.tls, pair) == 1);
    X509_free(x);
    EVP_PKEY_free(pair);
}

const char *answering_host_start(void)
{
    static char name[64];
    struct sockaddr_in address = {.sin_family = AF_INET};
    socklen_t n = sizeof address;
    signal(SIGPIPE, SIG_IGN); /* the other side may hang up */
    make_tls();
    inet_pton(AF_INET, ANSWERING_HOST, &address.sin_addr);
    HOLDS((host.fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0)) >= 0);
    HOLDS(!bind(host.fd, (struct sockaddr *)&address, n) && !listen(host.fd, 16));
    HOLDS(!getsockname(host.fd, (struct sockaddr *)&address, &n));
    fuzz_start_thread(accept_all, NULL);
    snprintf(name, sizeof name, ANSWERING_HOST ":%d", ntohs(address.sin_port));
    return name;
}
