/* What concorde-thumbnail can no longer do: each attempt is made by a child of its own. Landlock
 * and the system call filter are tried apart from each other, so that neither hides what the other
 * lets pass. */
#include "check.h"

#include "server/media/thumbnail_confine.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/landlock.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ipc.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

/* Newer than the headers that this may be built with; the same on every architecture. */
enum { CALL_FCHMODAT2 = 452, CALL_SETXATTRAT = 463, CALL_MSEAL = 462 };

enum { DONE = 200, KILLED = -1 }; /* else the errno of what failed */

static char folder[] = "/tmp/concorde-confine-XXXXXX", file[64], other[64];

static void make_file(void)
{
    unlink(other);
    FILE *f = fopen(file, "w");
    assert_true(f && fputs("secret", f) > 0 && fclose(f) == 0 && chmod(file, 0600) == 0);
}

static int make_folder(void **state)
{
    if (!mkdtemp(folder) || chmod(folder, 0755))
        return -1;
    snprintf(file, sizeof file, "%s/key", folder);
    snprintf(other, sizeof other, "%s/other", folder);
    return 0;
}

static int remove_folder(void **state)
{
    unlink(file);
    unlink(other);
    return rmdir(folder);
}

/* How the attempt of a confined child went. */
static int in_child(bool (*confine)(void), long (*attempt)(const void *), const void *p)
{
    int status = 0;
    pid_t pid = fork();
    if (pid == 0) {
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        if (confine && !confine())
            _exit(DONE + 1);
        _exit(attempt(p) < 0 ? errno : DONE);
    }
    assert_true(pid > 0 && waitpid(pid, &status, 0) == pid);
    if (WIFSIGNALED(status) && WTERMSIG(status) == SIGSYS)
        return KILLED;
    if (!WIFEXITED(status))
        fail_msg("ended by signal %d", WTERMSIG(status));
    return WEXITSTATUS(status);
}

static void check_end(const char *what, int got, int wanted)
{
    if (got != wanted)
        fail_msg("%s: %d (%s) instead of %d", what, got, got > 0 ? strerror(got) : "", wanted);
}

/* ---- system calls ---- */

struct call {
    const char *what;
    long number;
    long args[6];
};

static long make_call(const void *p)
{
    const struct call *c = p;
    const long *a = c->args;
    return syscall(c->number, a[0], a[1], a[2], a[3], a[4], a[5]);
}

#define P(x) ((long)(x))
#define CALL(name, ...)                                                                            \
    {                                                                                              \
#name, SYS_##name,                                                                         \
        {                                                                                          \
            __VA_ARGS__                                                                            \
        }                                                                                          \
    }

