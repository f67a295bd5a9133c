/* PostgreSQL: a pool of connections, prepared statements, typed parameters and results.
 *
 * SQL is written as a string above the function that runs it, and only in storage/:
 *
 *     SQL(alias_get_sql, "SELECT room_id FROM room_aliases WHERE alias = $1")
 *     const struct err *alias_get(struct tx *tx, const char *alias, const char **ret_room)
 *     {
 *         return db_one(tx, &alias_get_sql, P(TEXT(alias)), NULL, R(TEXT_OUT(ret_room)));
 *     }
 *
 * Results live in the arena of the tx. Errors: ERR_UNAVAILABLE (503 with Retry-After) while the
 * database cannot be reached, ERR_CONFLICT for unique violations and serialization failures,
 * ERR_TOO_SLOW for statements over their time limit, ERR_INTERNAL with the cause for the rest. */
#ifndef STORAGE_DB_DB_H
#define STORAGE_DB_DB_H

#include "base/arena.h"
#include "base/str.h"

struct db;

/* Did the database report a full disk in that time? Reads still succeed, so nothing else would show
 * it. */
bool db_disk_is_full(int64_t within_ms);

/* For how long the database has left a statement unanswered; 0: no statement waits. */
int64_t db_silence_ms(struct db *db);

/* Sets the time limit of each statement of this thread and returns the limit that it had. The limit
 * is enforced on this side, since a stopped database answers nothing. A thread begins with 35
 * seconds, more than PostgreSQL's own limit. A late statement fails with ERR_UNAVAILABLE. */
int db_limit_statements(int limit_ms);

/* Is it a libpq connection string? */
bool db_uri_is_valid(const char *uri);

/* uri: a libpq connection string. connections: the most the pool opens. Connects once, to fail
 * early. */
const struct err *db_open(const char *uri, int connections, struct db **ret);
/* Reads of transactions that may_lag go to this standby (storage/nodes/replica.h). It need not be
 * reachable. */
const struct err *db_use_replica(struct db *db, const char *uri, int connections);
void db_close(struct db *db);
void db_add_metrics(struct db *db, struct buf *out);
/* How many statements ran so far, without those of the committer. Statements that share a round
 * trip are counted one by one. */
int64_t db_statements(struct db *db);

/* ---- statements ---- */

struct sql {
    const char *text;
    const char *name;
    int id; /* set at start-up: index of the prepared statement on every connection */
    struct sql *next;
};

void db_register_sql(struct sql *s);
const struct sql *
db_registered_sql(void); /* the newest, follow ->next; for the test that prepares all */

