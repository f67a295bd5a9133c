#include "server/metrics.h"

#include "base/lock.h"

#include <assert.h>
#include <dirent.h>
#include <stdio.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

enum { SOURCES_MAX = 32 };

static struct {
    pthread_mutex_t mutex; /* no ranked lock: sources take locks of any rank */
    int n;
    struct {
        void (*fn)(void *what, struct buf *out);
        void *what;
    } source[SOURCES_MAX];
    time_t started;
} metrics = {.mutex = PTHREAD_MUTEX_INITIALIZER};

void metrics_add_source(void (*fn)(void *what, struct buf *out), void *what)
{
    pthread_mutex_lock(&metrics.mutex);
    assert(metrics.n < SOURCES_MAX);
    metrics.source[metrics.n].fn = fn;
    metrics.source[metrics.n++].what = what;
    if (!metrics.started)
        metrics.started = time(NULL);
    pthread_mutex_unlock(&metrics.mutex);
}

void metrics_forget_sources(void)
{
    pthread_mutex_lock(&metrics.mutex);
    metrics.n = 0;
    pthread_mutex_unlock(&metrics.mutex);
}

static void add_gauge(struct buf *out, const char *name, const char *kind, const char *help,
                      double v)
{
    buf_printf(out, "# HELP %s %s\n# TYPE %s %s\n%s %.17g\n", name, help, name, kind, name, v);
}

static double resident_bytes(void)
{
    long pages_all, pages = 0;
    FILE *f = fopen("/proc/self/statm", "re");
    if (!f)
        return 0;
    if (fscanf(f, "%ld %ld", &pages_all, &pages) != 2)
        pages = 0;
    fclose(f);
    return (double)pages * (double)sysconf(_SC_PAGESIZE);
}

static double open_files(void)
{
    double n = 0;
    DIR *d = opendir("/proc/self/fd");
    for (struct dirent *one; d && (one = readdir(d));)
        n += one->d_name[0] != '.';
    if (d)
        closedir(d);
    return d ? n - 1 : 0; /* without the one for reading the list */
}

static double files_max(void)
{
    struct rlimit limit = {0};
    getrlimit(RLIMIT_NOFILE, &limit);
    return (double)limit.rlim_cur;
}

static double seconds(struct timeval t)
{
    return (double)t.tv_sec + (double)t.tv_usec / 1e6;
}

static void add_process(struct buf *out)
{
    struct rusage use;
    getrusage(RUSAGE_SELF, &use);
    add_gauge(out, "process_cpu_seconds_total", "counter", "CPU time used.",
              seconds(use.ru_utime) + seconds(use.ru_stime));
    add_gauge(out, "process_resident_memory_bytes", "gauge", "Memory in RAM.", resident_bytes());
    add_gauge(out, "process_start_time_seconds", "gauge", "When the server started.",
              (double)metrics.started);
    add_gauge(out, "process_open_fds", "gauge", "Open files and connections.", open_files());
    add_gauge(out, "process_max_fds", "gauge", "The most that may be open.", files_max());
    buf_printf(out,
               "# HELP concorde_build_info The program that runs.\n"
               "# TYPE concorde_build_info gauge\n"
               "concorde_build_info{version=\"%s\"} 1\n",
               CONCORDE_VERSION);
}

void metrics_gather(struct buf *out)
{
    pthread_mutex_lock(&metrics.mutex);
    add_process(out);
    for (int i = 0; i < metrics.n; i++)
        metrics.source[i].fn(metrics.source[i].what, out);
    pthread_mutex_unlock(&metrics.mutex);
}
