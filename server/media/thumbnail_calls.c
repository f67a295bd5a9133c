/* The system calls of concorde-thumbnail.
 *
 * The lists are the calls that libvips and the decoders make (by strace) with each format that is
 * supported, good and broken, on glibc 2.36, and what other versions of the C library do instead of
 * it. Any other call kills the process, and the server's log says so: an error would let an
 * attacker try one call after the other unnoticed. Errors are for calls that libraries try and do
 * not need. */
#include "server/media/sanitized.h"
#include "server/media/thumbnail_confine.h"

#include <errno.h>
#include <sched.h>
#include <seccomp.h>
#include <stddef.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <unistd.h>

static const int allowed[] = {
    /* memory: mmap and mprotect are below */
    SCMP_SYS(brk),
    SCMP_SYS(madvise),
    SCMP_SYS(mremap),
    SCMP_SYS(munmap),
    /* threads */
    SCMP_SYS(exit),
    SCMP_SYS(exit_group),
    SCMP_SYS(futex),
    SCMP_SYS(rseq),
    SCMP_SYS(rt_sigaction),
    SCMP_SYS(rt_sigprocmask),
    SCMP_SYS(rt_sigreturn),
    SCMP_SYS(sched_getaffinity),
    SCMP_SYS(sched_yield),
    SCMP_SYS(set_robust_list),
    /* its open files */
    SCMP_SYS(close),
    SCMP_SYS(dup),
    SCMP_SYS(fstat),
    SCMP_SYS(lseek),
    SCMP_SYS(read),
    SCMP_SYS(write),
    /* its process, the time */
    SCMP_SYS(clock_gettime),
    SCMP_SYS(clock_nanosleep),
    SCMP_SYS(getpid),
    SCMP_SYS(getrandom),
    SCMP_SYS(gettid),
    SCMP_SYS(gettimeofday),
#if SANITIZED
    SCMP_SYS(nanosleep), /* the thread of ThreadSanitizer, between its rounds */
    SCMP_SYS(sigaltstack),
#endif
};

/* Calls that libraries try and do not need. */
static const struct {
    int call, error;
} refused[] = {
    {SCMP_SYS(clone3), ENOSYS}, /* its flags are in memory, where no filter sees them: use clone */
    /* malloc asks how the kernel counts memory; temporary files of large images */
    {SCMP_SYS(open), EACCES},
    {SCMP_SYS(openat), EACCES},
    {SCMP_SYS(newfstatat), EACCES},
    {SCMP_SYS(statx), EACCES},
    {SCMP_SYS(readlink), EACCES},
    {SCMP_SYS(readlinkat), EACCES},
    {SCMP_SYS(ioctl), ENOTTY}, /* isatty() of its output */
};

/* Threads as the C library makes them; never processes, never namespaces. */
enum {
    THREAD_MUST = CLONE_VM | CLONE_FS | CLONE_FILES | CLONE_SIGHAND | CLONE_THREAD | CLONE_SYSVSEM,
    THREAD_MAY = CLONE_SETTLS | CLONE_PARENT_SETTID | CLONE_CHILD_CLEARTID | CLONE_DETACHED,
};
#define ALL_BITS (~(scmp_datum_t)0)

/* Allowed with some arguments only. Written memory is never executable, and no file is mapped. A
 * compiler within a library, which needs executable memory, does not work. */
static int add_conditional(scmp_filter_ctx f)
{
    const struct {
        uint32_t action;
        int call;
        unsigned n;
        struct scmp_arg_cmp args[2];
    } rows[] = {
        {SCMP_ACT_ALLOW,
         SCMP_SYS(mmap),
         2,
         {SCMP_A2(SCMP_CMP_MASKED_EQ, PROT_EXEC, 0),
          SCMP_A3(SCMP_CMP_MASKED_EQ, MAP_ANONYMOUS, MAP_ANONYMOUS)}},
        {SCMP_ACT_ERRNO(EACCES),
         SCMP_SYS(mmap),
         1,
         {SCMP_A2(SCMP_CMP_MASKED_EQ, PROT_EXEC, PROT_EXEC)}},
        {SCMP_ACT_ALLOW, SCMP_SYS(mprotect), 1, {SCMP_A2(SCMP_CMP_MASKED_EQ, PROT_EXEC, 0)}},
        {SCMP_ACT_ERRNO(EACCES),
         SCMP_SYS(mprotect),
         1,
         {SCMP_A2(SCMP_CMP_MASKED_EQ, PROT_EXEC, PROT_EXEC)}},
        {SCMP_ACT_ALLOW,
         SCMP_SYS(clone),
         1,
         {SCMP_A0(SCMP_CMP_MASKED_EQ, ALL_BITS & ~(scmp_datum_t)THREAD_MAY, THREAD_MUST)}},
        {SCMP_ACT_ALLOW, SCMP_SYS(prctl), 1, {SCMP_A0(SCMP_CMP_EQ, PR_SET_NAME)}},
        /* abort() signals the own process, by which the server detects that memory ran out. */
        {SCMP_ACT_ALLOW, SCMP_SYS(tgkill), 1, {SCMP_A0(SCMP_CMP_EQ, (scmp_datum_t)getpid())}},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        int e = seccomp_rule_add_array(f, rows[i].action, rows[i].call, rows[i].n, rows[i].args);
        if (e)
            return e;
    }
    return 0;
}

static int add_rules(scmp_filter_ctx f)
{
    int e = 0;
    for (size_t i = 0; i < sizeof allowed / sizeof *allowed && !e; i++)
        e = seccomp_rule_add(f, SCMP_ACT_ALLOW, allowed[i], 0);
    for (size_t i = 0; i < sizeof refused / sizeof *refused && !e; i++)
        e = seccomp_rule_add(f, SCMP_ACT_ERRNO((uint32_t)refused[i].error), refused[i].call, 0);
    return e ? e : add_conditional(f);
}

/* The calls of other architectures (on x86-64 those of i386 and x32) kill the process too. Threads
 * that a library may have started already get the same filter. */
bool confine_calls(void)
{
    scmp_filter_ctx f = seccomp_init(SCMP_ACT_KILL_PROCESS);
    if (!f)
        return false;
    int e = seccomp_attr_set(f, SCMP_FLTATR_ACT_BADARCH, SCMP_ACT_KILL_PROCESS);
    if (!e)
        e = seccomp_attr_set(f, SCMP_FLTATR_CTL_NNP, 1);
    if (!e)
        e = seccomp_attr_set(f, SCMP_FLTATR_CTL_TSYNC, 1);
    if (!e)
        e = add_rules(f);
    if (!e)
        e = seccomp_load(f);
    seccomp_release(f);
    return e == 0;
}
