#include "server/cli/data_dir.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

enum { SIGNING_KEYS_MAX = 16 };

static const struct err *data_dir_failed(const char *path)
{
    return err(ERR_INVALID_PARAM, "%s: %s", path, strerror(errno));
}

/* Files that root makes are given to the owner of the data, so that the server can read all files
 * of commands run as root. */
static const struct err *give_to_owner(const char *dir, const char *path)
{
    struct stat owner;
    if (geteuid() != 0)
        return NULL;
    if (stat(dir, &owner) || lchown(path, owner.st_uid, owner.st_gid))
        return data_dir_failed(path);
    return NULL;
}

/* mkdir -p */
static const struct err *make_dir(const char *path, mode_t mode)
{
    buf_auto struct buf part = {0};
    for (const char *at = path; *at;) {
        size_t n = strspn(at, "/");
        n += strcspn(at + n, "/");
        buf_add(&part, at, n);
        at += n;
        if (mkdir(part.p, *at ? 0755 : mode) && errno != EEXIST)
            return data_dir_failed(part.p);
    }
    struct stat s;
    if (stat(path, &s))
        return data_dir_failed(path);
    if (!S_ISDIR(s.st_mode))
        return err(ERR_INVALID_PARAM, "%s: not a directory", path);
    return NULL;
}

const struct err *data_dir_make(const struct config *config)
{
    const char *media = config->media_store_path;
    TRY(make_dir(config->data_dir, 0711));
    if (access(media, F_OK) == 0)
        return NULL;
    TRY(make_dir(media, 0700));
    return give_to_owner(config->data_dir, media);
}

const struct err *data_dir_need(const struct config *config)
{
    buf_auto struct buf path = {0};
    buf_printf(&path, "%s/concorde.lock", config->data_dir);
    if (access(path.p, F_OK) == 0 || errno == EACCES)
        return NULL;
    return err(ERR_INVALID_PARAM,
               "There are no data of a server in %.120s. Give the command the --data, --config and "
               "--set of `concorde serve`, which makes new data",
               config->data_dir);
}

static const struct err *read_all(int fd, const char *path, struct buf *ret)
{
    char chunk[1024];
    ssize_t n;
    while ((n = pread(fd, chunk, sizeof chunk, (off_t)ret->n)) > 0)
        buf_add(ret, chunk, (size_t)n);
    return n < 0 ? data_dir_failed(path) : NULL;
}

static const struct err *data_dir_write_all(int fd, const char *path, struct str bytes)
{
    for (size_t done = 0; done < bytes.n;) {
        ssize_t n = pwrite(fd, bytes.p + done, bytes.n - done, (off_t)done);
        if (n < 0)
            return data_dir_failed(path);
        done += (size_t)n;
    }
    return fsync(fd) ? data_dir_failed(path) : NULL;
}

/* "PID URI" */
static struct data_dir_owner read_owner(struct arena *a, struct str text)
{
    const char *space = memchr(text.p, ' ', text.n);
    int64_t pid;
    if (!space || !str_to_int64((struct str){text.p, (size_t)(space - text.p)}, &pid))
        return (struct data_dir_owner){0};
    size_t used = (size_t)(space + 1 - text.p);
    return (struct data_dir_owner){(pid_t)pid, arena_memdup(a, space + 1, text.n - used)};
}

const struct err *data_dir_lock(struct arena *a, const char *dir, int *ret_fd,
                                struct data_dir_owner *ret_owner)
{
    const char *path = arena_printf(a, "%s/concorde.lock", dir);
    int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    if (fd < 0)
        return data_dir_failed(path);
    if (flock(fd, LOCK_EX | LOCK_NB) == 0) {
        const struct err *e = ftruncate(fd, 0) ? data_dir_failed(path) /* left by a killed server */
                                               : give_to_owner(dir, path);
        if (e)
            close(fd);
        else
            *ret_fd = fd;
        return e;
    }
    buf_auto struct buf text = {0};
    const struct err *e = read_all(fd, path, &text);
    close(fd);
    TRY(e);
    *ret_fd = -1;
    *ret_owner = read_owner(a, buf_str(&text));
    return NULL;
}

const struct err *data_dir_publish(int lock_fd, const char *uri)
{
    buf_auto struct buf text = {0};
    buf_printf(&text, "%d %s", (int)getpid(), uri);
    return data_dir_write_all(lock_fd, "concorde.lock", buf_str(&text));
}

static const struct err *data_dir_make_key(const char *dir, const char *path,
                                           struct signing_key *ret)
{
    buf_auto struct buf line = {0};
    struct signing_key key;
    signing_key_make(&key);
    signing_key_add_line(&line, &key);
    int fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    if (fd < 0)
        return data_dir_failed(path);
    const struct err *e = data_dir_write_all(fd, path, buf_str(&line));
    close(fd);
    if (e) {
        unlink(path);
        return e;
    }
    *ret = key;
    return give_to_owner(dir, path);
}

static const struct err *data_dir_parse_keys(struct arena *a, const char *path, struct str text,
                                             const struct signing_key **ret, size_t *ret_n)
{
    struct signing_key *keys = arena_alloc_array(a, SIGNING_KEYS_MAX, sizeof *keys);
    size_t n = 0;
    for (const char *at = text.p, *end = text.p + text.n; at < end;) {
        struct str line = {at, strcspn(at, "\n")};
        at += line.n + 1;
        if (n && strspn(line.p, " \t\r") >= line.n)
            continue;
        if (n == SIGNING_KEYS_MAX)
            return err(ERR_INVALID_PARAM, "%s: more than %d keys", path, SIGNING_KEYS_MAX);
        const struct err *e = signing_key_parse(line, &keys[n++]);
        if (e)
            return err(ERR_INVALID_PARAM, "%s: %s", path, e->text);
    }
    if (!n)
        return err(ERR_INVALID_PARAM, "%s: there is no key in it", path);
    *ret = keys;
    *ret_n = n;
    return NULL;
}

const struct err *data_dir_signing_keys(struct arena *a, const struct config *config, bool may_make,
                                        const struct signing_key **ret, size_t *ret_n)
{
    const char *path = config->signing_key_path;
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0 && errno == ENOENT && may_make) {
        struct signing_key *key = arena_alloc(a, sizeof *key);
        TRY(data_dir_make_key(config->data_dir, path, key));
        *ret = key;
        *ret_n = 1;
        return NULL;
    }
    if (fd < 0)
        return data_dir_failed(path);
    buf_auto struct buf text = {0};
    const struct err *e = read_all(fd, path, &text);
    close(fd);
    TRY(e);
    return data_dir_parse_keys(a, path, buf_str(&text), ret, ret_n);
}
