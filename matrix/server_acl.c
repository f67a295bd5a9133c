#include "matrix/server_acl.h"

#include "matrix/glob.h"

#include <arpa/inet.h>

/* The name without its port. Brackets of an IPv6 literal stay: they are part of the name. */
static struct str without_port(struct str name)
{
    size_t n = name.n;
    while (n && name.p[n - 1] >= '0' && name.p[n - 1] <= '9')
        n--;
    return n && name.p[n - 1] == ':' ? (struct str){name.p, n - 1} : name;
}

static bool is_ip_literal(struct str host)
{
    char text[INET_ADDRSTRLEN];
    struct in_addr address;
    if (host.n && *host.p == '[')
        return true;
    if (host.n >= sizeof text)
        return false;
    memcpy(text, host.p, host.n);
    text[host.n] = '\0';
    return inet_pton(AF_INET, text, &address) == 1;
}

static bool any_matches(const json_t *patterns, struct str host)
{
    const json_t *pattern;
    size_t i;
    json_array_foreach (patterns, i, pattern) {
        struct str p = {json_string_value(pattern), json_string_length(pattern)};
        if (p.p && glob_matches(p, host, 0))
            return true;
    }
    return false;
}

bool server_acl_allows(const json_t *acl, const char *server_name)
{
    if (!acl)
        return true;
    struct str host = without_port(str_of(server_name));
    if (json_is_false(json_object_get(acl, "allow_ip_literals")) && is_ip_literal(host))
        return false;
    return !any_matches(json_object_get(acl, "deny"), host) &&
           any_matches(json_object_get(acl, "allow"), host);
}
