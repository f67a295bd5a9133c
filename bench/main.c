/* concorde-bench: runs the benchmarks against a server that bench/run.sh has started. */
#include "bench/bench.h"

#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>

static const struct {
    const char *name;
    void (*run)(const struct bench *b);
} benchmarks[] = {
    {"limits", bench_limits}, {"send", bench_send},       {"fanout", bench_fanout},
    {"parked", bench_parked}, {"initial", bench_initial}, {"bigroom", bench_bigroom},
    {"joins", bench_joins},   {"create", bench_create},
};

static _Noreturn void usage(void)
{
    fputs("usage: concorde-bench --address HOST:PORT --pid PID [--postmaster PID] [--database URI] "
          "[--seconds N] "
          "[--scale N] BENCHMARK...\n",
          stderr);
    exit(2);
}

static void main_run(const struct bench *b, const char *name)
{
    for (size_t i = 0; i < sizeof benchmarks / sizeof *benchmarks; i++)
        if (strcmp(benchmarks[i].name, name) == 0) {
            benchmarks[i].run(b);
            fflush(stdout);
            return;
        }
    usage();
}

int main(int argc, char **argv)
{
    static const struct option options[] = {
        {"address", required_argument, NULL, 'a'},
        {"pid", required_argument, NULL, 'p'},
        {"database", required_argument, NULL, 'd'},
        {"seconds", required_argument, NULL, 's'},
        {"scale", required_argument, NULL, 'n'},
        {"postmaster", required_argument, NULL, 'm'},
        {0},
    };
    struct bench b = {.seconds = 10};
    for (int c; (c = getopt_long(argc, argv, "", options, NULL)) != -1;) {
        switch (c) {
        case 'a':
            b.address = optarg;
            break;
        case 'p':
            b.server = atoi(optarg);
            break;
        case 'm':
            cpu_set_postmaster(atoi(optarg));
            break;
        case 'd':
            b.database = optarg;
            break;
        case 's':
            b.seconds = atof(optarg);
            break;
        case 'n':
            b.scale = strtoul(optarg, NULL, 10);
            break;
        default:
            usage();
        }
    }
    if (!b.address || optind == argc)
        usage();
    struct rlimit files;
    getrlimit(RLIMIT_NOFILE, &files);
    files.rlim_cur = files.rlim_max;
    setrlimit(RLIMIT_NOFILE, &files);
    for (int i = optind; i < argc; i++)
        main_run(&b, argv[i]);
    return 0;
}
