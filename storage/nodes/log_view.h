/* What this process knows of the log: the feed, the epoch, and which other nodes share the
 * database.
 *
 * The changes of other processes are rows of log_batches. Two threads read and publish them: the
 * leader of the committer before it publishes its own batch behind them, and the follower
 * (storage/nodes/follower.h). So publishing, and what decides it, is guarded by one lock, which is
 * held while the listeners run.
 *
 * Nodes: a server that starts makes a row of `nodes` and a new number of the list of nodes
 * (log_head.members), in one transaction. Each commit names the number that it knows. After
 * another node has come it is therefore refused once; then it writes a row of log_batches for each
 * batch. A node alone writes none. A node that gave no sign of life for NODE_DEAD_MS is removed;
 * when it comes back it registers again, and what it has missed is read or, where rows are missing,
 * all its caches are reset. */
#ifndef STORAGE_NODES_LOG_VIEW_H
#define STORAGE_NODES_LOG_VIEW_H

#include "base/lock.h"
#include "storage/db/db.h"
#include "storage/db/epochs.h"
#include "storage/db/feed.h"

enum { NODE_BEAT_MS = 2000, NODE_DEAD_MS = 8000 };

struct log_view_settings {
    const char *uri;
    struct feed *feed;
    struct epochs *epochs; /* NULL: not wanted */
    bool is_server;        /* a command is not in the list of nodes */
    /* The data directory, which one process has at a time: its row in the list of nodes is of a
     * process that is gone. NULL: there is none. */
    const char *data_dir;
    /* The database went back in time: this process must end, since it knows changes that do not
     * exist any more. Must not block. */
    void (*on_lost)(void *ctx, const char *why);
    /* This node is to stop (node_drain()). Called by each sign of life; must not block. NULL: not
     * wanted. */
    void (*on_drain)(void *ctx);
    void *ctx;
};

struct log_view {
    struct lock lock;           /* RANK_LOG; guards what follows */
    pthread_cond_t moved;       /* the batch in flight has ended */
    struct log_view_settings s; /* (const) */
    int64_t node;               /* (const) the id of this process */
    struct db *db;     /* (const) connections of its own, since writers may wait with all others */
    int64_t in_flight; /* the number of our batch that is being committed; 0: none */
    int64_t epoch;     /* in which this process commits */
    int64_t members;   /* the number of the list of nodes */
    int64_t others;    /* how many other nodes are in it */
    bool is_registered;
    bool must_await; /* others have to know of this node before it answers */
    _Atomic bool lost;
    _Atomic bool has_others; /* as `others`, for those without the lock */
    _Atomic int64_t head;    /* the end of the log when this process last read it */
};

const struct err *log_view_init(struct log_view *v, const struct log_view_settings *s);
void log_view_finish(struct log_view *v); /* leaves the list of nodes */

/* Registers this server. *ret_head: from there on other nodes write their batches for it. */
const struct err *log_view_register(struct log_view *v, int64_t *ret_head);
int64_t log_view_count(struct log_view *v); /* of the nodes that live, with this one */
/* The number of the list of nodes that this one knows. */
int64_t log_view_members(struct log_view *v);
/* Waits until all other nodes know of this one, or are dead: until then they answer requests
 * without looking at what it has committed. */
const struct err *log_view_await_others(struct log_view *v);
/* A sign of life; removes dead nodes, and learns of new ones. Every NODE_BEAT_MS. parked: how many
 * requests wait without a worker, for operators. */
const struct err *log_view_beat(struct log_view *v, int64_t parked);
/* How far the feed is behind the end of the log that was last read. */
int64_t log_view_lag(struct log_view *v);

/* Publishes what other processes have committed up to the head of the log. *ret_all: false: a batch
 * of ours in flight is in between; wait for log_view_moved, and look again. */
const struct err *log_view_look_locked(struct log_view *v, bool *ret_all);
/* The same up to this position, which is before a batch of ours. On an error the caches are reset:
 * the leader has to publish. */
void log_view_catch_up_locked(struct log_view *v, int64_t position);

/* The database is in another epoch than this process: learns of it. An error: its history is not
 * the one that this process knows (log_view_lose). */
const struct err *log_view_adopt_locked(struct log_view *v, int64_t epoch);
/* Reads the list of nodes again, after a commit was refused. */
const struct err *log_view_read_members_locked(struct log_view *v);

void log_view_lose(struct log_view *v, const char *why);

#endif
