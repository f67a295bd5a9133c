#include "http/address.h"

#include "base/mem.h"

#include <arpa/inet.h>

struct cidr {
    struct address address;
    int bits;
};

struct address_ranges {
    size_t n;
    struct cidr cidrs[];
};

static const unsigned char mapped_prefix[12] = {[10] = 0xff, [11] = 0xff};

bool address_is_ipv4(const struct address *a)
{
    return memcmp(a->bytes, mapped_prefix, sizeof mapped_prefix) == 0;
}

static bool parse_bare(struct str text, struct address *ret)
{
    char z[INET6_ADDRSTRLEN];
    struct address a;
    if (text.n >= sizeof z || memchr(text.p, '\0', text.n))
        return false;
    memcpy(z, text.p, text.n);
    z[text.n] = '\0';
    if (inet_pton(AF_INET6, z, a.bytes) != 1) {
        memcpy(a.bytes, mapped_prefix, sizeof mapped_prefix);
        if (inet_pton(AF_INET, z, a.bytes + sizeof mapped_prefix) != 1)
            return false;
    }
    *ret = a;
    return true;
}

static struct str address_trim(struct str s)
{
    while (s.n && (s.p[0] == ' ' || s.p[0] == '\t')) {
        s.p++;
        s.n--;
    }
    while (s.n && (s.p[s.n - 1] == ' ' || s.p[s.n - 1] == '\t'))
        s.n--;
    return s;
}

bool address_parse(struct str text, struct address *ret)
{
    text = address_trim(text);
    if (!text.n)
        return false;
    if (text.p[0] == '[') {
        const char *end = memchr(text.p, ']', text.n);
        return end && parse_bare((struct str){text.p + 1, (size_t)(end - text.p) - 1}, ret);
    }
    const char *colon = memchr(text.p, ':', text.n);
    if (colon && memchr(text.p, '.', (size_t)(colon - text.p))) /* an IPv4 address and a port */
        text.n = (size_t)(colon - text.p);
    return parse_bare(text, ret);
}

bool address_of_socket(const struct sockaddr *sa, struct address *ret)
{
    if (sa->sa_family == AF_INET) {
        const struct sockaddr_in *in = (const struct sockaddr_in *)(const void *)sa;
        memcpy(ret->bytes, mapped_prefix, sizeof mapped_prefix);
        memcpy(ret->bytes + sizeof mapped_prefix, &in->sin_addr, 4);
        return true;
    }
    if (sa->sa_family == AF_INET6) {
        const struct sockaddr_in6 *in6 = (const struct sockaddr_in6 *)(const void *)sa;
        memcpy(ret->bytes, &in6->sin6_addr, 16);
        return true;
    }
    *ret = (struct address){0};
    return false;
}

void address_write(const struct address *a, char ret[INET6_ADDRSTRLEN])
{
    if (address_is_ipv4(a))
        inet_ntop(AF_INET, a->bytes + sizeof mapped_prefix, ret, INET6_ADDRSTRLEN);
    else
        inet_ntop(AF_INET6, a->bytes, ret, INET6_ADDRSTRLEN);
}

struct str address_subscriber(const struct address *a)
{
    return (struct str){(const char *)a->bytes, address_is_ipv4(a) ? 16 : 8};
}

static bool parse_cidr(const char *text, struct cidr *ret)
{
    struct str address = str_of(text);
    const char *slash = strchr(text, '/');
    int64_t bits = -1;
    if (slash) {
        address.n = (size_t)(slash - text);
        if (!str_to_int64(str_of(slash + 1), &bits) || bits < 0)
            return false;
    }
    if (!parse_bare(address, &ret->address))
        return false;
    int64_t offset = address_is_ipv4(&ret->address) && memchr(address.p, '.', address.n) ? 96 : 0;
    if (bits > 128 - offset)
        return false;
    ret->bits = bits < 0 ? 128 : (int)(bits + offset);
    return true;
}

const struct err *address_ranges_create(const char *const *cidrs, size_t n,
                                        struct address_ranges **ret)
{
    struct address_ranges *l = mem_zalloc(sizeof *l + n * sizeof *l->cidrs);
    for (size_t i = 0; i < n; i++) {
        if (!parse_cidr(cidrs[i], &l->cidrs[i])) {
            free(l);
            return err_internal("\"%s\" is neither an address nor a CIDR", cidrs[i]);
        }
    }
    l->n = n;
    *ret = l;
    return NULL;
}

void address_ranges_destroy(struct address_ranges *l)
{
    free(l);
}

static bool cidr_holds(const struct cidr *c, const struct address *a)
{
    int whole = c->bits / 8, rest = c->bits % 8;
    if (memcmp(c->address.bytes, a->bytes, (size_t)whole) != 0)
        return false;
    unsigned mask = 0xff00u >> rest & 0xff;
    return !rest || !((c->address.bytes[whole] ^ a->bytes[whole]) & mask);
}

bool address_is_within(const struct address_ranges *l, const struct address *a)
{
    for (size_t i = 0; i < l->n; i++)
        if (cidr_holds(&l->cidrs[i], a))
            return true;
    return false;
}
