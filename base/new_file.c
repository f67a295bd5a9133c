#include "base/new_file.h"

#include "base/sodium.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <sodium.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define PREFIX ".new-"

enum { MODE = 0600, PATH_OF_FD_MAX = 64 };

int new_file_open_named(const char *folder)
{
    unsigned char random[16];
    char hex[2 * sizeof random + 1], path[PATH_MAX];
    sodium_begin();
    randombytes_buf(random, sizeof random);
    sodium_bin2hex(hex, sizeof hex, random, sizeof random);
    if ((size_t)snprintf(path, sizeof path, "%s/" PREFIX "%s", folder, hex) >= sizeof path) {
        errno = ENAMETOOLONG;
        return -1;
    }
    return open(path, O_CREAT | O_EXCL | O_RDWR | O_CLOEXEC, MODE);
}

int new_file_open(const char *folder)
{
    int fd = open(folder, O_TMPFILE | O_RDWR | O_CLOEXEC, MODE);
    return fd < 0 && errno == EOPNOTSUPP ? new_file_open_named(folder) : fd;
}

static void new_file_path_of_fd(int fd, char ret[PATH_OF_FD_MAX])
{
    snprintf(ret, PATH_OF_FD_MAX, "/proc/self/fd/%d", fd);
}

bool new_file_link(int fd, int folder, const char *name)
{
    char self[PATH_OF_FD_MAX];
    new_file_path_of_fd(fd, self);
    return linkat(AT_FDCWD, self, folder, name, AT_SYMLINK_FOLLOW) == 0;
}

/* The kernel knows the random name, if the file has one; a file without a name is "#NUMBER". */
static void remove_random_name(int fd)
{
    char self[PATH_OF_FD_MAX], path[PATH_MAX];
    new_file_path_of_fd(fd, self);
    ssize_t n = readlink(self, path, sizeof path - 1);
    if (n < 0)
        return;
    path[n] = '\0';
    const char *slash = strrchr(path, '/');
    if (slash && strncmp(slash + 1, PREFIX, strlen(PREFIX)) == 0)
        unlink(path);
}

int new_file_open_scratch(const char *folder)
{
    int fd = new_file_open(folder);
    if (fd >= 0)
        remove_random_name(fd);
    return fd;
}

void new_file_close(int fd)
{
    remove_random_name(fd);
    close(fd);
}

void new_files_sweep(const char *folder, int64_t before_s)
{
    DIR *d = opendir(folder);
    for (struct dirent *e; d && (e = readdir(d));) {
        struct stat s;
        if (strncmp(e->d_name, PREFIX, strlen(PREFIX)) == 0 &&
            fstatat(dirfd(d), e->d_name, &s, AT_SYMLINK_NOFOLLOW) == 0 && s.st_mtime < before_s)
            unlinkat(dirfd(d), e->d_name, 0);
    }
    if (d)
        closedir(d);
}