#define SQL(name, statement)                                                                       \
    static struct sql name = {statement, #name, 0, NULL};                                          \
    __attribute__((constructor)) static void name##_register_(void)                                \
    {                                                                                              \
        db_register_sql(&name);                                                                    \
    }

/* ---- parameters and results ---- */

enum db_type {
    DB_INT8,
    DB_INT4,
    DB_BOOL,
    DB_TEXT,
    DB_BYTES,
    DB_DOUBLE,
    DB_INT8_ARRAY,
    DB_TEXT_ARRAY,
    DB_BYTES_ARRAY,
    DB_POSITION /* storage/db/write.h only */
};

struct db_param {
    enum db_type type;
    bool null;
    int64_t i;
    double d;
    struct str s;      /* TEXT, BYTES */
    const void *array; /* int64_t[], const char *[] or struct str[] */
    size_t n;
};

#define INT(v) ((struct db_param){.type = DB_INT8, .i = (v)})
#define INT4(v) ((struct db_param){.type = DB_INT4, .i = (v)})
#define BOOL(v) ((struct db_param){.type = DB_BOOL, .i = (v)})
#define DOUBLE(v) ((struct db_param){.type = DB_DOUBLE, .d = (v)})
#define TEXT(v) db_text_param_(v)   /* const char *; NULL is SQL NULL */
#define BYTES(v) db_bytes_param_(v) /* struct str; p == NULL is SQL NULL */
#define INT_OR_NULL(v, is_null) ((struct db_param){.type = DB_INT8, .i = (v), .null = (is_null)})
#define INT_ARRAY(v, count) ((struct db_param){.type = DB_INT8_ARRAY, .array = (v), .n = (count)})
#define TEXT_ARRAY(v, count) ((struct db_param){.type = DB_TEXT_ARRAY, .array = (v), .n = (count)})
#define BYTES_ARRAY(v, count)                                                                      \
    ((struct db_param){.type = DB_BYTES_ARRAY, .array = (v), .n = (count)})

static inline struct db_param db_text_param_(const char *v)
{
    return (struct db_param){.type = DB_TEXT, .null = !v, .s = str_of(v)};
}
static inline struct db_param db_bytes_param_(struct str v)
{
    return (struct db_param){.type = DB_BYTES, .null = !v.p, .s = v};
}

/* The parameter list of a call. */
#define P(...)                                                                                     \
    (const struct db_param[]){__VA_ARGS__},                                                        \
        sizeof((const struct db_param[]){__VA_ARGS__}) / sizeof(struct db_param)
#define NO_PARAMS NULL, 0

struct db_out {
    enum db_type type;
    void *into;
};
#define INT_OUT(p)                                                                                 \
    ((struct db_out){DB_INT8, (int64_t *){p}}) /* int2, int4 and int8; NULL gives 0 */
#define BOOL_OUT(p) ((struct db_out){DB_BOOL, (bool *){p}})
#define TEXT_OUT(p) ((struct db_out){DB_TEXT, (const char **){p}})  /* NULL gives NULL */
#define BYTES_OUT(p) ((struct db_out){DB_BYTES, (struct str *){p}}) /* NULL gives p == NULL */
#define DOUBLE_OUT(p) ((struct db_out){DB_DOUBLE, (double *){p}})
#define ENUM_OUT(p) ((struct db_out){DB_INT4, _Generic((p), int * : (p), unsigned * : (p))})
#define R(...)                                                                                     \
    (const struct db_out[]){__VA_ARGS__},                                                          \
        sizeof((const struct db_out[]){__VA_ARGS__}) / sizeof(struct db_out)

/* ---- running ---- */

/* Where statements run. Outside of tx_begin each statement is its own transaction, on a connection
 * that the pool lends for that time; tx_begin holds a connection until the transaction ends. When a
 * statement fails in a transaction, all of it is rolled back at once and later statements fail too.
 *
 * When the database restarts, idle connections are replaced; a statement that loses its connection
 * outside of a transaction is repeated once if its text begins with SELECT. */
/* A state of the primary: up to there its WAL was written, in that epoch. */
struct replica_need {
    int64_t wal, epoch;
};

struct tx {
    struct db *db;
    struct arena *arena;
    struct db_connection *connection; /* NULL outside of a transaction */
    bool in_transaction;
    int64_t statements; /* how many it has run, as db_statements() counts them */
    /* Its statements only read, and nothing follows the log from what they return: a replica may
     * answer them, outside of transactions. */
    bool may_lag;
    struct replica_need need; /* what the replica must have; 0: what the primary has now */
};

void tx_init(struct tx *tx, struct db *db, struct arena *arena);
void tx_finish(struct tx *tx); /* rolls back what was not committed; gives the connection back */

const struct err *tx_begin(struct tx *tx);
const struct err *tx_commit(struct tx *tx);
void tx_rollback(struct tx *tx);

/* Runs a statement for its effect. ret_rows (may be NULL): rows affected. */
const struct err *db_exec(struct tx *tx, struct sql *s, const struct db_param *params,
                          size_t params_n, int64_t *ret_rows);

/* One row or none. ret_found may be NULL; without a row the outputs are zero / NULL. */
const struct err *db_one(struct tx *tx, struct sql *s, const struct db_param *params,
                         size_t params_n, bool *ret_found, const struct db_out *outs,
                         size_t outs_n);

/* Any number of rows:
 *     struct rows rows;
 *     TRY(db_query(tx, &sql, P(INT(room)), &rows));
 *     while (rows_next(&rows)) { row_int(&rows, 0); row_text(&rows, 1); }
 * The rows stay in memory until the arena is reset: bound them by LIMIT. */
struct rows {
    void *result;
    struct arena *arena;
    int row, n;
};
const struct err *db_query(struct tx *tx, struct sql *s, const struct db_param *params,
                           size_t params_n, struct rows *ret);
bool rows_next(struct rows *r);
void rows_finish(struct rows *r); /* frees them before the arena does; for large results */
bool row_is_null(const struct rows *r, int column);
int64_t row_int(const struct rows *r, int column); /* int2, int4, int8; NULL gives 0 */
bool row_bool(const struct rows *r, int column);
double row_double(const struct rows *r, int column);
const char *row_text(const struct rows *r, int column); /* NULL gives NULL; in the arena's result */
struct str row_bytes(const struct rows *r, int column);
/* One-dimensional arrays of text or bytea (elements that are NULL have p == NULL), of integers.
 * In the arena; a NULL array is empty. Texts end in NUL. */
const struct str *row_bytes_array(const struct rows *r, int column, size_t *ret_n);
const int64_t *row_int_array(const struct rows *r, int column, size_t *ret_n);

/* All rows as an array in the arena. `one` is what the outputs set for each row; what else it holds
 * is the same in all:
 *     struct device one = {0};
 *     return db_list(tx, &devices_sql, P(INT(user)), R(INT_OUT(&one.id), TEXT_OUT(&one.name)),
 *                    LIST(one, ret, ret_n));
 * Texts and bytes are part of the result, which stays until the arena is reset. */
#define LIST(one, ret, ret_n)                                                                      \
    &(one), sizeof(one), (void *)(1 ? (ret) : (const __typeof__(one) **)NULL), (ret_n)
const struct err *db_list(struct tx *tx, struct sql *s, const struct db_param *params,
                          size_t params_n, const struct db_out *outs, size_t outs_n, void *one,
                          size_t size, void *ret_list, size_t *ret_n);
/* The same of rows that were queried otherwise. */
void rows_list(struct rows *r, const struct db_out *outs, size_t outs_n, void *one, size_t size,
               void *ret_list, size_t *ret_n);

/* The first column of all rows, in the arena. */
const struct err *db_ints(struct tx *tx, struct sql *s, const struct db_param *params,
                          size_t params_n, const int64_t **ret, size_t *ret_n);

/* Several statements in one round trip: queue them, then run; each result in turn.
 * Used by reads that belong together (libpq pipeline mode). */
struct db_batch_query {
    struct sql *sql;
    const struct db_param *params;
    size_t params_n;
    struct rows *ret;
};
const struct err *db_query_many(struct tx *tx, const struct db_batch_query *queries, size_t n);

#endif
