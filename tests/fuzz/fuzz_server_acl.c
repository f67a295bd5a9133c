/* Input: the server name, a newline, the content of the ACL event. */
#include "matrix/server_acl.h"

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    const uint8_t *line = memchr(data, '\n', size);
    if (!line)
        return 0;
    arena_auto struct arena *a = arena_create();
    char *name = arena_memdup(a, data, (size_t)(line - data));
    json_t *acl;
    if (json_read(a, (struct str){(const char *)line + 1, size - (size_t)(line - data) - 1}, &acl))
        return 0;
    bool allowed = server_acl_allows(acl, name);
    /* Without an allow list all servers are denied, and a port changes nothing. */
    if (allowed && json_array_size(json_object_get(acl, "allow")) == 0)
        abort();
    if (!strpbrk(name, ":[]") &&
        allowed != server_acl_allows(acl, arena_printf(a, "%s:8448", name)))
        abort();
    return 0;
}
