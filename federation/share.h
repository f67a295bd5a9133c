/* What one server may have at work here at once, of the questions and requests that cost much: a
 * few run, some more wait without a thread, and beyond that it is told to come back later. So that
 * no server takes the workers from the others. */
#ifndef FEDERATION_SHARE_H
#define FEDERATION_SHARE_H

#include "http/route.h"

/* The handler of such a route, with WHO_SERVER: runs the route's `inner` when it is the caller's
 * turn.
 */
route_handler share_run;

#endif
