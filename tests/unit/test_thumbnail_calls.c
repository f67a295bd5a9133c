/* The system calls that concorde-thumbnail can no longer make: each is made by a separate child,
 * without Landlock, which would hide calls that the filter allows. */
#include "confined.h"

#include <netinet/in.h>
#include <pthread.h>
#include <sched.h>
#include <sys/ipc.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/syscall.h>

/* Newer than the headers that this may be built with; the same on every architecture. */
enum { CALL_FCHMODAT2 = 452, CALL_SETXATTRAT = 463, CALL_MSEAL = 462 };

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
/* clang-format off */
#define CALL(name, ...) {#name, SYS_##name, {__VA_ARGS__}}
/* clang-format on */

/* Harmless calls, which would succeed without a filter. */
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
    /* its descriptors, beyond reading and writing */
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
    /* memory of others, or executable memory */
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
#ifdef SYS_open /* older architectures have these, too */
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
/* The calls of i386, which a filter of numbers alone would allow: 20 is getpid there. */
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

/* ---- threads that exist already ---- */

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

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_calls_kill),
#ifdef __x86_64__
        cmocka_unit_test(test_foreign_architecture_kills),
#endif
        cmocka_unit_test(test_calls_are_refused),
        cmocka_unit_test(test_older_threads_are_confined),
    };
    return cmocka_run_group_tests(tests, make_folder, remove_folder);
}
