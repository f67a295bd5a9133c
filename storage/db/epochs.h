/* Epochs of the log (docs/architecture.md, "Epochs").
 *
 * When the database goes back in time (a restore, a failover that lost transactions), positions are
 * given out again, for other changes. A token says in which epoch it was given: each start of a
 * server begins one, under a random number, and so does each new connection of the committer. An
 * epoch is what the database knows between its beginning and that of the next: a token of it is
 * good as far as the next one's beginning, and what it names beyond that was lost. So neither a
 * restart nor a failover that lost nothing costs a token, and nothing needs to notice a restore. */
#ifndef STORAGE_DB_EPOCHS_H
#define STORAGE_DB_EPOCHS_H

#include "storage/db/db.h"

struct epoch {
    int64_t id, begins, history_begins, stream_offset; /* as in schema/0077-epochs.sql */
};

struct epochs;
struct epochs *epochs_create(void);
void epochs_destroy(struct epochs *e); /* NULL-safe */

/* Reads all of them; the newest is the one that goes on. Forgets the oldest beyond a bound. */
const struct err *epochs_load(struct epochs *e, struct tx *tx);
/* By the committer, which has begun it. */
void epochs_add(struct epochs *e, const struct epoch *epoch);

int64_t epochs_current(struct epochs *e);

/* The place that a token of this epoch names, in the log as it is. *ret_lost: the token knows more
 * than the database does; the place is then where both histories part. */
int64_t epochs_place(struct epochs *e, int64_t epoch, int64_t position, bool *ret_lost);

/* The epoch in which this position was given out. */
int64_t epochs_at(struct epochs *e, int64_t position);

/* What other servers are told of a position: a number that grows with it and never comes twice,
 * also when the position does. */
int64_t epochs_stream_id(struct epochs *e, int64_t position);

#endif
