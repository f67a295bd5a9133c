/* Writing the log. A request prepares a struct write (changes, and the rows that store them), hands
 * it to the committer and waits. The committer takes all waiting writes and stores them as ONE
 * transaction, in one round trip, with one fsync; position order is commit order.
 *
 *     struct write *w = write_begin(job);
 *     int at = write_change(w, &(struct change){.kind = CHANGE_ACCOUNT_DATA, .user = user, ...});
 *     write_row(w, &account_data_rows, P(INT(user), TEXT(type), BYTES(json), POSITION(at)));
 *     TRY(write_commit(job, w, &position));
 *
 * Rows of one batch_table from all waiting writes go out as one INSERT ... SELECT FROM unnest().
 * Statements (write_statement) are sent one by one, in order, after the rows: for rare things. A
 * write is atomic: all of it or nothing. If a batch fails, its writes are retried one by one, so
 * that one bad row harms only its own request; but writes that lost to another node
 * (stored_versions) are cut out, and the others stay together.
 *
 * Errors of write_commit: ERR_CONFLICT (another writer won: reload and retry), ERR_UNAVAILABLE (the
 * database cannot be reached; the write did not happen, unless the connection broke during the
 * commit and the outcome could not be learned in time), or the statement's. */
#ifndef STORAGE_DB_WRITE_H
#define STORAGE_DB_WRITE_H

#include "storage/db/db.h"
#include "storage/db/feed.h"
#include "storage/db/job.h"

/* In SQL a position parameter arrives as "how far back from the head": write
 *   in a batch table:  (SELECT position FROM log_head) - u.back
 *   in a statement:    log_at($n)
 * A statement that must affect a certain number of rows calls expect_rows(): with another number
 * the transaction fails with ERR_CONFLICT. */
#define POSITION(change) ((struct db_param){.type = DB_POSITION, .i = (change)})

enum { BATCH_COLUMNS_MAX = 20 };

struct batch_table {
    struct sql *sql;                         /* parameters: one array a column, in order */
    enum db_type columns[BATCH_COLUMNS_MAX]; /* scalar types; DB_POSITION arrives as int8 "back" */
    int columns_n;
    int order;       /* tables go out in ascending order (enum batch_order) */
    int key_columns; /* > 0: rows equal in the first key_columns columns are merged within a
                        batch (upserts): the later one replaces the earlier, ... */
    void (*merge)(struct db_param *older,
                  const struct db_param *newer); /* ... or this merges them */
    /* Not NULL: the first columns are those of enum batch_version. Gives key and version of what is
     * stored under the keys $1; a row that was built on another version fails. */
    struct sql *stored_versions;
};

enum batch_version { VERSION_KEY, VERSION_BUILT_ON, VERSION_OWN };

enum batch_order { BATCH_ROOMS, BATCH_EVENTS, BATCH_STATE, BATCH_STATE_ENDS, BATCH_OTHER };

struct write;

struct write *write_begin(struct job *job);
/* Reserves the next position for this change; returns its number in this write (1, 2, ...). The
 * change is copied; what it points to must live until write_commit returns. */
int write_change(struct write *w, const struct change *c);
void write_row(struct write *w, const struct batch_table *t, const struct db_param *values,
               size_t n);
void write_statement(struct write *w, struct sql *s, const struct db_param *params, size_t n);
/* For a write with a statement that affects many rows. Large writes (256 KiB, or marked so) are
 * transactions of their own. A batch of other writes is committed before each, so that these wait
 * for one large write at most. Writes to one room stay in their order. */
void write_set_large(struct write *w);
/* The last change; NULL: it has none. */
struct change *write_last_change(struct write *w);
size_t write_changes_n(const struct write *w);
bool write_is_empty(const struct write *w);
/* Discards a write that will not be committed. */
void write_abandon(struct write *w);
struct arena *write_arena(const struct write *w); /* lives until write_commit has returned */

/* Queues the write (in the order of calls) without waiting. A caller does this under the lock that
 * decides the order, releases the lock, and calls write_wait. */
void write_enqueue(struct job *job, struct write *w);
/* Waits until the write is committed AND published. ret_position (may be NULL): of its last change.
 */
const struct err *write_wait(struct job *job, struct write *w, int64_t *ret_position);
/* write_enqueue and write_wait. */
const struct err *write_commit(struct job *job, struct write *w, int64_t *ret_position);

/* ---- the committer itself, for start-up ---- */

struct committer;
struct epochs;

#endif
