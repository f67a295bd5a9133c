/* A database without rows that accepts no writes, so that request handlers can be fuzzed up to the
 * point where they need stored rows. It implements as much of PostgreSQL's protocol as libpq
 * needs. */
#ifndef TESTS_FUZZ_EMPTY_DB_H
#define TESTS_FUZZ_EMPTY_DB_H

/* Its error for statements that change rows. */
#define EMPTY_DB_REFUSAL "no rows can be stored here"

/* Starts its threads, which live as long as the process. Returns a connection string. */
const char *empty_db_start(void);

#endif
