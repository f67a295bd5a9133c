#include "bench/measure.h"

#include "base/mem.h"

#include <dirent.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

void latencies_add(struct latencies *l, int64_t us)
{
    if (l->n == l->cap) {
        l->cap = l->cap ? l->cap * 2 : 4096;
        l->us = mem_realloc_array(l->us, l->cap, sizeof *l->us);
    }
    l->us[l->n++] = (int32_t)us;
}

static int measure_compare(const void *a, const void *b)
{
    return *(const int32_t *)a - *(const int32_t *)b;
}

double latencies_ms(struct latencies *l, double quantile)
{
    if (!l->n)
        return 0;
    qsort(l->us, l->n, sizeof *l->us, measure_compare);
    size_t i = (size_t)((double)l->n * quantile);
    return l->us[i < l->n ? i : l->n - 1] / 1000.0;
}

void latencies_finish(struct latencies *l)
{
    free(l->us);
    *l = (struct latencies){0};
}

static pid_t postmaster;

void cpu_set_postmaster(pid_t pid)
{
    postmaster = pid;
}

/* utime + stime of a process in seconds, and its parent. */
static double read_stat(const char *pid, pid_t *ret_parent)
{
    char path[64], line[1024];
    snprintf(path, sizeof path, "/proc/%s/stat", pid);
    FILE *f = fopen(path, "r");
    if (!f)
        return 0;
    size_t n = fread(line, 1, sizeof line - 1, f);
    fclose(f);
    line[n] = '\0';
    char *close = strrchr(line, ')');
    if (!close)
        return 0;
    unsigned long user = 0, system = 0;
    sscanf(close + 2, "%*c %d %*d %*d %*d %*d %*u %*u %*u %*u %*u %lu %lu", ret_parent, &user,
           &system);
    return (double)(user + system) / (double)sysconf(_SC_CLK_TCK);
}

struct cpu cpu_read(pid_t server)
{
    struct cpu c = {0};
    char pid[32];
    pid_t parent = 0;
    snprintf(pid, sizeof pid, "%d", (int)server);
    c.server = read_stat(pid, &parent);
    DIR *d = opendir("/proc");
    for (struct dirent *e; d && (e = readdir(d));) {
        if (e->d_name[0] < '0' || e->d_name[0] > '9')
            continue;
        parent = 0;
        double seconds = read_stat(e->d_name, &parent);
        if (postmaster && (parent == postmaster || atoi(e->d_name) == postmaster))
            c.postgres += seconds;
    }
    if (d)
        closedir(d);
    return c;
}

struct cpu cpu_since(pid_t server, struct cpu before)
{
    struct cpu now = cpu_read(server);
    return (struct cpu){now.server - before.server, now.postgres - before.postgres};
}

static long read_status(pid_t pid, const char *field)
{
    char path[64], line[256];
    long kib = 0;
    snprintf(path, sizeof path, "/proc/%d/status", (int)pid);
    FILE *f = fopen(path, "r");
    while (f && fgets(line, sizeof line, f))
        if (strncmp(line, field, strlen(field)) == 0)
            kib = strtol(line + strlen(field) + 1, NULL, 10);
    if (f)
        fclose(f);
    return kib;
}

long resident_kib(pid_t pid)
{
    return read_status(pid, "VmRSS");
}

long resident_peak_kib(pid_t pid)
{
    return read_status(pid, "VmHWM");
}

void reset_peak(pid_t pid)
{
    char path[64];
    snprintf(path, sizeof path, "/proc/%d/clear_refs", (int)pid);
    FILE *f = fopen(path, "w");
    if (f) {
        fputs("5", f);
        fclose(f);
    }
}
