/* What a node (storage/db/job.h) consists of. server/node.c makes the parts of a process,
 * tests/fuzz/whole_server.c those of a server without a database. */
#ifndef SERVER_NODE_PARTS_H
#define SERVER_NODE_PARTS_H

#include "server/listeners.h"

#include <stdbool.h>
#include <stdint.h>

struct node_sizes {
    size_t feed_entries, feed_bytes;
    size_t cache_bytes; /* of all caches together */
};

/* Makes all parts but the committer, without their threads. Needs node->config, ->keys and
 * ->storage->db, and the records of the floors, zeroed. position: where the feed begins. is_server:
 * it federates, and may hold leases. listeners: filled; it lives as long as the node. On an error,
 * too, node_destroy_parts() undoes it. */
const struct err *node_create_parts(struct node *node, const struct node_sizes *sizes,
                                    int64_t position, bool is_server,
                                    struct feed_listener listeners[static LISTENERS_N]);
/* When the threads and the committer have ended; also of parts that were never made. The connection
 * pool is the caller's. */
void node_destroy_parts(struct node *node);

#endif
