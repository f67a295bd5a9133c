#include "storage/embedded/embedded_process.h"

#include "base/str.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

static void default_signals(void)
{
    for (int s = 1; s < NSIG; s++)
        signal(s, SIG_DFL);
    sigset_t none;
    sigemptyset(&none);
    sigprocmask(SIG_SETMASK, &none, NULL);
}

/* The child's side of fork: only calls that are safe there. */
__attribute__((noreturn)) static void become(const struct cluster *c, const char *const argv[],
                                             bool dies_with_us)
{
    static char *const environment[] = {"PATH=/usr/bin:/bin", "LC_ALL=C", "TZ=UTC", NULL};
    default_signals();
    setsid();
    if (c->other_user && (setgroups(0, NULL) != 0 || setgid(c->gid) != 0 || setuid(c->uid) != 0))
        _exit(126);
    if (dies_with_us)
        prctl(PR_SET_PDEATHSIG, SIGKILL);
    umask(077);
    int in = open("/dev/null", O_RDONLY);
    int out = open(c->log, O_WRONLY | O_CREAT | O_APPEND, 0600);
    if (in < 0 || out < 0 || dup2(in, 0) < 0 || dup2(out, 1) < 0 || dup2(out, 2) < 0 ||
        chdir(c->dir) != 0)
        _exit(126);
    closefrom(3);
    execve(argv[0], (char *const *)(uintptr_t)argv, environment);
    _exit(127);
}

const struct err *cluster_spawn(const struct cluster *c, const char *const argv[],
                                bool dies_with_us, pid_t *ret)
{
    pid_t pid = fork();
    if (pid < 0)
        return err_internal("fork: %s", strerror(errno));
    if (pid == 0)
        become(c, argv, dies_with_us);
    *ret = pid;
    return NULL;
}

const struct err *cluster_run(const struct cluster *c, const char *const argv[])
{
    pid_t pid;
    TRY(cluster_spawn(c, argv, true, &pid));
    int status;
    while (waitpid(pid, &status, 0) < 0)
        if (errno != EINTR)
            return err_internal("waitpid: %s", strerror(errno));
    if (WIFEXITED(status) && WEXITSTATUS(status) == 0)
        return NULL;
    return err(ERR_INTERNAL, "%.60s failed (see %.80s): %.100s", argv[0], c->log,
               cluster_log_tail(c));
}

const char *cluster_log_tail(const struct cluster *c)
{
    char bytes[2048];
    int fd = open(c->log, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return "";
    off_t end = lseek(fd, 0, SEEK_END);
    off_t from = end > (off_t)sizeof bytes ? end - (off_t)sizeof bytes : 0;
    ssize_t n = pread(fd, bytes, sizeof bytes - 1, from);
    close(fd);
    if (n <= 0)
        return "";
    bytes[n] = '\0';
    const char *fatal = NULL; /* the last line with FATAL, else the last line */
    for (const char *p = bytes; (p = strstr(p, "FATAL:")); p++)
        fatal = p;
    for (char *p = bytes + n - 1; p > bytes && *p == '\n'; p--)
        *p = '\0';
    const char *newline = strrchr(bytes, '\n');
    const char *line = fatal ? fatal : newline ? newline + 1 : bytes;
    return arena_memdup(c->arena, line, strcspn(line, "\n"));
}

/* ---- running processes ---- */

/* A process's arguments, each ended by NUL; false if it has ended. */
static bool read_arguments(pid_t pid, char *out, size_t size, size_t *ret_n)
{
    char path[40];
    snprintf(path, sizeof path, "/proc/%d/cmdline", (int)pid);
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return false;
    ssize_t n = read(fd, out, size - 1);
    close(fd);
    if (n <= 0)
        return false;
    out[n] = '\0';
    *ret_n = (size_t)n;
    return true;
}

static bool has_argument(const char *arguments, size_t n, const char *wanted)
{
    for (const char *p = arguments; p < arguments + n; p += strlen(p) + 1)
        if (strcmp(p, wanted) == 0)
            return true;
    return false;
}

/* A postmaster, and a child that it has just forked, have the data directory among their arguments;
 * other children have the cluster's name in their title. (Any user may read command lines, unlike
 * /proc/PID/cwd.) */
static bool is_of_cluster(const struct cluster *c, pid_t pid)
{
    char arguments[4096], title[80];
    size_t n;
    if (!read_arguments(pid, arguments, sizeof arguments, &n))
        return false;
    snprintf(title, sizeof title, "postgres: %s: ", c->name);
    return strncmp(arguments, title, strlen(title)) == 0 || has_argument(arguments, n, c->pgdata);
}

/* Reads postmaster.pid, or a socket's lock file: its first line is the postmaster, its eighth the
 * state. */
static pid_t read_pid_file(const char *path, char *ret_state, size_t size)
{
    char line[1024];
    FILE *f = fopen(path, "re");
    if (!f)
        return 0;
    pid_t pid = 0;
    *ret_state = '\0';
    for (int i = 1; i <= 8 && fgets(line, sizeof line, f); i++) {
        if (i == 1)
            pid = (pid_t)atoi(line);
        else if (i == 8)
            snprintf(ret_state, size, "%.*s", (int)strcspn(line, " \n"), line);
    }
    fclose(f);
    return pid;
}

pid_t cluster_live_postmaster(const struct cluster *c, enum postmaster_state *ret_state)
{
    char state[16];
    pid_t pid = read_pid_file(c->pid_file, state, sizeof state);
    if (pid <= 0 || !is_of_cluster(c, pid))
        return 0;
    *ret_state = strcmp(state, "ready") == 0      ? POSTMASTER_READY
                 : strcmp(state, "stopping") == 0 ? POSTMASTER_STOPPING
                                                  : POSTMASTER_STARTING;
    return pid;
}

/* Has it ended, but its parent has not waited for it yet? */
static bool is_zombie(pid_t pid)
{
    char path[40], line[512];
    snprintf(path, sizeof path, "/proc/%d/stat", (int)pid);
    FILE *f = fopen(path, "re");
    if (!f)
        return false;
    size_t n = fread(line, 1, sizeof line - 1, f);
    fclose(f);
    line[n] = '\0';
    const char *after_name = strrchr(line, ')');
    return after_name && strncmp(after_name, ") Z", 3) == 0;
}

static bool is_another_program(const struct cluster *c, pid_t pid)
{
    char arguments[4096];
    size_t n;
    return read_arguments(pid, arguments, sizeof arguments, &n) && !is_of_cluster(c, pid);
}

void cluster_remove_stale_pid_files(const struct cluster *c)
{
    const char *files[] = {c->pid_file, c->socket_lock};
    for (int i = 0; i < 2; i++) {
        char state[16];
        pid_t pid = read_pid_file(files[i], state, sizeof state);
        if (pid > 0 && (is_zombie(pid) || is_another_program(c, pid)))
            unlink(files[i]);
    }
}

size_t cluster_signal_all(const struct cluster *c, int signal_number)
{
    size_t n = 0;
    DIR *proc = opendir("/proc");
    for (struct dirent *d; proc && (d = readdir(proc));) {
        pid_t pid = (pid_t)atoi(d->d_name);
        if (pid > 0 && pid != getpid() && is_of_cluster(c, pid) && kill(pid, signal_number) == 0)
            n++;
    }
    if (proc)
        closedir(proc);
    return n;
}
