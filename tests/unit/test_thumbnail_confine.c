/* The actions that concorde-thumbnail's user and Landlock forbid, each tested alone, and those that
 * remain under all confinement. Its system calls: test_thumbnail_calls.c. */
#include "confined.h"

#include <arpa/inet.h>
#include <linux/landlock.h>
#include <pthread.h>
#include <seccomp.h>
#include <stddef.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <time.h>

/* ---- allowed actions ---- */

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

static void test_actions_that_remain_allowed(void **state)
{
    check_end("threads", in_child(confine_wholly, makes_threads, NULL), DONE);
    check_end("memory", in_child(confine_wholly, computes, NULL), DONE);
    check_end("write", in_child(confine_wholly, writes_to_what_it_holds, NULL), DONE);
}

/* The server recognises by the signal that memory ran out. */
static void test_abort_is_seen(void **state)
{
    int status = 0;
    pid_t pid = fork();
    if (pid == 0)
        _exit(confine_wholly() && aborts(NULL));
    assert_true(pid > 0 && waitpid(pid, &status, 0) == pid && WIFSIGNALED(status));
    assert_int_equal(WTERMSIG(status), SIGABRT);
}

/* ---- Landlock alone ---- */

static long makes(const void *path)
{
    int fd = open(path, O_WRONLY | O_CREAT | O_EXCL, 0600);
    return fd < 0 ? -1 : unlink(path);
}
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

/* Sockets of the test, outside of the confinement. */
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
    long abi; /* the first that refuses it */
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

/* ---- its separate user, limits ---- */

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

/* ---- kernels without Landlock ---- */

/* From here on the kernel answers ENOSYS, like one built without it. */
static bool take_away(int call)
{
    scmp_filter_ctx f = seccomp_init(SCMP_ACT_ALLOW);
    return f && seccomp_rule_add(f, SCMP_ACT_ERRNO(ENOSYS), call, 0) == 0 && seccomp_load(f) == 0;
}
static long confines_paths_without_landlock(const void *path)
{
    return take_away(SCMP_SYS(landlock_create_ruleset)) && confine_paths() ? opens(path) : -1;
}
static long confines_calls_without_filters(const void *p)
{
    bool taken = take_away(SCMP_SYS(seccomp));
    errno = ENOSYS;
    return taken && confine_calls() ? 0 : -1;
}

/* The filter alone is enough; without it no image is decoded. */
static void test_older_kernels(void **state)
{
    make_file();
    check_end("no Landlock", in_child(NULL, confines_paths_without_landlock, file), DONE);
    check_end("no filters", in_child(NULL, confines_calls_without_filters, NULL), ENOSYS);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_actions_that_remain_allowed),
        cmocka_unit_test(test_abort_is_seen),
        cmocka_unit_test(test_landlock_alone),
        cmocka_unit_test(test_user),
        cmocka_unit_test(test_older_kernels),
    };
    return cmocka_run_group_tests(tests, make_folder, remove_folder);
}
