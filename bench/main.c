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
    {"limits", bench_limits},   {"send", bench_send},       {"fanout", bench_fanout},
    {"parked", bench_parked},   {"initial", bench_initial}, {"bigroom", bench_bigroom},
    {"joins", bench_joins},     {"create", bench_create},   {"nodes", bench_nodes},
    {"push", bench_push},       {"morning", bench_morning}, {"reconnect", bench_reconnect},
    {"sliding", bench_sliding},
};

static _Noreturn void usage(void)
{
    fputs("usage: concorde-bench --address HOST:PORT --pid PID [--postmaster PID] [--database URI] "
          "[--other HOST:PORT,PID]... [--gateway PORT] [--seconds N] [--scale N] BENCHMARK...\n",
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

static void main_add_node(struct bench *b, char *text)
{
    char *comma = strchr(text, ',');
    if (!comma)
        usage();
    *comma = '\0';
    b->nodes[++b->nodes_n] = (struct bench_node){text, atoi(comma + 1)};
}

int main(int argc, char **argv)
{
    static const struct option options[] = {
        {"address", required_argument, NULL, 'a'},
        {"pid", required_argument, NULL, 'p'},
        {"database", required_argument, NULL, 'd'},
        {"seconds", required_argument, NULL, 's'},
        {"scale", required_argument, NULL, 'n'},
        {"other", required_argument, NULL, 'o'},
        {"postmaster", required_argument, NULL, 'm'},
        {"gateway", required_argument, NULL, 'g'},
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
        case 'g':
            b.gateway = atoi(optarg);
            break;
        case 'm':
            cpu_set_postmaster(atoi(optarg));
            break;
        case 'o':
            if (b.nodes_n + 1 < BENCH_NODES_MAX)
                main_add_node(&b, optarg);
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
    b.nodes[0] = (struct bench_node){b.address, b.server};
    b.nodes_n++;
    struct rlimit files;
    getrlimit(RLIMIT_NOFILE, &files);
    files.rlim_cur = files.rlim_max;
    setrlimit(RLIMIT_NOFILE, &files);
    for (int i = optind; i < argc; i++)
        main_run(&b, argv[i]);
    return 0;
}
