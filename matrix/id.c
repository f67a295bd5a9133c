#include "matrix/id.h"

#include <sodium.h>

static bool id_is_digit(char c)
{
    return c >= '0' && c <= '9';
}

static bool is_letter(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
}

static bool all(struct str s, bool (*allowed)(char))
{
    for (size_t i = 0; i < s.n; i++)
        if (!allowed(s.p[i]))
            return false;
    return true;
}

static bool dns_char(char c)
{
    return id_is_digit(c) || is_letter(c) || c == '-' || c == '.';
}

static bool ipv6_char(char c)
{
    return id_is_digit(c) || (c >= 'a' && c <= 'f') || (c >= 'A' && c <= 'F') || c == ':' ||
           c == '.';
}

static bool localpart_char(char c)
{
    return id_is_digit(c) || (c >= 'a' && c <= 'z') || (c && strchr("._=-/+", c));
}

static bool algorithm_char(char c)
{
    return id_is_digit(c) || (c >= 'a' && c <= 'z') || c == '_';
}

static bool graphic_char(char c)
{
    return c >= 0x21 && c <= 0x7e;
}

static bool printable(struct str s)
{
    for (size_t i = 0; i < s.n; i++)
        if ((unsigned char)s.p[i] < 0x20 || s.p[i] == 0x7f)
            return false;
    return utf8_valid(s);
}

static bool fits(struct str id)
{
    return id.n >= 1 && id.n <= ID_LENGTH_MAX;
}

bool id_is_server_name(struct str name)
{
    if (!fits(name))
        return false;
    bool literal = name.p[0] == '[';
    const char *host_end = memchr(name.p, literal ? ']' : ':', name.n);
    if (literal && !host_end)
        return false;
    struct str host = {name.p, host_end ? (size_t)(host_end - name.p) : name.n};
    if (literal) {
        host = (struct str){name.p + 1, host.n - 1};
        host_end++;
    }
    if (literal ? host.n < 2 || host.n > 45 || !all(host, ipv6_char)
                : host.n < 1 || !all(host, dns_char))
        return false;
    const char *end = name.p + name.n;
    if (!host_end || host_end == end)
        return true;
    struct str port = {host_end + 1, (size_t)(end - host_end) - 1};
    return *host_end == ':' && port.n >= 1 && port.n <= 5 && all(port, id_is_digit);
}

bool id_split(char sigil, struct str id, struct str *ret_localpart, struct str *ret_server)
{
    if (!fits(id) || id.p[0] != sigil || memchr(id.p, '\0', id.n) || !utf8_valid(id))
        return false;
    bool server_optional = sigil == '!' || sigil == '$';
    const char *colon = memchr(id.p, ':', id.n), *end = id.p + id.n;
    if (!colon && (!server_optional || id.n == 1))
        return false;
    struct str server = {0};
    if (colon) {
        server = (struct str){colon + 1, (size_t)(end - colon) - 1};
        if (!id_is_server_name(server))
            return false;
    }
    *ret_localpart = (struct str){id.p + 1, (size_t)((colon ? colon : end) - id.p) - 1};
    *ret_server = server;
    return true;
}

static bool is_id(char sigil, struct str id)
{
    struct str localpart, server;
    return id_split(sigil, id, &localpart, &server);
}

bool id_is_user(struct str id)
{
    return is_id('@', id);
}

bool id_is_compliant_user(struct str id)
{
    struct str localpart, server;
    return id_split('@', id, &localpart, &server) && localpart.n && all(localpart, graphic_char);
}

bool id_is_new_localpart(struct str localpart)
{
    return localpart.n && all(localpart, localpart_char);
}

bool id_is_room(struct str id)
{
    return is_id('!', id);
}

bool id_is_alias(struct str id)
{
    return is_id('#', id);
}

bool id_is_event(struct str id)
{
    return is_id('$', id);
}

bool id_is_device(struct str id)
{
    return fits(id) && printable(id);
}

bool id_is_key(struct str id)
{
    const char *colon = fits(id) ? memchr(id.p, ':', id.n) : NULL;
    if (!colon)
        return false;
    struct str algorithm = {id.p, (size_t)(colon - id.p)};
    struct str key = {colon + 1, id.n - algorithm.n - 1};
    return algorithm.n && all(algorithm, algorithm_char) && key.n && printable(key);
}

struct str id_server(struct str id)
{
    struct str localpart, server = {0};
    if (id.n && strchr("@!#$", id.p[0]) && id_split(id.p[0], id, &localpart, &server))
        return server;
    return (struct str){0};
}

bool id_is_of(const char *id, const char *server)
{
    return id && str_is(id_server(str_of(id)), server);
}

bool id_is_user_of(const char *id, const char *server)
{
    return id && id_is_user(str_of(id)) && id_is_of(id, server);
}

char *id_random(struct arena *a, size_t letters)
{
    static const char alphabet[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";
    enum { LETTERS = 52, UNBIASED = 256 / LETTERS * LETTERS };
    char *id = arena_alloc(a, letters + 1);
    for (size_t n = 0; n < letters;) {
        unsigned char random[64];
        randombytes_buf(random, sizeof random);
        for (size_t i = 0; i < sizeof random && n < letters; i++)
            if (random[i] < UNBIASED)
                id[n++] = alphabet[random[i] % LETTERS];
    }
    return id;
}

char *id_make(struct arena *a, char sigil, const char *server)
{
    return arena_printf(a, "%c%s:%s", sigil, id_random(a, 18), server);
}
