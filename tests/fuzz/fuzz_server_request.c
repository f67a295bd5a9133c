/* Input: a request of another server in the form of whole_server.h, with a valid signature: the
 * handlers of the server-server API read its path, query and body. */
#include "federation/federation.h"
#include "fuzz.h"
#include "whole_server.h"

static bool is_of_servers(const struct route *r)
{
    return strncmp(r->path, "/_matrix/federation", strlen("/_matrix/federation")) == 0 ||
           strncmp(r->path, "/_matrix/key", strlen("/_matrix/key")) == 0;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct remote_server caller = {"a.example"};
    whole_server_run(data, size, is_of_servers, &caller);
    return 0;
}
