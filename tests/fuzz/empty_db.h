/* A database without rows that takes no writes, so that what reads a request's bytes can be fuzzed
 * up to where it would go on with what is stored. It speaks as much of PostgreSQL's protocol as
 * libpq needs. */
#ifndef TESTS_FUZZ_EMPTY_DB_H
#define TESTS_FUZZ_EMPTY_DB_H

/* What it says to whatever changes rows. */
#define EMPTY_DB_REFUSAL "no rows can be stored here"

/* Starts its threads, which live as long as the process. Returns a connection string. */
const char *empty_db_start(void);

#endif
