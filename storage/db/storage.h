/* What the storage floor owns as long as the node lives. Its parts have locks of their own. */
#ifndef STORAGE_DB_STORAGE_H
#define STORAGE_DB_STORAGE_H

#include <stdatomic.h>
#include <stdint.h>

struct storage {
    struct worker_pools *pools;     /* of threads for background work: storage/job_pool.h */
    struct worker_pool *timers;     /* for what never waits: one thread */
    struct worker_pool *background; /* for what needs the database: its threads have jobs */
    struct leases *leases;          /* storage/nodes/lease.h; NULL: this process holds none */
    struct db *db;                  /* storage/db/db.h */
    struct committer *committer;    /* storage/db/committer.h */
    struct feed *feed;              /* storage/db/feed.h */
    struct follower *follower;      /* storage/nodes/follower.h; NULL: of a command */
    struct epochs *epochs;          /* storage/db/epochs.h */
    struct intern *intern;          /* storage/db/intern.h */
    /* mono_ms() until which the schema need not be checked again. */
    _Atomic int64_t schema_good_until;
};

#endif
