/* Leases: work that one node at a time does (docs/architecture.md, "Leases").
 *
 * A lease is for a job, or for one slice of a large job; it is a row of the table `leases` with its
 * holder, an expiry by the database's clock, and a fence: a number that grows with each holder.
 * Every LEASE_ROUND_MS one statement renews what this node holds, takes free leases up to the
 * node's share, and gives back what is above it.
 *
 * A node knows by itself that it holds a lease no more: LEASE_MARGIN_MS before the lease expires in
 * the database, counted from when it last asked for a renewal. What it then still writes, after a
 * pause, fails by the fence (ERR_LEASE_LOST), if the transaction checks it. So work that runs under
 * a lease notes the fence when it begins, and names it in what it writes.
 *
 * lease_fence() takes no lock. Where a `struct lease_job` is NULL, nothing is held. */
#ifndef STORAGE_NODES_LEASE_H
#define STORAGE_NODES_LEASE_H

#include "storage/db/job.h"
#include "storage/db/write.h"

enum {
    LEASE_SLICES = 32,
    LEASE_MS = 6000,
    LEASE_MARGIN_MS = 1000, /* more than two clocks differ by in that time */
    LEASE_ROUND_MS = 2000
};

struct lease_settings {
    int64_t node; /* unlike all other nodes', also those of earlier processes; not 0 */
    /* How many nodes live, with this one; NULL: it is the only one. */
    int64_t (*live_nodes)(void *of);
    void *of;
    int64_t lease_ms; /* 0: LEASE_MS; for tests, which may be slow */
};

struct leases; /* those that a node may hold */
struct leases *leases_create(struct node *node);
/* Which node this is. Before the first round. */
void leases_set_node(struct leases *l, const struct lease_settings *s);
void leases_destroy(struct leases *l); /* after the work that asks for its leases; NULL-safe */

/* ---- jobs ---- */

struct lease_job_settings {
    const char *name; /* small letters, '_' and '/'; borrowed */
    int slices;       /* 0: the job is not divided */
    void *of;
    /* Called by the thread that renews, with no lock held; NULL: not wanted. The slice is 0 where
     * the job is not divided. */
    void (*on_taken)(void *of, int slice);
    void (*on_lost)(void *of, int slice); /* also when it is given back */
};

/* Before leases_start(). l is NULL: so is the result. */
struct lease_job *leases_add(struct leases *l, const struct lease_job_settings *s);

int lease_slice_of_name(const char *name); /* of a server, such as a destination */
int lease_slice_of_id(int64_t id);         /* of a room */

/* ---- holding ---- */

/* The fence of the lease, if this node holds it now; 0: it does not. */
int64_t lease_fence(struct lease_job *j, int slice);

/* For may_run of struct worker_settings. on_taken() may worker_hurry() what was refused. */
bool lease_may_run(struct lease_job *j, int slice, int64_t *ret_wait_ms);

/* Makes the transaction fail with ERR_LEASE_LOST if the fence is not the lease's any more. A
 * transaction should do so last, since until it ends no other node takes the lease. */
const struct err *lease_check(struct tx *tx, struct lease_job *j, int slice, int64_t fence);
void lease_check_write(struct write *w, struct lease_job *j, int slice, int64_t fence);
/* Several slices at once. fences: of all slices of the job; 0: not checked. */
void lease_check_write_slices(struct write *w, struct lease_job *j, const int64_t *fences);

/* ---- life ---- */

void leases_start(struct leases *l); /* in the background, from now on */
/* Another node has given back leases (the channel "concorde_lease"), or nodes came or went. */
void leases_look(struct leases *l);
/* Takes and renews no more, and hands all over to the other nodes. Repeatable, NULL-safe. */
void leases_give_back(struct leases *l);
/* One round. Called by the background work; by tests without it. */
const struct err *leases_renew(struct leases *l, struct tx *tx);

void leases_add_metrics(struct leases *l, struct buf *out); /* NULL-safe */

#endif
