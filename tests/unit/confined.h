/* For the tests of concorde-thumbnail's confinement: attempts made by confined children. */
#ifndef TESTS_UNIT_CONFINED_H
#define TESTS_UNIT_CONFINED_H

#include "check.h"

#include "server/media/thumbnail_confine.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

enum { DONE = 200, KILLED = -1 }; /* otherwise the errno */

static char folder[] = "/tmp/concorde-confine-XXXXXX", file[64], other[64];

static inline void make_file(void)
{
    unlink(other);
    FILE *f = fopen(file, "w");
    assert_true(f && fputs("secret", f) > 0 && fclose(f) == 0 && chmod(file, 0600) == 0);
}

static inline int make_folder(void **state)
{
    if (!mkdtemp(folder) || chmod(folder, 0755))
        return -1;
    snprintf(file, sizeof file, "%s/key", folder);
    snprintf(other, sizeof other, "%s/other", folder);
    return 0;
}

static inline int remove_folder(void **state)
{
    unlink(file);
    unlink(other);
    return rmdir(folder);
}

/* The outcome of a confined child's attempt. */
static inline int in_child(bool (*confine)(void), long (*attempt)(const void *), const void *p)
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

static inline void check_end(const char *what, int got, int wanted)
{
    if (got != wanted)
        fail_msg("%s: %d (%s) instead of %d", what, got, got > 0 ? strerror(got) : "", wanted);
}

static inline long opens(const void *path)
{
    return open(path, O_RDONLY);
}
static inline long writes(const void *path)
{
    return open(path, O_WRONLY);
}

#endif
