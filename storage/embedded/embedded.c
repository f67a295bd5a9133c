#include "storage/embedded/embedded.h"

#include "base/clock.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/str.h"
#include "base/thread.h"
#include "storage/embedded/embedded_process.h"
#include "storage/embedded/embedded_roles.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <sys/eventfd.h>
#include <sys/file.h>
#include <sys/pidfd.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

enum {
    POLL_MS = 5,
    START_LIMIT_MS = 600 * 1000, /* crash recovery may have much to replay */
    ORPHANS_PATIENCE_MS = 500,   /* then they get SIGQUIT, and after as long again SIGKILL */
    STOP_PATIENCE_MS = 60 * 1000,
    LOG_BYTES_MAX = 16 << 20
};

struct embedded {
    struct arena *arena;
    struct cluster cluster;
    int lock_fd; /* held as long as this process uses the cluster */
    int stop_fd; /* eventfd: embedded_stop was called */
    pthread_t supervisor;
    bool supervised;
    /* The postmaster; after the start used by the supervisor only. */
    pid_t pid;
    int pid_fd; /* readable when it has ended; -1: none */
    bool is_child;
};

/* ---- the postmaster ---- */

enum seen { SEEN_NOTHING, SEEN_END, SEEN_STOP };

/* Waits for the postmaster's end or for embedded_stop. timeout_ms -1: for ever. */
static enum seen embedded_watch(const struct embedded *e, int timeout_ms)
{
    struct pollfd p[] = {{.fd = e->pid_fd, .events = POLLIN}, {.fd = e->stop_fd, .events = POLLIN}};
    while (poll(p, 2, timeout_ms) < 0 && errno == EINTR)
        ;
    return p[0].revents ? SEEN_END : p[1].revents ? SEEN_STOP : SEEN_NOTHING;
}

static void forget_postmaster(struct embedded *e)
{
    if (e->pid_fd >= 0)
        close(e->pid_fd);
    if (e->is_child)
        while (waitpid(e->pid, NULL, 0) < 0 && errno == EINTR)
            ;
    e->pid_fd = -1;
    e->is_child = false;
}

static const struct err *hold(struct embedded *e, pid_t pid, bool is_child)
{
    e->pid = pid;
    e->pid_fd = pidfd_open(pid, 0);
    if (e->pid_fd < 0)
        return err_internal("pidfd_open: %s", strerror(errno));
    e->is_child = is_child;
    return NULL;
}

/* Children of a killed postmaster end soon, but a busy one may take some time, and no postmaster
 * can start before all have ended. */
static void wait_for_orphans(struct embedded *e)
{
    enum postmaster_state state;
    int64_t start = mono_unmoved_ms(), signalled = 0;
    while (cluster_signal_all(&e->cluster, 0) > 0 &&
           !cluster_live_postmaster(&e->cluster, &state)) {
        int64_t waited = mono_unmoved_ms() - start;
        if (waited > ORPHANS_PATIENCE_MS && signalled < waited / ORPHANS_PATIENCE_MS) {
            signalled = waited / ORPHANS_PATIENCE_MS;
            cluster_signal_all(&e->cluster, signalled == 1 ? SIGQUIT : SIGKILL);
        }
        if (embedded_watch(e, POLL_MS) == SEEN_STOP)
            return;
    }
}

static const struct err *spawn_postmaster(struct embedded *e)
{
    const struct cluster *c = &e->cluster;
    char postgres[4096];
    snprintf(postgres, sizeof postgres, "%s/postgres", c->bin);
    cluster_remove_stale_pid_files(c);
    const char *argv[] = {postgres, "-D", c->pgdata, NULL};
    pid_t pid;
    TRY(cluster_spawn(c, argv, false, &pid));
    return hold(e, pid, true);
}

/* Takes over a running postmaster, or starts one. */
static const struct err *get_postmaster(struct embedded *e)
{
    enum postmaster_state state;
    wait_for_orphans(e);
    pid_t pid = cluster_live_postmaster(&e->cluster, &state);
    if (!pid)
        return spawn_postmaster(e);
    return hold(e, pid, false);
}

static const struct err *failed_to_start(const struct embedded *e)
{
    return err(ERR_INTERNAL, "PostgreSQL does not start (see %.100s): %.100s", e->cluster.log,
               cluster_log_tail(&e->cluster));
}

/* *ret_ready: false when it ended, or when embedded_stop was called. */
static const struct err *wait_until_ready(struct embedded *e, bool *ret_ready)
{
    int64_t deadline = mono_unmoved_ms() + START_LIMIT_MS;
    while (mono_unmoved_ms() < deadline) {
        enum postmaster_state state;
        if (cluster_live_postmaster(&e->cluster, &state) == e->pid && state == POSTMASTER_READY) {
            *ret_ready = true;
            return NULL;
        }
        enum seen seen = embedded_watch(e, POLL_MS);
        if (seen == SEEN_NOTHING)
            continue;
        if (seen == SEEN_END)
            forget_postmaster(e);
        *ret_ready = false;
        return NULL;
    }
    return failed_to_start(e);
}

/* Waits until it is ready. One that was taken over may be about to stop, and a new one may fail
 * because of processes of the previous one, so this is tried a few times. */