/* Without a filter those that do no lasting harm would succeed. */
static const struct call deadly[] = {
    /* files by their names */
    CALL(truncate, P(file), 0),
    CALL(renameat2, AT_FDCWD, P(file), AT_FDCWD, P(other)),
    CALL(unlinkat, AT_FDCWD, P(file)),
    CALL(linkat, AT_FDCWD, P(file), AT_FDCWD, P(other)),
    CALL(symlinkat, P(file), AT_FDCWD, P(other)),
    CALL(mkdirat, AT_FDCWD, P(other), 0700),
    CALL(mknodat, AT_FDCWD, P(other), S_IFREG | 0600),
    CALL(fchmodat, AT_FDCWD, P(file), 0666),
    {"fchmodat2", CALL_FCHMODAT2, {AT_FDCWD, P(file), 0666}},
    CALL(fchownat, AT_FDCWD, P(file), 1, 1),
    CALL(utimensat, AT_FDCWD, P(file)),
    CALL(setxattr, P(file), P("user.a"), P("b"), 1),
    CALL(lsetxattr, P(file), P("user.a"), P("b"), 1),
    CALL(removexattr, P(file), P("user.a")),
    CALL(getxattr, P(file), P("user.a")),
    {"setxattrat", CALL_SETXATTRAT, {AT_FDCWD, P(file)}},
    CALL(statfs, P("/"), P(other)),
    CALL(chdir, P("/")),
    CALL(chroot, P("/")),
    CALL(faccessat, AT_FDCWD, P(file)),
    CALL(getcwd, P(other), sizeof other),
    CALL(openat2, AT_FDCWD, P(file)),
    CALL(open_by_handle_at, AT_FDCWD),
    CALL(name_to_handle_at, AT_FDCWD, P(file)),
    CALL(open_tree, AT_FDCWD, P("/")),
    CALL(inotify_init1),
    CALL(fanotify_init),
    /* what it holds, beyond reading and writing */
    CALL(ftruncate, 2),
    CALL(fchmod, 2, 0666),
    CALL(fchown, 2, 1, 1),
    CALL(fsetxattr, 2, P("user.a"), P("b"), 1),
    CALL(fcntl, 2, F_SETOWN, 1),
    CALL(sendfile, 1, 0, 0, 1),
    CALL(splice, 0, 0, 1, 0, 1),
    CALL(getdents64, 0, P(other), sizeof other),
    /* the network */
    CALL(socket, AF_INET, SOCK_STREAM),
    CALL(socketpair, AF_UNIX, SOCK_STREAM, 0, P(other)),
    CALL(connect, 0, P(other), sizeof(struct sockaddr_in)),
    CALL(bind, 0, P(other), sizeof(struct sockaddr_in)),
    CALL(listen, 0),
    CALL(accept4, 0),
    CALL(sendto, 0, P(file), 1),
    CALL(sendmsg, 0),
    CALL(recvmsg, 0),
    /* other processes */
    CALL(kill, 1),
    CALL(tkill, 1),
    CALL(tgkill, 1, 1),
    CALL(rt_sigqueueinfo, 1),
    CALL(rt_tgsigqueueinfo, 1, 1),
    CALL(pidfd_open, 1),
    CALL(pidfd_send_signal, 0),
    CALL(pidfd_getfd, 0),
    CALL(ptrace, 0),
    CALL(process_vm_readv, 1),
    CALL(process_vm_writev, 1),
    CALL(process_madvise, 0),
    CALL(kcmp, 1, 1),
    CALL(setpriority, PRIO_PROCESS),
    CALL(sched_setaffinity, 1),
    CALL(sched_setscheduler, 1),
    CALL(prlimit64, 0, RLIMIT_CPU),
    CALL(prlimit64, 1, RLIMIT_CPU),
    CALL(wait4, -1),
    CALL(setsid),
    /* programs and processes */
    CALL(execve, P("/bin/true")),
    CALL(execveat, AT_FDCWD, P("/bin/true")),
    CALL(clone, SIGCHLD),
    CALL(clone, CLONE_VM | CLONE_VFORK | SIGCHLD),
    CALL(clone, CLONE_NEWUSER | SIGCHLD),
    CALL(clone, CLONE_VM | CLONE_FS | CLONE_FILES | CLONE_SIGHAND | CLONE_THREAD | CLONE_NEWNET),
    CALL(unshare, CLONE_NEWUSER),
    CALL(setns, 0),
    /* memory that others have, or that can be run */
    CALL(shmget, IPC_PRIVATE, 4096, 0600 | 01000),
    CALL(shmat, 0),
    CALL(msgget, IPC_PRIVATE, 0600 | 01000),
    CALL(semget, IPC_PRIVATE, 1, 0600 | 01000),
    CALL(memfd_create, P("a")),
    CALL(mmap, 0, 4096, PROT_READ, MAP_PRIVATE, 0),
    CALL(pkey_mprotect, 0, 4096, PROT_EXEC, -1),
    CALL(remap_file_pages, 0, 4096),
    CALL(personality, 0x0400000), /* READ_IMPLIES_EXEC */
    CALL(userfaultfd),
    {"mseal", CALL_MSEAL, {0, 4096}},
    /* the kernel */
    CALL(io_uring_setup, 1, P(other)),
    CALL(io_uring_enter, 0),
    CALL(bpf),
    CALL(perf_event_open),
    CALL(add_key, P("user"), P("a"), P("b"), 1, -3),
    CALL(request_key, P("user"), P("a")),
    CALL(keyctl),
    CALL(mount),
    CALL(umount2),
    CALL(pivot_root),
    CALL(init_module),
    CALL(finit_module, 0),
    CALL(kexec_load),
    CALL(reboot),
    CALL(sethostname, 0, 1),
    CALL(uname, P(other)),
    CALL(syslog, 2),
    CALL(clock_settime),
    CALL(setuid),
    CALL(setresuid),
    CALL(capset),
    CALL(seccomp, 2),
    CALL(prctl, PR_SET_DUMPABLE, 1),
    CALL(prctl, PR_SET_PDEATHSIG),
    CALL(prctl, PR_SET_MM),
    CALL(landlock_create_ruleset, 0, 0, 1),
    CALL(quotactl),
    CALL(swapon, P(file)),
    CALL(acct, 1),
#ifdef SYS_open /* what older architectures have besides */
    CALL(creat, P(other), 0600),
    CALL(rename, P(file), P(other)),
    CALL(unlink, P(file)),
    CALL(link, P(file), P(other)),
    CALL(symlink, P(file), P(other)),
    CALL(mkdir, P(other), 0700),
    CALL(rmdir, P(other)),
    CALL(mknod, P(other), S_IFREG | 0600),
    CALL(chmod, P(file), 0666),
    CALL(chown, P(file), 1, 1),
    CALL(utime, P(file)),
    CALL(access, P(file)),
    CALL(fork),
    CALL(vfork),
    CALL(setrlimit, RLIMIT_CPU),
#endif
#ifdef __x86_64__
    CALL(ioperm),
    CALL(iopl),
    CALL(modify_ldt),
    CALL(arch_prctl),
    {"x32: getpid", 0x40000000 | SYS_getpid},
    {"x32: open", 0x40000000 | SYS_open, {P(file)}},
#endif
    {"a call that does not exist", 9999},
    {"a negative number", -7},
};

