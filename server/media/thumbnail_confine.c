#include "server/media/thumbnail_confine.h"

#include <errno.h>
#include <linux/audit.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <sched.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define SANITIZED 1 /* reserves terabytes of address space for its shadow */
#elif defined(__has_feature)
#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer)
#define SANITIZED 1
#endif
#endif
#ifndef SANITIZED
#define SANITIZED 0
#endif

enum {
    CPU_SECONDS = 20,
    MEMORY_MB = 1024, /* an image of max_image_pixels, decoded, with room to spare */
    WRITE_MB = 64,
    OPEN_FILES = 32,
};

bool confine_resources(void)
{
    static const struct {
        int what;
        rlim_t most;
    } limits[] = {
        {RLIMIT_CPU, CPU_SECONDS},
        {RLIMIT_AS, (rlim_t)MEMORY_MB << 20},
        {RLIMIT_CORE, 0},
        {RLIMIT_FSIZE, (rlim_t)WRITE_MB << 20},
        {RLIMIT_NOFILE, OPEN_FILES},
    };
    for (size_t i = 0; i < sizeof limits / sizeof *limits; i++) {
        const struct rlimit l = {limits[i].most, limits[i].most};
        if (!(SANITIZED && limits[i].what == RLIMIT_AS) && setrlimit(limits[i].what, &l))
            return false;
    }
    return setpriority(PRIO_PROCESS, 0, 10) == 0;
}

/* ---- system calls ---- */

#if defined(__x86_64__)
#define ARCHITECTURE AUDIT_ARCH_X86_64
#elif defined(__aarch64__)
#define ARCHITECTURE AUDIT_ARCH_AARCH64
#elif defined(__riscv) && __riscv_xlen == 64
#define ARCHITECTURE AUDIT_ARCH_RISCV64
#else
#error "add the architecture's AUDIT_ARCH_ number"
#endif

/* Everything by which a program reaches files, the network or other processes. */
static const unsigned short denied[] = {
#ifdef SYS_open
    SYS_open,
    SYS_creat,
    SYS_unlink,
    SYS_rename,
    SYS_fork,
    SYS_vfork,
    SYS_rmdir,
    SYS_chmod,
    SYS_link,
    SYS_symlink,
    SYS_mkdir,
    SYS_mknod,
    SYS_setrlimit,
#endif
    SYS_openat,
    SYS_openat2,
    SYS_linkat,
    SYS_unlinkat,
    SYS_renameat2,
    SYS_mknodat,
    SYS_symlinkat,
    SYS_mkdirat,
    SYS_fchmodat,
    SYS_fchownat,
    SYS_socket,
    SYS_socketpair,
    SYS_connect,
    SYS_bind,
    SYS_accept4,
    SYS_execve,
    SYS_execveat,
    SYS_ptrace,
    SYS_process_vm_readv,
    SYS_process_vm_writev,
    SYS_kill,
    SYS_tkill,
    SYS_rt_sigqueueinfo,
    SYS_pidfd_open,
    SYS_pidfd_send_signal,
    SYS_pidfd_getfd,
    SYS_io_uring_setup,
    SYS_bpf,
    SYS_keyctl,
    SYS_unshare,
    SYS_setns,
    SYS_mount,
    SYS_open_by_handle_at,
    SYS_prlimit64,
};

/* Numbers beyond are those of another calling convention (x32), which would pass the list by. */
enum { NUMBER_MAX = 0x3fffffff };

#define LOAD(field)                                                                                \
    BPF_STMT(BPF_LD | BPF_W | BPF_ABS, (uint32_t)offsetof(struct seccomp_data, field))
#define WHEN(test, value, then, otherwise)                                                         \
    BPF_JUMP(BPF_JMP | BPF_##test | BPF_K, (uint32_t)(value), then, otherwise)
#define ANSWER(what) BPF_STMT(BPF_RET | BPF_K, what)
#define REFUSE(error) ANSWER(SECCOMP_RET_ERRNO | (error))

enum { DENIED = sizeof denied / sizeof *denied, HEAD = 18, TAIL = 2 };

bool confine_system(void)
{
    const struct sock_filter head[HEAD] = {
        LOAD(arch),
        WHEN(JEQ, ARCHITECTURE, 1, 0),
        ANSWER(SECCOMP_RET_KILL_PROCESS),
        LOAD(nr),
        WHEN(JGT, NUMBER_MAX, 0, 1),
        ANSWER(SECCOMP_RET_KILL_PROCESS),
        /* abort() signals the own process, by which the server learns that memory ran out. */
        WHEN(JEQ, SYS_tgkill, 0, 4),
        LOAD(args[0]),
        WHEN(JEQ, getpid(), 0, 1),
        ANSWER(SECCOMP_RET_ALLOW),
        REFUSE(EPERM),
        /* Threads, but no processes. The C library does without clone3 when it is not there. */
        WHEN(JEQ, SYS_clone3, 0, 1),
        REFUSE(ENOSYS),
        WHEN(JEQ, SYS_clone, 0, 4),
        LOAD(args[0]),
        WHEN(JSET, CLONE_THREAD, 0, 1),
        ANSWER(SECCOMP_RET_ALLOW),
        REFUSE(EPERM),
    };
    const struct sock_filter tail[TAIL] = {
        ANSWER(SECCOMP_RET_ALLOW),
        REFUSE(EACCES),
    };
    struct sock_filter code[HEAD + DENIED + TAIL];
    size_t n = 0;
    for (size_t i = 0; i < HEAD; i++)
        code[n++] = head[i];
    for (size_t i = 0; i < DENIED; i++)
        code[n++] = (struct sock_filter)WHEN(JEQ, denied[i], (unsigned char)(DENIED - i), 0);
    for (size_t i = 0; i < TAIL; i++)
        code[n++] = tail[i];
    const struct sock_fprog program = {(unsigned short)n, code};
    return prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0 &&
           prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program) == 0;
}
