/* Input: a request of a client in the form of whole_server.h: the handlers of the client-server API
 * read its path, query and body. */
#include "fuzz.h"
#include "server/account/caller.h"
#include "whole_server.h"

static bool is_of_clients(const struct route *r)
{
    return strncmp(r->path, "/_matrix/federation", strlen("/_matrix/federation")) != 0 &&
           strncmp(r->path, "/_matrix/key", strlen("/_matrix/key")) != 0;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct caller caller = {
        .user = 1, .user_id = "@alice:us", .device = 1, .device_id = "DEVICE", .is_admin = true};
    whole_server_run(data, size, is_of_clients, &caller);
    return 0;
}