static void test_calls_kill(void **state)
{
    for (size_t i = 0; i < COUNT(deadly); i++)
        check_end(deadly[i].what, in_child(confine_calls, make_call, &deadly[i]), KILLED);
}

#ifdef __x86_64__
/* The calls of i386, by which a filter of numbers alone would be passed: 20 is getpid there. */
static long call_i386(const void *p)
{
    long result = 20;
    __asm__ volatile("int $0x80" : "+a"(result) : : "memory", "r8", "r9", "r10", "r11");
    return result;
}
static void test_foreign_architecture_kills(void **state)
{
    check_end("int 0x80", in_child(confine_calls, call_i386, NULL), KILLED);
}
#endif

static long opens(const void *path)
{
    return open(path, O_RDONLY);
}
static long writes(const void *path)
{
    return open(path, O_WRONLY);
}
static long makes(const void *path)
{
    int fd = open(path, O_WRONLY | O_CREAT | O_EXCL, 0600);
    return fd < 0 ? -1 : unlink(path);
}
static long looks(const void *path)
{
    struct stat s;
    return fstatat(AT_FDCWD, path, &s, 0);
}
static long map(int protection)
{
    void *p = mmap(NULL, 4096, protection, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    return p == MAP_FAILED ? -1 : 0;
}
static long maps_code(const void *p)
{
    return map(PROT_READ | PROT_EXEC);
}
static long maps_writable_code(const void *p)
{
    return map(PROT_READ | PROT_WRITE | PROT_EXEC);
}
static long runs_data(const void *p)
{
    void *page = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    return page == MAP_FAILED ? -1 : mprotect(page, 4096, PROT_READ | PROT_EXEC);
}

static const struct {
    const char *what;
    long (*attempt)(const void *);
    int wanted;
} refused[] = {
    {"open to read", opens, EACCES},
    {"open to write", writes, EACCES},
    {"look at a path", looks, EACCES},
    {"map memory to run", maps_code, EACCES},
    {"map memory to write and run", maps_writable_code, EACCES},
    {"run what was written", runs_data, EACCES},
};

static void test_calls_are_refused(void **state)
{
    make_file();
    for (size_t i = 0; i < COUNT(refused); i++) {
        check_end(refused[i].what, in_child(NULL, refused[i].attempt, file), DONE);
        check_end(refused[i].what, in_child(confine_calls, refused[i].attempt, file),
                  refused[i].wanted);
    }
    const struct call clone3 = CALL(clone3), terminal = CALL(ioctl, 2);
    check_end("clone3", in_child(confine_calls, make_call, &clone3), ENOSYS);
    check_end("ioctl", in_child(confine_calls, make_call, &terminal), ENOTTY);
}

/* ---- what it needs ---- */

static bool confine_wholly(void)
{
    confine_user();
    return confine_resources() && confine_paths() && confine_calls();
}

static void *nothing(void *p)
{
    return p;
}
static long makes_threads(const void *p)
{
    pthread_t t;
    return pthread_create(&t, NULL, nothing, NULL) == 0 && pthread_join(t, NULL) == 0 ? 0 : -1;
}
static long computes(const void *p)
{
    size_t n = 32 << 20;
    char *block = malloc(n), *larger;
    if (!block)
        return -1;
    memset(block, 1, n);
    larger = realloc(block, 2 * n);
    free(larger ? larger : block);
    struct timespec now;
    return larger && clock_gettime(CLOCK_MONOTONIC, &now) == 0 ? 0 : -1;
}
static long writes_to_what_it_holds(const void *p)
{
    int fd = dup(2);
    return fd >= 0 && write(fd, "", 0) == 0 && close(fd) == 0 ? 0 : -1;
}
static long aborts(const void *p)
{
    abort();
}

static void test_what_stays(void **state)
{
    check_end("threads", in_child(confine_wholly, makes_threads, NULL), DONE);
    check_end("memory", in_child(confine_wholly, computes, NULL), DONE);
    check_end("write", in_child(confine_wholly, writes_to_what_it_holds, NULL), DONE);
}

/* The server tells by the signal that memory ran out. */
static void test_abort_is_seen(void **state)
{
    int status = 0;
    pid_t pid = fork();
    if (pid == 0)
        _exit(confine_wholly() && aborts(NULL));
    assert_true(pid > 0 && waitpid(pid, &status, 0) == pid && WIFSIGNALED(status));
    assert_int_equal(WTERMSIG(status), SIGABRT);
}

/* ---- threads that were there before ---- */

static pthread_barrier_t confined;

static void *call_when_confined(void *p)
{
    pthread_barrier_wait(&confined);
    return (void *)syscall(SYS_getppid);
}

static long older_thread_calls(const void *p)
{
    pthread_t t;
    pthread_barrier_init(&confined, NULL, 2);
    if (pthread_create(&t, NULL, call_when_confined, NULL) || !confine_calls())
        return -1;
    pthread_barrier_wait(&confined);
    return pthread_join(t, NULL) ? -1 : 0;
}

static void test_older_threads_are_confined(void **state)
{
    check_end("an older thread", in_child(NULL, older_thread_calls, NULL), KILLED);
}

/* ---- Landlock alone ---- */

static long truncates(const void *path)
{
    return truncate(path, 0);
}
static long removes(const void *path)
{
    return unlink(path);
}
static long renames(const void *path)
{
    return rename(path, other);
}
static long makes_folders(const void *path)
{
    return mkdir(other, 0700) ? -1 : rmdir(other);
}
static long lists(const void *path)
{
    return open(folder, O_RDONLY | O_DIRECTORY);
}
static long runs_programs(const void *path)
{
    char *const argv[] = {"sh", "-c", "exit 200", NULL};
    return execv("/bin/sh", argv);
}
static long signals_others(const void *path)
{
    return kill(getppid(), 0);
}
static long binds(const void *path)
{
    struct sockaddr_in a = {.sin_family = AF_INET, .sin_addr = {htonl(INADDR_LOOPBACK)}};
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    return fd < 0 ? -1 : bind(fd, (const struct sockaddr *)&a, sizeof a);
}

/* Sockets of the test, outside of what is confined. */
static int tcp = -1, abstract = -1;
static struct sockaddr_in tcp_address;
static struct sockaddr_un abstract_address;
static socklen_t abstract_size;

static void listen_outside(void)
{
    socklen_t n = sizeof tcp_address;
    tcp_address.sin_family = AF_INET;
    tcp_address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    tcp = socket(AF_INET, SOCK_STREAM, 0);
    assert_true(bind(tcp, (struct sockaddr *)&tcp_address, n) == 0 && listen(tcp, 8) == 0);
    assert_int_equal(getsockname(tcp, (struct sockaddr *)&tcp_address, &n), 0);
    abstract_address.sun_family = AF_UNIX;
    int name = snprintf(abstract_address.sun_path + 1, 64, "concorde-confine-%d", getpid());
    abstract_size = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + 1 + (size_t)name);
    abstract = socket(AF_UNIX, SOCK_STREAM, 0);
    assert_int_equal(bind(abstract, (struct sockaddr *)&abstract_address, abstract_size), 0);
    assert_int_equal(listen(abstract, 8), 0);
}
static long connects(const void *path)
{
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    return fd < 0 ? -1 : connect(fd, (struct sockaddr *)&tcp_address, sizeof tcp_address);
}
static long connects_abstract(const void *path)
{
    int fd = socket(AF_UNIX, SOCK_STREAM, 0);
    return fd < 0 ? -1 : connect(fd, (struct sockaddr *)&abstract_address, abstract_size);
}

