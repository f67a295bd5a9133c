/* The listeners of the feed, declared in their order: what is kept in memory, or is sent on, learns
 * here of each committed change. */
#ifndef SERVER_LISTENERS_H
#define SERVER_LISTENERS_H

#include "storage/db/feed.h"

struct node;

/* In the order in which they are called. */
enum listener {
    LISTENER_AUTH,
    LISTENER_ERASURES,
    LISTENER_ROOMS,
    LISTENER_AUTH_INDEXES,
    LISTENER_SESSIONS,
    LISTENER_DIRECTORY,
    LISTENER_OUTLINES,
    LISTENER_ACCOUNT_CACHE,
    LISTENER_TYPING,
    LISTENER_UNREAD,
    LISTENER_PRESENCE,
    LISTENER_SEARCH,
    LISTENER_SENDER,
    LISTENER_INBOUND,
    LISTENER_GUESTS,
    LISTENER_PUSHES,
    LISTENERS_N
};

/* Those that this node has, for feed_set_listeners(); returns how many. */
size_t listeners_of(struct node *node, struct feed_listener ret[static LISTENERS_N]);

/* Whether the second must come before the first. */
bool listener_follows(enum listener later, enum listener earlier);

#endif
