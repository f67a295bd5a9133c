/* Input: a byte that selects the look-up, then the answer of a DNS server without the id and the
 * question, which it repeats: flags, counts, and the records.
 *
 * The look-up is the real one, over UDP. A second answer, after which there is nothing to wait for,
 * follows in case the first is dropped. */
#include "fuzz.h"

#include "base/cache.h"
#include "base/clock.h"
#include "http/client/resolver.h"

#include <arpa/inet.h>
#include <sys/socket.h>
#include <unistd.h>

enum { MESSAGE_MAX = 4096, ID = 2, FLAGS = 2, COUNTS = 8, HEADER = ID + FLAGS + COUNTS };
enum { LOOK_UP_ADDRESSES, LOOK_UP_SERVICES, LOOK_UP_KINDS };
enum { RECORDS_MAX = 16 };

static struct {
    int fd;
    char name[32]; /* of the server, for the resolver */
    pthread_mutex_t lock;
    struct str answer;
} dns = {.lock = PTHREAD_MUTEX_INITIALIZER};

/* ---- the DNS server ---- */

/* Of a query that our side made: the name, its end, type and class. */
static size_t question_bytes(const unsigned char *query, size_t n)
{
    const unsigned char *end = memchr(query + HEADER, 0, n - HEADER);
    HOLDS(end && end + 5 <= query + n);
    return (size_t)(end + 5 - query) - HEADER;
}

/* The header as it is given, the question, then the records. */
static void put_answer(struct buf *b, const unsigned char *query, size_t n, struct str answer)
{
    char header[FLAGS + COUNTS] = {0};
    size_t given = answer.n < sizeof header ? answer.n : sizeof header;
    if (given)
        memcpy(header, answer.p, given);
    b->n = 0;
    buf_add(b, (const char *)query, ID);
    buf_add(b, header, sizeof header);
    buf_add(b, (const char *)query + HEADER, question_bytes(query, n));
    if (answer.n > given)
        buf_add(b, answer.p + given, answer.n - given);
}

static void *serve(void *arg)
{
    static const struct str no_such_name = STR("\x81\x83\0\1\0\0\0\0\0\0");
    buf_auto struct buf b = {0};
    for (;;) {
        unsigned char query[MESSAGE_MAX];
        struct sockaddr_in from;
        socklen_t from_n = sizeof from;
        ssize_t n = recvfrom(dns.fd, query, sizeof query, 0, (struct sockaddr *)&from, &from_n);
        if (n < HEADER)
            continue;
        pthread_mutex_lock(&dns.lock);
        put_answer(&b, query, (size_t)n, dns.answer);
        pthread_mutex_unlock(&dns.lock);
        sendto(dns.fd, b.p, b.n, 0, (struct sockaddr *)&from, from_n);
        put_answer(&b, query, (size_t)n, no_such_name);
        sendto(dns.fd, b.p, b.n, 0, (struct sockaddr *)&from, from_n);
    }
    return NULL;
}

static void start(void)
{
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr = {htonl(INADDR_LOOPBACK)}};
    socklen_t n = sizeof address;
    if (dns.fd)
        return;
    HOLDS((dns.fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0)) > 0);
    HOLDS(!bind(dns.fd, (struct sockaddr *)&address, n));
    HOLDS(!getsockname(dns.fd, (struct sockaddr *)&address, &n));
    fuzz_start_thread(serve, NULL);
    snprintf(dns.name, sizeof dns.name, "127.0.0.1:%d", ntohs(address.sin_port));
}

static void say(struct str answer)
{
    pthread_mutex_lock(&dns.lock);
    dns.answer = answer;
    pthread_mutex_unlock(&dns.lock);
}

/* ---- our side ---- */

enum { DEADLINE_MS = 5000 };

static void look_up_addresses(struct resolver *r, struct arena *a)
{
    static const char name[] = "host.example";
    struct resolved first, again;
    const struct err *e = resolver_addresses(r, a, name, mono_ms() + DEADLINE_MS, &first);
    say((struct str){0}); /* the second time it is remembered */
    HOLDS(!e == !resolver_addresses(r, a, name, mono_ms(), &again));
    if (e)
        return;
    HOLDS(first.n <= RECORDS_MAX && first.n == again.n && first.is_alias == again.is_alias);
    for (size_t i = 0; i < first.n; i++) {
        char text[INET6_ADDRSTRLEN];
        struct address read;
        address_write(&first.addresses[i], text);
        HOLDS(address_parse(str_of(text), &read));
        HOLDS(!memcmp(&read, &first.addresses[i], sizeof read));
        HOLDS(!memcmp(&read, &again.addresses[i], sizeof read));
    }
}

static void look_up_services(struct resolver *r, struct arena *a)
{
    struct srv_record *records;
    size_t n;
    if (resolver_srv(r, a, "_matrix-fed._tcp.example", mono_ms() + DEADLINE_MS, &records, &n))
        return;
    HOLDS(n <= RECORDS_MAX);
    for (size_t i = 0; i < n; i++) {
        HOLDS(strlen(records[i].host) <= 255);
        HOLDS(records[i].port >= 0 && records[i].port <= 65535);
        HOLDS(records[i].priority >= 0 && records[i].weight >= 0);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size < 1 || size > MESSAGE_MAX)
        return 0;
    start();
    const char *const server = dns.name;
    struct resolver *r;
    arena_auto struct arena *a = arena_create();
    struct cache_budget *budget = cache_budget_create(1 << 20);
    HOLDS(!resolver_create(&server, 1, budget, &r));
    say(fuzz_str(data + 1, size - 1));
    if (*data % LOOK_UP_KINDS == LOOK_UP_ADDRESSES)
        look_up_addresses(r, a);
    else
        look_up_services(r, a);
    say((struct str){0});
    resolver_destroy(r);
    cache_budget_destroy(budget);
    return 0;
}