static const struct {
    const char *what;
    long (*attempt)(const void *);
    long abi; /* that refuses it first */
    int wanted;
} locked[] = {
    {"open to read", opens, 1, EACCES},
    {"open to write", writes, 1, EACCES},
    {"list a directory", lists, 1, EACCES},
    {"make a directory", makes_folders, 1, EACCES},
    {"run a program", runs_programs, 1, EACCES},
    {"truncate", truncates, 3, EACCES},
    {"rename", renames, 1, EACCES},
    {"remove", removes, 1, EACCES},
    {"bind", binds, 4, EACCES},
    {"connect", connects, 4, EACCES},
    {"connect to an abstract socket", connects_abstract, 6, EPERM},
    {"signal another process", signals_others, 6, EPERM},
};

static void test_landlock_alone(void **state)
{
    long abi = syscall(SYS_landlock_create_ruleset, NULL, 0, LANDLOCK_CREATE_RULESET_VERSION);
    listen_outside();
    for (size_t i = 0; i < COUNT(locked); i++) {
        make_file();
        check_end(locked[i].what, in_child(NULL, locked[i].attempt, file), DONE);
        make_file();
        check_end(locked[i].what, in_child(confine_paths, locked[i].attempt, file),
                  abi < locked[i].abi ? DONE : locked[i].wanted);
    }
    close(tcp);
    close(abstract);
    check_end("make a file", in_child(NULL, makes, other), DONE);
    check_end("make a file", in_child(confine_paths, makes, other), abi < 1 ? DONE : EACCES);
    check_end("write", in_child(confine_paths, writes_to_what_it_holds, NULL), DONE);
}