static const struct err *bring_up(struct embedded *e)
{
    for (int attempt = 0; attempt < 5; attempt++) {
        bool ready;
        TRY(get_postmaster(e));
        TRY(wait_until_ready(e, &ready));
        if (ready)
            return NULL;
        if (embedded_watch(e, attempt * 20) == SEEN_STOP)
            break;
    }
    return failed_to_start(e);
}

static bool wait_for_end(const struct embedded *e, int limit_ms)
{
    struct pollfd p = {.fd = e->pid_fd, .events = POLLIN};
    int64_t deadline = mono_unmoved_ms() + limit_ms;
    for (int64_t left; (left = deadline - mono_unmoved_ms()) > 0;)
        if (poll(&p, 1, (int)left) > 0)
            return true;
    return false;
}

/* Fast shutdown; when it takes too long, immediate; at last by force. */
static void end_postmaster(struct embedded *e)
{
    static const int signals[] = {SIGINT, SIGQUIT, SIGKILL};
    if (e->pid_fd < 0)
        return;
    for (size_t i = 0; i < sizeof signals / sizeof *signals; i++) {
        pidfd_send_signal(e->pid_fd, signals[i], NULL, 0);
        if (wait_for_end(e, STOP_PATIENCE_MS))
            break;
    }
    forget_postmaster(e);
}

/* ---- the supervisor ---- */

static void restart(struct embedded *e)
{
    log_warn("PostgreSQL has ended unexpectedly; starting it again");
    int64_t start = mono_unmoved_ms();
    for (int pause_ms = 100;; pause_ms = pause_ms < 5000 ? pause_ms * 2 : 10000) {
        const struct err *error = bring_up(e);
        if (!error) {
            log_info("PostgreSQL is ready again after %lld ms",
                     (long long)(mono_unmoved_ms() - start));
            return;
        }
        if (embedded_watch(e, pause_ms) == SEEN_STOP)
            return;
        log_err(LOG_ERROR, "starting PostgreSQL again", error);
        end_postmaster(e);
    }
}

static void *supervise(void *what)
{
    struct embedded *e = what;
    while (embedded_watch(e, -1) == SEEN_END) {
        forget_postmaster(e);
        restart(e);
    }
    end_postmaster(e);
    return NULL;
}

static const struct err *start_supervisor(struct embedded *e)
{
    sigset_t all, before;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before); /* signals are for the threads that expect them */
    e->supervised = thread_start(&e->supervisor, "db-supervisor", supervise, e);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    return e->supervised ? NULL : err_internal("cannot start the thread that watches PostgreSQL");
}

/* ---- start and stop ---- */

/* One server a data directory: a second one would stop the first one's database when it ends. */
static const struct err *embedded_take_lock(struct embedded *e)
{
    const char *path = arena_printf(e->arena, "%s/lock", e->cluster.dir);
    e->lock_fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
    if (e->lock_fd < 0)
        return err(ERR_INTERNAL, "Cannot open %.150s: %s", path, strerror(errno));
    if (e->cluster.other_user && fchown(e->lock_fd, e->cluster.uid, e->cluster.gid) != 0)
        return err(ERR_INTERNAL, "Cannot change the owner of %.150s: %s", path, strerror(errno));
    if (flock(e->lock_fd, LOCK_EX | LOCK_NB) != 0)
        return err(ERR_INTERNAL, "Another server is using %.150s", e->cluster.dir);
    return NULL;
}

static void rotate_log(const struct cluster *c)
{
    struct stat s;
    if (stat(c->log, &s) == 0 && s.st_size > LOG_BYTES_MAX)
        rename(c->log, arena_printf(c->arena, "%s.old", c->log));
}

static const struct err *embedded_embedded_start(struct embedded *e, const char *data_dir)
{
    TRY(cluster_locate(e->arena, data_dir, &e->cluster));
    TRY(embedded_take_lock(e));
    rotate_log(&e->cluster);
    TRY(cluster_create_if_missing(&e->cluster));
    TRY(cluster_configure(&e->cluster));
    TRY(bring_up(e));
    TRY(embedded_prepare_roles(&e->cluster));
    return start_supervisor(e);
}

const struct err *embedded_start(const char *data_dir, struct embedded **ret, const char **ret_uri)
{
    struct embedded *e = mem_zalloc(sizeof *e);
    e->arena = arena_create();
    e->lock_fd = e->pid_fd = -1;
    e->stop_fd = eventfd(0, EFD_CLOEXEC);
    const struct err *error = embedded_embedded_start(e, data_dir);
    if (error) {
        embedded_stop(e);
        return error;
    }
    *ret = e;
    *ret_uri = e->cluster.uri;
    return NULL;
}

bool embedded_exists(const char *data_dir)
{
    buf_auto struct buf path = {0};
    buf_printf(&path, "%s/postgres/data/PG_VERSION", data_dir);
    return access(path.p, F_OK) == 0 || errno == EACCES;
}

void embedded_stop(struct embedded *e)
{
    if (!e)
        return;
    if (e->supervised) {
        eventfd_write(e->stop_fd, 1);
        pthread_join(e->supervisor, NULL);
    } else {
        end_postmaster(e);
    }
    if (e->lock_fd >= 0)
        close(e->lock_fd);
    close(e->stop_fd);
    arena_destroy(e->arena);
    free(e);
}
