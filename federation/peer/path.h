/* Paths of requests to other servers. */
#ifndef FEDERATION_PEER_PATH_H
#define FEDERATION_PEER_PATH_H

#include "federation/peer/request.h"

/* "/_matrix/federation/v1/make_join/%s/%s?ver=1": each %s is percent-encoded; %d, %zu and %lld are
 * numbers. */
const char *federation_path(struct arena *a, const char *format, ...) PRINTF_LIKE(2, 3);

#endif
