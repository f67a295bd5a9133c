/* SRV records: the order in which their targets are tried (RFC 2782). */
#ifndef HTTP_CLIENT_SRV_H
#define HTTP_CLIENT_SRV_H

#include "http/client/resolver.h"

/* Sorts records into the order in which to try them (RFC 2782): by priority, then at random by
 * weight. random(n) gives a number below n. */
void srv_order(struct srv_record *records, size_t n, uint32_t (*random)(uint32_t n));

#endif
