#include "server/media/thumbnail_confine.h"

#include "server/media/sanitized.h"

#include <errno.h>
#include <grp.h>
#include <linux/landlock.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

enum {
    CPU_SECONDS = 20,
    MEMORY_MB = 1024, /* an image of max_image_pixels, decoded, with room to spare */
    WRITE_MB = 64,
    OPEN_FILES = 32,
    NO_OWNER_ID = 65533, /* not 65534, as which PostgreSQL may run */
};

/* Without the privilege, or if a container does not map that number, the other steps must suffice.
 */
void confine_user(void)
{
    if (geteuid() != 0 || setgroups(0, NULL) != 0)
        return;
    if (setresgid(NO_OWNER_ID, NO_OWNER_ID, NO_OWNER_ID) == 0)
        (void)!setresuid(NO_OWNER_ID, NO_OWNER_ID, NO_OWNER_ID);
}

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
        /* Sanitizers reserve terabytes of address space for their shadow. */
        if (!(SANITIZED && limits[i].what == RLIMIT_AS) && setrlimit(limits[i].what, &l))
            return false;
    }
    errno = 0; /* the new priority may be -1 */
    return nice(10) != -1 || errno == 0;
}

/* ---- Landlock ---- */

/* The struct of newer headers; an older kernel accepts it when the rest is zero. */
struct ruleset {
    uint64_t files, network, scopes;
};

/* What each version of Landlock's ABI can refuse in addition (linux/landlock.h). */
static const struct ruleset refusals[] = {
    {.files = (1 << 13) - 1}, /* 1: execute, read, list, write, remove, make of any kind */
    {.files = 1 << 13},       /* 2: link and rename between directories */
    {.files = 1 << 14},       /* 3: truncate */
    {.network = 1 | 1 << 1},  /* 4: bind and connect TCP */
    {.files = 1 << 15},       /* 5: ioctl of devices */
    {.scopes = 1 | 1 << 1},   /* 6: abstract unix sockets and signals to processes outside */
};

/* Everything that this kernel can refuse. A ruleset without a rule allows none of it. */
static struct ruleset thumbnail_confine_refuse_all(long abi)
{
    struct ruleset all = {0};
    for (long i = 0; i < abi && i < (long)(sizeof refusals / sizeof *refusals); i++) {
        all.files |= refusals[i].files;
        all.network |= refusals[i].network;
        all.scopes |= refusals[i].scopes;
    }
    return all;
}

bool confine_paths(void)
{
    long abi = syscall(SYS_landlock_create_ruleset, NULL, 0, LANDLOCK_CREATE_RULESET_VERSION);
    if (abi < 1)
        return true; /* too old a kernel, or switched off */
    const struct ruleset all = thumbnail_confine_refuse_all(abi);
    int rules = (int)syscall(SYS_landlock_create_ruleset, &all, sizeof all, 0);
    if (rules < 0)
        return false;
    bool done = prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0 &&
                syscall(SYS_landlock_restrict_self, rules, 0) == 0;
    close(rules);
    return done;
}
