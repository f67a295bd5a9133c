/* From a URL to addresses. Private to the client. */
#ifndef HTTP_CLIENT_CLIENT_TARGET_H
#define HTTP_CLIENT_CLIENT_TARGET_H

#include "http/client/client_internal.h"

/* The host and port of a URL. ERR_INVALID_PARAM for a URL that must not be requested. */
const struct err *target_read(struct arena *a, const char *url, bool allow_plain,
                              struct http_peer *ret);
/* The URL to which a redirect leads, https:// only. */
const struct err *target_follow(struct arena *a, const char *url, const char *location,
                                const char **ret);
/* The addresses of a peer that may be contacted (allow_denied: all), in the form of
 * CURLOPT_CONNECT_TO; ERR_FORBIDDEN when all are denied. */
const struct err *target_addresses(struct http_client *c, struct arena *a,
                                   const struct http_peer *peer, bool allow_denied,
                                   int64_t deadline_ms, const char *const **ret, size_t *ret_n);

#endif
