/* A load of messages. Closed loop: each client sends its next message when the last one was
 * answered. */
#ifndef BENCH_LOAD_H
#define BENCH_LOAD_H

#include "bench/measure.h"
#include "bench/setup.h"

struct load {
    struct engine *engine;
    char (*rooms)[ID_SIZE]; /* a client sends to the one of its index, modulo rooms_n */
    size_t rooms_n;
    size_t first, clients_n;
    size_t wanted;  /* messages; 0: for so many seconds */
    double seconds; /* afterwards: how long it took */

    /* Results: */
    size_t sent, answered, failed; /* the first failures are written to standard error */
    struct latencies latencies;    /* the caller finishes them */
    int64_t until_us;
};
void load_run(struct load *l);

/* One message with this transaction id, which is part of its text, too. */
void load_send(struct engine *e, struct client *c, const char *room, const char *txn,
               client_reply *on_reply);

#endif