/* ---- a user of its own, limits ---- */

static bool change_user(void)
{
    confine_user();
    return true;
}
static long is_other_user(const void *p)
{
    uid_t real, effective, saved;
    gid_t group, effective_group, saved_group;
    getresuid(&real, &effective, &saved);
    getresgid(&group, &effective_group, &saved_group);
    errno = EEXIST;
    return real && effective == real && saved == real && group && effective_group == group &&
                   saved_group == group && getgroups(0, NULL) == 0
               ? 0
               : -1;
}
static long widens_limits(const void *p)
{
    const struct rlimit l = {RLIM_INFINITY, RLIM_INFINITY};
    return setrlimit(RLIMIT_CPU, &l);
}
static bool limit_as_another(void)
{
    confine_user();
    return confine_resources();
}

/* Only root can become another user. */
static void test_user(void **state)
{
    if (geteuid() != 0) {
        check_end("limits", in_child(limit_as_another, widens_limits, NULL), EPERM);
        return;
    }
    make_file();
    check_end("another user", in_child(NULL, is_other_user, NULL), EEXIST);
    check_end("another user", in_child(change_user, is_other_user, NULL), DONE);
    check_end("open root's file", in_child(change_user, opens, file), EACCES);
    check_end("remove root's file", in_child(change_user, removes, file), EACCES);
    check_end("signal root's process", in_child(change_user, signals_others, NULL), EPERM);
    check_end("limits", in_child(limit_as_another, widens_limits, NULL), EPERM);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_calls_kill),
#ifdef __x86_64__
        cmocka_unit_test(test_foreign_architecture_kills),
#endif
        cmocka_unit_test(test_calls_are_refused),
        cmocka_unit_test(test_what_stays),
        cmocka_unit_test(test_abort_is_seen),
        cmocka_unit_test(test_older_threads_are_confined),
        cmocka_unit_test(test_landlock_alone),
        cmocka_unit_test(test_user),
    };
    return cmocka_run_group_tests(tests, make_folder, remove_folder);
}
