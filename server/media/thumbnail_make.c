#include "server/media/thumbnail_make.h"

#include "server/media/thumbnail_child.h"

#include <errno.h>
#include <limits.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <sys/mman.h>
#include <sys/pidfd.h>
#include <sys/wait.h>
#include <unistd.h>

enum { PATIENCE_MS = 60000 }; /* its own limit counts only the time that it computes */

/* Beside the running program. */
static const struct err *find_program(char ret[PATH_MAX])
{
    char self[PATH_MAX];
    ssize_t n = readlink("/proc/self/exe", self, sizeof self - 1);
    if (n < 0)
        return err_internal("/proc/self/exe: %s", strerror(errno));
    self[n] = 0;
    char *slash = strrchr(self, '/');
    if (snprintf(ret, PATH_MAX, "%.*s/" THUMBNAIL_PROGRAM, (int)(slash - self), self) >= PATH_MAX)
        return err_internal("%s: the path is too long", self);
    return NULL;
}

const struct err *thumbnail_check_program(void)
{
    char program[PATH_MAX];
    TRY(find_program(program));
    return access(program, X_OK) ? err_internal("%.200s: %s", program, strerror(errno)) : NULL;
}

/* Its environment is empty, it has three open files, and no signal is blocked or ignored. */
static int spawn(const char *program, char *const argv[], const int files[3], pid_t *ret)
{
    static char *const environment[] = {"LC_ALL=C", NULL};
    posix_spawn_file_actions_t actions;
    posix_spawnattr_t attributes;
    sigset_t none, all;
    sigemptyset(&none);
    sigfillset(&all);
    posix_spawn_file_actions_init(&actions);
    posix_spawnattr_init(&attributes);
    for (int i = 0; i < 3; i++)
        posix_spawn_file_actions_adddup2(&actions, files[i], i);
    posix_spawn_file_actions_addclosefrom_np(&actions, 3);
    posix_spawnattr_setsigmask(&attributes, &none);
    posix_spawnattr_setsigdefault(&attributes, &all);
    posix_spawnattr_setflags(&attributes, POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF);
    int error = posix_spawn(ret, program, &actions, &attributes, argv, environment);
    posix_spawn_file_actions_destroy(&actions);
    posix_spawnattr_destroy(&attributes);
    return error;
}

static int wait_for(pid_t pid)
{
    int status, fd = pidfd_open(pid, 0);
    struct pollfd p = {.fd = fd, .events = POLLIN};
    if (fd >= 0 && poll(&p, 1, PATIENCE_MS) == 0)
        kill(pid, SIGKILL);
    while (waitpid(pid, &status, 0) < 0 && errno == EINTR)
        ;
    if (fd >= 0)
        close(fd);
    return status;
}

/* Reads the program's messages, for the log. */
static void read_words(int fd, char *ret, size_t size)
{
    ssize_t n = pread(fd, ret, size - 1, 0);
    ret[n > 0 ? n : 0] = 0;
    for (char *p = ret; *p; p++)
        if (*p < ' ' || *p > '~')
            *p = ' ';
}

static const struct err *thumbnail_make_too_large(void)
{
    return err(ERR_TOO_LARGE, "The content is too large for thumbnails");
}

/* Limits end it by these signals; other signals are faults of decoders and mean a bad image. */
static bool is_limit(int number)
{
    return number == SIGXCPU || number == SIGXFSZ || number == SIGKILL || number == SIGABRT ||
           number == SIGTRAP;
}

/* An attack, or a library version that needs more calls: the operator must know. */
static const struct err *forbidden_call(void)
{
    return err_internal(THUMBNAIL_PROGRAM
                        " was killed for a system call that it may not make (the kernel's log "
                        "has its number)");
}

static const struct err *thumbnail_make_judge(int status, int words)
{
    char text[256];
    read_words(words, text, sizeof text);
    int outcome = WIFEXITED(status) ? WEXITSTATUS(status) : -1;
    if (outcome == THUMBNAIL_MADE || outcome == THUMBNAIL_IS_ORIGINAL)
        return NULL;
    if (WIFSIGNALED(status) && WTERMSIG(status) == SIGSYS)
        return forbidden_call();
    if (outcome == THUMBNAIL_TOO_LARGE || (WIFSIGNALED(status) && is_limit(WTERMSIG(status))))
        return thumbnail_make_too_large();
    if (outcome == THUMBNAIL_NOT_AN_IMAGE || WIFSIGNALED(status))
        return err(ERR_UNKNOWN, "Cannot generate thumbnails for the requested content");
    return err_internal(THUMBNAIL_PROGRAM " ended with %d: %s", outcome, text);
}

static const struct err *thumbnail_make_run(const char *program, char *const argv[],
                                            const int files[3])
{
    pid_t pid;
    int error = spawn(program, argv, files, &pid);
    if (error)
        return err_internal("%.200s: %s", program, strerror(error));
    return thumbnail_make_judge(wait_for(pid), files[2]);
}

const struct err *thumbnail_make(int original, struct thumbnail_size size, int64_t pixels_max,
                                 int into)
{
    char program[PATH_MAX], width[16], height[16], pixels[24];
    TRY(find_program(program));
    snprintf(width, sizeof width, "%d", size.width);
    snprintf(height, sizeof height, "%d", size.height);
    snprintf(pixels, sizeof pixels, "%lld", (long long)pixels_max);
    char *const argv[] = {THUMBNAIL_PROGRAM,
                          width,
                          height,
                          size.crop ? "crop" : "scale",
                          size.animated ? "animated" : "still",
                          pixels,
                          NULL};
    int words = memfd_create("words", MFD_CLOEXEC);
    if (words < 0)
        return err_internal("memfd_create: %s", strerror(errno));
    const struct err *e = thumbnail_make_run(program, argv, (const int[3]){original, into, words});
    close(words);
    return e;
}
