#include "federation/peer/host_name.h"
#include "matrix/id.h"

bool host_name_read(struct arena *a, const char *server_name, struct host_name *ret)
{
    struct host_name h = {0};
    struct address address;
    if (!id_is_server_name(str_of(server_name)))
        return false;
    bool bracket = server_name[0] == '[';
    const char *host_end =
        bracket ? strchr(server_name, ']') + 1 : server_name + strcspn(server_name, ":");
    if (*host_end == ':') {
        int64_t port;
        if (!str_to_int64(str_of(host_end + 1), &port) || port < 1 || port > 65535)
            return false;
        h.port = (int)port;
    }
    struct str host = {server_name + bracket, (size_t)(host_end - server_name) - 2 * bracket};
    h.host = str_dup(a, host);
    h.is_literal = address_parse(host, &address);
    if (bracket && !h.is_literal)
        return false;
    *ret = h;
    return true;
}
