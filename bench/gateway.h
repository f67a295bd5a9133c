/* A push gateway that accepts all, with a thread for each connection. */
#ifndef BENCH_GATEWAY_H
#define BENCH_GATEWAY_H

void gateway_start(int port); /* on loopback, until the program ends */
long long gateway_received(void);

#endif
