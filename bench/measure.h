/* Figures of a benchmark: latencies, and the CPU time of the server and its database. */
#ifndef BENCH_MEASURE_H
#define BENCH_MEASURE_H

#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

struct latencies {
    int32_t *us;
    size_t n, cap;
};
void latencies_add(struct latencies *l, int64_t us);
double latencies_ms(struct latencies *l, double quantile); /* sorts */
void latencies_finish(struct latencies *l);

/* CPU seconds so far of one process, and of the processes named `postgres`, except those in `not`.
 */
struct cpu {
    double server, postgres;
};
void cpu_set_postmaster(pid_t pid);
struct cpu cpu_read(pid_t server);
struct cpu cpu_since(pid_t server, struct cpu before);

long resident_kib(pid_t pid);      /* VmRSS */
long resident_peak_kib(pid_t pid); /* VmHWM, since reset_peak */
void reset_peak(pid_t pid);

#endif
