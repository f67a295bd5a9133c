/* What concorde-thumbnail can no longer do: each row runs in a child of its own. */
#include "check.h"

#include "server/media/thumbnail_confine.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

static bool opens(void)
{
    return open("/etc/passwd", O_RDONLY) >= 0;
}
static bool writes_files(void)
{
    return open("/tmp/concorde-confined", O_WRONLY | O_CREAT, 0600) >= 0;
}
static bool connects(void)
{
    return socket(AF_INET, SOCK_STREAM, 0) >= 0 || socket(AF_UNIX, SOCK_STREAM, 0) >= 0;
}
static bool runs_programs(void)
{
    char *const argv[] = {"true", NULL};
    return execv("/bin/true", argv) == 0;
}
static bool signals_others(void)
{
    return kill(getppid(), 0) == 0;
}
static bool forks(void)
{
    pid_t pid = fork();
    if (pid == 0)
        _exit(0);
    return pid > 0;
}
static void *nothing(void *p)
{
    return p;
}
static bool makes_threads(void)
{
    pthread_t t;
    return pthread_create(&t, NULL, nothing, NULL) == 0 && pthread_join(t, NULL) == 0;
}
static bool widens_limits(void)
{
    const struct rlimit l = {RLIM_INFINITY, RLIM_INFINITY};
    return setrlimit(RLIMIT_CPU, &l) == 0;
}
static bool computes(void)
{
    char *p = mmap(NULL, 1 << 20, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    return p != MAP_FAILED && write(2, "", 0) == 0;
}

static const struct {
    const char *what;
    bool (*can)(void);
    bool wanted;
} rows[] = {
    {"open files", opens, false},
    {"make files", writes_files, false},
    {"use the network", connects, false},
    {"run programs", runs_programs, false},
    {"signal others", signals_others, false},
    {"widen its limits", widens_limits, false},
    {"make processes", forks, false},
    {"make threads", makes_threads, true},
    {"compute and write to what it holds", computes, true},
};

static int in_child(bool (*can)(void), bool confined)
{
    int status = 0;
    pid_t pid = fork();
    if (pid == 0) {
        if (confined && (!confine_resources() || !confine_system()))
            _exit(2);
        _exit(can());
    }
    assert_true(pid > 0 && waitpid(pid, &status, 0) == pid && WIFEXITED(status));
    return WEXITSTATUS(status);
}

static void test_confinement(void **state)
{
    for (size_t i = 0; i < COUNT(rows); i++)
        check_bool("confined", rows[i].what, in_child(rows[i].can, true), rows[i].wanted);
    assert_int_equal(in_child(opens, false), 1);
    assert_int_equal(in_child(connects, false), 1);
}

/* The server tells by the signal that memory ran out. */
static void test_abort_is_seen(void **state)
{
    int status = 0;
    pid_t pid = fork();
    if (pid == 0) {
        if (confine_resources() && confine_system())
            abort();
        _exit(0);
    }
    assert_true(pid > 0 && waitpid(pid, &status, 0) == pid && WIFSIGNALED(status));
    assert_int_equal(WTERMSIG(status), SIGABRT);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_confinement),
        cmocka_unit_test(test_abort_is_seen),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
