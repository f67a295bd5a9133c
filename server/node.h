/* One process of a deployment (docs/architecture.md, "Nodes"): its configuration, its database and
 * what lives as long as the process (struct node). `concorde serve` is a node, and so is every
 * command that works on the data.
 *
 * The data directory belongs to one server at a time, by a lock on DATA/concorde.lock. While a
 * server runs, that file says which process it is and where its database is, so that commands use
 * the same one. */
#ifndef SERVER_NODE_H
#define SERVER_NODE_H

#include "storage/db/job.h"
#include "storage/embedded/embedded.h"

#include <sys/types.h>

enum node_kind {
    /* Makes what is not there yet; fails when another server has the data directory. */
    NODE_SERVER,
    /* Joins a running server's database, or starts the embedded one itself; makes nothing new. */
    NODE_COMMAND
};

struct running_node {
    struct node node;
    struct embedded *embedded; /* NULL: not ours to stop */
    struct search_indexer *indexer;
    const char *uri; /* of the database; in the arena */
    struct arena *arena;
    enum node_kind kind;
    _Atomic bool is_lost; /* the log is not this process's any more: it is stopping */
    int lock_fd;          /* -1: no lock held */
    pid_t server_pid; /* of the server that runs on this data; 0: none but us. It learns of writes
                         that are not its own at its next one, or by SIGUSR1. */
};

/* Opens the database (a server migrates it), checks whose it is, starts the committer, loads the
 * signing key (a server may make it). The configuration is borrowed. On an error nothing is left
 * running. */
const struct err *node_start(struct running_node *n, const struct config *config,
                             enum node_kind kind);
void node_stop(struct running_node *n); /* commits what waits, stops what node_start started */

#endif
