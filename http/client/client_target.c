#include "http/client/client_target.h"

enum { URL_MAX = 8192 };

static void clean_url(CURLU **u)
{
    curl_url_cleanup(*u);
}
#define url_auto __attribute__((cleanup(clean_url)))

/* A part of a URL, in the arena; NULL when absent. */
static const char *client_target_part_of(struct arena *a, CURLU *u, CURLUPart what, unsigned flags)
{
    char *part;
    if (curl_url_get(u, what, &part, flags))
        return NULL;
    const char *copy = arena_strdup(a, part);
    curl_free(part);
    return copy;
}

static bool is_name(const char *host)
{
    static const char letters[] =
        "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-._";
    size_t n = strspn(host, letters);
    return n > 0 && n <= 255 && !host[n];
}

static const struct err *client_target_no_target(const char *url)
{
    return err(ERR_INVALID_PARAM, "Not a URL that can be requested: %.150s", url);
}

/* libcurl would accept other numbers of slashes. */
static bool has_authority(const char *url)
{
    const char *at = strncmp(url, "https://", 8) == 0  ? url + 8
                     : strncmp(url, "http://", 7) == 0 ? url + 7
                                                       : "";
    return *at && !strchr("/?#", *at);
}

const struct err *target_read(struct arena *a, const char *url, bool allow_plain,
                              struct http_peer *ret)
{
    CURLU *u url_auto = curl_url();
    if (!u || !has_authority(url) || strlen(url) > URL_MAX ||
        curl_url_set(u, CURLUPART_URL, url, CURLU_DISALLOW_USER))
        return client_target_no_target(url);
    const char *scheme = client_target_part_of(a, u, CURLUPART_SCHEME, 0);
    const char *host = client_target_part_of(a, u, CURLUPART_HOST, 0);
    const char *port = client_target_part_of(a, u, CURLUPART_PORT, CURLU_DEFAULT_PORT);
    int64_t number;
    if (!scheme || !host || !port || !str_to_int64(str_of(port), &number) || number < 1 ||
        (strcmp(scheme, "https") != 0 && (!allow_plain || strcmp(scheme, "http") != 0)))
        return client_target_no_target(url);
    size_t n = strlen(host);
    if (host[0] == '[' && host[n - 1] == ']')
        host = arena_memdup(a, host + 1, n - 2);
    *ret = (struct http_peer){.host = host, .port = (int)number};
    return NULL;
}

const struct err *target_follow(struct arena *a, const char *url, const char *location,
                                const char **ret)
{
    struct http_peer peer;
    CURLU *u url_auto = curl_url();
    if (!u || strlen(location) > URL_MAX || curl_url_set(u, CURLUPART_URL, url, 0) ||
        curl_url_set(u, CURLUPART_URL, location, 0))
        return client_target_no_target(location);
    const char *next = client_target_part_of(a, u, CURLUPART_URL, 0);
    if (!next)
        return client_target_no_target(location);
    TRY(target_read(a, next, false, &peer));
    *ret = next;
    return NULL;
}

/* An IPv6 address may carry an IPv4 one to which a gateway leads: 6to4, NAT64, and the compatible
 * form. */
static bool embedded_ipv4(const struct address *a, struct address *ret)
{
    static const unsigned char nat64[12] = {0x00, 0x64, 0xff, 0x9b}, compatible[12];
    const unsigned char *v4 = NULL;
    if (a->bytes[0] == 0x20 && a->bytes[1] == 0x02)
        v4 = a->bytes + 2;
    else if (!memcmp(a->bytes, nat64, sizeof nat64) ||
             !memcmp(a->bytes, compatible, sizeof compatible))
        v4 = a->bytes + 12;
    if (!v4)
        return false;
    *ret = (struct address){.bytes = {[10] = 0xff, [11] = 0xff}};
    memcpy(ret->bytes + 12, v4, 4);
    return true;
}

static bool is_denied(const struct http_client *c, const struct address *a)
{
    struct address inner;
    if (address_is_within(c->allowed, a))
        return false;
    return address_is_within(c->denied, a) ||
           (embedded_ipv4(a, &inner) && address_is_within(c->denied, &inner));
}

static const char *connect_to(struct arena *a, const struct address *address, int port)
{
    char text[INET6_ADDRSTRLEN];
    address_write(address, text);
    return address_is_ipv4(address) ? arena_printf(a, "::%s:%d", text, port)
                                    : arena_printf(a, "::[%s]:%d", text, port);
}

static const struct err *client_target_resolve(struct http_client *c, struct arena *a,
                                               const struct http_peer *peer, int64_t deadline_ms,
                                               struct resolved *ret)
{
    if (!is_name(peer->host))
        return err(ERR_CONNECTION_FAILED, "%.150s is not a host name", peer->host);
    TRY(resolver_addresses(c->resolver, a, peer->host, deadline_ms, ret));
    if (!ret->n)
        return err(ERR_CONNECTION_FAILED, "There is no host with the name %.150s", peer->host);
    if (peer->no_alias && ret->is_alias)
        return err(ERR_CONNECTION_FAILED,
                   "An SRV record names %.150s, which is only an alias: that is not allowed",
                   peer->host);
    return NULL;
}

const struct err *target_addresses(struct http_client *c, struct arena *a,
                                   const struct http_peer *peer, bool allow_denied,
                                   int64_t deadline_ms, const char *const **ret, size_t *ret_n)
{
    struct address *literal = arena_alloc(a, sizeof *literal);
    struct resolved found = {literal, 1, false};
    if (!address_parse(str_of(peer->host), literal)) {
        if (c->proxy && is_name(peer->host)) {
            const char **one = arena_alloc(a, sizeof *one);
            *one = arena_printf(a, "::%s:%d", peer->host, peer->port);
            *ret = one;
            *ret_n = 1;
            return NULL;
        }
        TRY(client_target_resolve(c, a, peer, deadline_ms, &found));
    }
    const char **list = arena_alloc_array(a, found.n, sizeof *list);
    size_t n = 0;
    for (size_t i = 0; i < found.n; i++)
        if (allow_denied || !is_denied(c, &found.addresses[i]))
            list[n++] = connect_to(a, &found.addresses[i], peer->port);
    if (!n)
        return err(ERR_FORBIDDEN, "This server does not contact the addresses of %.150s",
                   peer->host);
    *ret = list;
    *ret_n = n;
    return NULL;
}
