/* The parts of a server name (appendices, "Server Name"). */
#ifndef FEDERATION_PEER_HOST_NAME_H
#define FEDERATION_PEER_HOST_NAME_H

#include "federation/peer/discovery.h"

bool host_name_read(struct arena *a, const char *server_name, struct host_name *ret);

#endif
