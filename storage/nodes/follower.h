/* The follower: a thread that hears of what other processes commit, and publishes it in this node's
 * feed (storage/nodes/log_view.h).
 *
 * PostgreSQL notifies it (LISTEN); since a notification can be lost with its connection, it also
 * looks every NODE_BEAT_MS, when it gives its sign of life. While other nodes live, each request
 * waits in follower_barrier() until the feed has all that was committed before the request came:
 * so it sees what a request to another node was answered with. Requests that come meanwhile share
 * one look. */
#ifndef STORAGE_NODES_FOLLOWER_H
#define STORAGE_NODES_FOLLOWER_H

#include "storage/nodes/log_view.h"

struct follower;

/* Other notifications: fn is called by the follower's thread; it must not block. The payload is
 * borrowed. channel: a literal. */
struct follower_channel {
    const char *name;
    void (*on_notify)(void *ctx, const char *payload);
    void *ctx;
};

struct follower_settings {
    const char *uri;
    struct log_view *view;
    const struct follower_channel *channels; /* borrowed; ends with a NULL name */
    void (*on_members)(void *ctx);           /* nodes came or went; must not block */
    void *ctx;
};

/* Waits until all other nodes know of this one. */
const struct err *follower_start(const struct follower_settings *s, struct follower **ret);
void follower_stop(struct follower *f); /* NULL-safe */

/* From now on the sign of life says how many requests are parked. count: takes no lock; NULL: it is
 * not known (any more). */
void follower_set_parked(struct follower *f, int (*count)(const void *of), const void *of);

/* ERR_UNAVAILABLE: the log could not be read in time. Returns at once while this node is alone, and
 * when f is NULL. */
const struct err *follower_barrier(struct follower *f);
/* Is the feed known to be no older than FRESH_MS? */
bool follower_is_fresh(struct follower *f);

/* Sends a notification to all nodes, this one included. */
const struct err *follower_notify(struct follower *f, const char *channel, const char *payload);

void follower_add_metrics(struct follower *f, struct buf *out);

#endif
