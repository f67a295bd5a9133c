/* The nodes that use the database, as they describe themselves (storage/nodes/log_view.h). */
#ifndef STORAGE_NODES_NODE_LIST_H
#define STORAGE_NODES_NODE_LIST_H

#include "storage/db/db.h"

struct node_row {
    int64_t id;
    const char *place, *host, *version; /* place: node_place() */
    int64_t known_migration;            /* the newest one that its program has */
    int64_t started_ago, seen_ago;      /* ms, by the database's clock */
    int64_t position;                   /* it has published all changes up to here */
    int64_t lag;                        /* how far that was behind the end of the log */
    int64_t leases, parked;             /* leases held; requests that wait without a worker */
    bool is_draining;
};

/* The host, and which data directory of which machine, since containers may share host name and
 * path: it belongs to one process at a time. Only the host, if there is no directory (NULL), or if
 * that cannot be said. */
const char *node_place(struct arena *a, const char *data_dir);

/* In the order of their starts, in the arena. */
const struct err *node_list(struct tx *tx, const struct node_row **ret, size_t *ret_n);

/* Marks a node as draining. If it is another process, that begins to stop at its next sign of life
 * (log_view_beat()). */
const struct err *node_drain(struct tx *tx, int64_t node);

#endif
