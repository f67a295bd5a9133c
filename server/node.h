/* One process of a deployment: its configuration, its database and everything that lives as long as
 * the process (struct node). `concorde serve` is a node, and so is every command that works on the
 * data.
 *
 * The data directory belongs to one server at a time, by a lock on DATA/concorde.lock. While a
 * server runs, that file says which process it is and where its database is, so that commands use
 * the same one. */
#ifndef SERVER_NODE_H
#define SERVER_NODE_H

#include "rooms/rooms.h"
#include "server/listeners.h"
#include "server/server.h"
#include "storage/db/job.h"
#include "storage/embedded/embedded.h"
#include "storage/nodes/follower.h"
#include "users/users.h"

#include <sys/types.h>

enum node_kind {
    /* Makes missing data; fails when another server has the data directory. */
    NODE_SERVER,
    /* Joins a running server's database, or starts the embedded one itself; makes nothing new. */
    NODE_COMMAND
};

enum { NODE_CHANNELS = 3 };

struct running_node {
    struct node node; /* of these: */
    struct signing_keys keys;
    struct storage storage;
    struct rooms rooms;
    struct users users;
    struct server server;
    struct embedded *embedded; /* NULL: this process did not start it */
    struct feed_listener listeners[LISTENERS_N];
    struct worker_kind *rates; /* server/node_rates.h */
    struct follower_channel channels[NODE_CHANNELS + 1];
    const char *uri; /* of the database; in the arena */
    struct arena *arena;
    enum node_kind kind;
    _Atomic bool is_lost;          /* the process has lost the log and is stopping */
    _Atomic bool is_asked_to_stop; /* by `concorde drain` */
    int lock_fd;                   /* -1: no lock held */
};

/* Opens the database (a server migrates it), checks its owner, starts the committer, loads the
 * signing key (a server may make it). The configuration is borrowed. On an error nothing is left
 * running. */
const struct err *node_start(struct running_node *n, const struct config *config,
                             enum node_kind kind);
void node_stop(struct running_node *n); /* commits waiting writes, undoes node_start */

#endif
