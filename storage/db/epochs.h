/* Epochs of the log (docs/architecture.md, "Epochs").
 *
 * When the database goes back in time (a restore, a failover that lost transactions), positions are
 * given out again, for other changes. Therefore a token names the epoch in which it was given. Each
 * start of a server begins an epoch with a random number, and so does each new connection of the
 * committer. A token is valid up to the beginning of the next epoch that the database knows;
 * changes beyond that were lost. So a restart, or a failover that lost nothing, invalidates no
 * token, and a restore need not be detected. */
#ifndef STORAGE_DB_EPOCHS_H
#define STORAGE_DB_EPOCHS_H

#include "storage/db/db.h"

struct epoch {
    int64_t id, begins, history_begins, stream_offset; /* as in schema/0077-epochs.sql */
};

struct epochs;
struct epochs *epochs_create(void);
void epochs_destroy(struct epochs *e); /* NULL-safe */

/* Reads all of them; the newest is the current one. Deletes the oldest beyond a bound. */
const struct err *epochs_load(struct epochs *e, struct tx *tx);
/* Called by the committer, which has begun the epoch. */
void epochs_add(struct epochs *e, const struct epoch *epoch);

int64_t epochs_current(struct epochs *e);

/* The position that a token of this epoch names in the present log. *ret_lost: the token names
 * changes that the database has lost; the position is then where the histories part. */
int64_t epochs_place(struct epochs *e, int64_t epoch, int64_t position, bool *ret_lost);

/* The epoch in which this position was given out. */
int64_t epochs_at(struct epochs *e, int64_t position);

/* The stream id that other servers are sent for a position: it grows with the position and is never
 * repeated, even if the position is. */
int64_t epochs_stream_id(struct epochs *e, int64_t position);

#endif
