/* The benchmarks: each prints rows of `| name | figure | ... |` to standard output. */
#ifndef BENCH_BENCH_H
#define BENCH_BENCH_H

#include "bench/measure.h"
#include "bench/setup.h"

enum { BENCH_NODES_MAX = 4 };

struct bench_node {
    const char *address;
    pid_t pid;
};

struct bench {
    const char *address; /* of the server, host:port */
    pid_t server;
    const char *database; /* libpq URI, for row counts and the limits; NULL: both are left out */
    double seconds;       /* how long a timed part lasts */
    struct bench_node nodes[BENCH_NODES_MAX]; /* of the server; the first is the one above */
    size_t nodes_n;
    size_t scale; /* members, connections: 0 for each benchmark's own */
    int gateway;  /* port of 127.0.0.1 to which the server sends pushes of the app "bench" */
};

void bench_send(const struct bench *b);    /* 1: one client, 10 clients, 64 clients over 32 rooms */
void bench_fanout(const struct bench *b);  /* 2: 1,000 members parked, one message a second */
void bench_parked(const struct bench *b);  /* 3: 10,000 idle /sync */
void bench_initial(const struct bench *b); /* 4: 300 rooms of 300 members */
void bench_bigroom(const struct bench *b); /* 5: 10,000 members */
void bench_joins(const struct bench *b);   /* 6: a crowd joins one room, and leaves it */
void bench_create(const struct bench *b);  /* 7: new rooms */
void bench_nodes(const struct bench *b);   /* 8: several nodes on one database */
void bench_push(const struct bench *b);    /* 9: one message to 3,000 phones */
void bench_morning(const struct bench *b); /* 10: all accounts come online within a minute */
void bench_reconnect(const struct bench *b); /* 11: parked phones that lose their connections */
void bench_sliding(const struct bench *b);   /* 12: a user in 3,000 rooms */
void bench_limits(const struct bench *b);    /* the limits of the machine */

#endif
