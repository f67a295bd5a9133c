/* What one server may have at work here at once, of the questions and requests that cost much: a
 * few run, some more wait without a thread, and beyond that it is told to come back later. So that
 * no server takes the workers from the others.
 *
 * The pools' sources (http/source.c) do not do this: while its signature is not checked a server
 * counts with the address it speaks from, and one with many addresses is many sources. Here it is
 * one, by the name that it has proven, in POOL_FEDERATION and POOL_REMOTE together. */
#ifndef FEDERATION_IN_SHARE_H
#define FEDERATION_IN_SHARE_H

#include "http/route.h"

/* The handler of such a route, with WHO_SERVER: runs the route's `inner` when it is the caller's
 * turn.
 */
route_handler share_run;

#endif
