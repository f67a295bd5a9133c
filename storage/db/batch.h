/* A batch: the rows and statements of many writes, gathered by table and encoded for one
 * transaction. Private to the committer. */
#ifndef STORAGE_DB_BATCH_H
#define STORAGE_DB_BATCH_H

#include "base/map.h"
#include "storage/db/pipeline.h"
#include "storage/db/write.h"

struct write_queue;

struct batch_row {
    const struct batch_table *table;
    struct batch_row *next;
    struct db_param values[];
};

struct statement {
    struct sql *sql;
    struct statement *next;
    size_t params_n;
    struct db_param params[];
};

struct table_rows {
    const struct batch_table *table;
    struct db_param **rows; /* in the batch's arena */
    size_t n, cap;
    struct map by_key; /* of the first indexed_n rows, for tables with key columns */
    size_t indexed_n;
    struct buf columns[BATCH_COLUMNS_MAX]; /* encoded as PostgreSQL arrays */
};

struct batch {
    struct arena *arena;
    struct table_rows *tables; /* sorted by order */
    size_t tables_n, tables_cap;
};

void batch_init(struct batch *b);
void batch_finish(struct batch *b);
void batch_clear(struct batch *b);

/* Adds a write's rows. Its first change gets number first (1-based) within the batch. */
void batch_add_rows(struct batch *b, const struct batch_row *rows, int64_t first);

/* Turns positions into "back from the head" and rows into columns. Call once, after all rows. */
void batch_encode(struct batch *b, int64_t changes_n);

/* What a batch is sent with: who sends it, and what this process knew of the log then. */
struct batch_claim {
    int64_t node, number, epoch, members;
    bool is_read;   /* by other processes */
    bool has_begun; /* by batch_cut_outrun() */
};

/* Queues BEGIN … COMMIT as one pipeline. */
const struct err *batch_send(struct batch *b, struct pipeline *p, const struct write *writes,
                             int64_t changes_n, const struct batch_claim *claim);
enum { BATCH_HEAD_STATEMENT = 1 }; /* BEGIN is 0, if it is sent */

/* ---- writes that were built on another version than the stored one ---- */

/* Begins the transaction, and cuts them out of the list: they would fail all others. What remains
 * is to be sent at once. *ret_begun: only then, there are writes with versions. */
const struct err *batch_cut_outrun(struct batch *b, struct pipeline *p, struct write **writes,
                                   struct write_queue *outrun, bool *ret_begun);

/* The version that a write leaves, and later ones may be built on. */
struct followed {
    bool is_any;
    int64_t key, version;
};
void followed_note(const struct write *w, struct followed *ret);
/* After the write has failed: cuts those that were built on it, directly or not, out of the list,
 * since asking the database about each would take as many transactions. Returns how many. */
size_t followed_cut(struct followed *f, struct write **list, struct write_queue *followers);

#endif
