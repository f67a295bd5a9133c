/* libpq's pipeline mode for the committer: statements are queued, sent in one round trip, and their
 * results collected. The connection stays in pipeline mode for its whole life. */
#ifndef STORAGE_DB_PIPELINE_H
#define STORAGE_DB_PIPELINE_H

#include "storage/db/db_connection.h"

struct pipeline {
    struct db_connection *connection;
    struct queued {
        struct sql *sql;
        bool prepare; /* a PREPARE goes before it */
    } * queued;
    size_t n, cap;
    int limit_ms;         /* for the next answer, counted from the one before */
    size_t bytes, unsent; /* of all queued statements; of those that libpq may still hold */
    struct db_encoded encoded;
};

/* limit_ms: how long the connection may be silent before it counts as lost; a little longer when
 * much was sent. name: how the server lists the connection (application_name); letters, digits and
 * '-'. settings: further SET commands. */
const struct err *pipeline_open(const char *uri, const char *name, const char *settings,
                                int limit_ms, struct pipeline *ret);
void pipeline_close(struct pipeline *p); /* also if it was never opened (zeroed) */
bool pipeline_is_open(const struct pipeline *p);
/* Has the connection had an error after which it should be replaced? */
bool pipeline_is_late(const struct pipeline *p);
bool pipeline_is_stale(const struct pipeline *p);

/* Queues a statement with encoded or with plain parameters. */
const struct err *pipeline_send_encoded(struct pipeline *p, struct sql *s,
                                        const struct db_encoded *e);
const struct err *pipeline_send(struct pipeline *p, struct sql *s, const struct db_param *params,
                                size_t n);

/* Sends all queued statements and waits for every result. The first error is the outcome; without
 * one, the integers of the first row of statement number `which` are written to ret. Without
 * columns, no row is expected. */
const struct err *pipeline_run(struct pipeline *p, size_t which, int64_t *ret, int columns);
/* The same, and the two integers of each row of that statement, one after the other. */
const struct err *pipeline_run_pairs(struct pipeline *p, size_t which, struct arena *a,
                                     int64_t **ret, size_t *ret_n);

#endif
