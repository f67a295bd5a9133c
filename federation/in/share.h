/* Limits how many costly requests one server may have here at once: a few run, some more wait
 * without a thread, and beyond that the reply is M_LIMIT_EXCEEDED. So no server takes the workers
 * from the others.
 *
 * The pools' sources (http/source.c) do not do this: until its signature is checked, a server
 * counts as the address that it connects from, and one with many addresses is many sources. Here it
 * is one, by its authenticated name, in POOL_FEDERATION and POOL_REMOTE together. */
#ifndef FEDERATION_IN_SHARE_H
#define FEDERATION_IN_SHARE_H

#include "http/reply.h"

/* The handler of such a route, with WHO_SERVER: runs the route's `inner` when it is the caller's
 * turn. */
route_handler share_run;

#endif
