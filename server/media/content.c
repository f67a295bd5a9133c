#include "server/media/content.h"

#include "base/clock.h"
#include "base/new_file.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

enum { LEFT_BEHIND_S = 24 * 3600 }; /* no file takes longer to be written */

static char *fan_out(struct arena *a, const char *folder, struct str sha256, const char *suffix)
{
    const char *hex = hex_encode(a, sha256.p, sha256.n);
    return arena_printf(a, "%s%.2s/%.2s/%s%s", folder, hex, hex + 2, hex, suffix);
}

char *content_name(struct arena *a, struct str sha256)
{
    return fan_out(a, "", sha256, "");
}

char *content_thumbnail_name(struct arena *a, struct str sha256, const char *variant)
{
    return fan_out(a, "thumbnails/", sha256, arena_printf(a, "-%s", variant));
}

static const struct err *content_failed(const char *name)
{
    return err_storage(errno, "media store: %s", name);
}

static const struct err *open_root(const struct config *c, int *ret)
{
    int fd = open(c->media_store_path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0)
        return content_failed(c->media_store_path);
    *ret = fd;
    return NULL;
}

static void close_fd(int *fd)
{
    if (*fd >= 0)
        close(*fd);
}
#define fd_auto __attribute__((cleanup(close_fd)))

const struct err *content_open(const struct config *c, const char *name, int *ret,
                               int64_t *ret_bytes)
{
    fd_auto int root = -1;
    TRY(open_root(c, &root));
    int fd = openat(root, name, O_RDONLY | O_CLOEXEC);
    struct stat s = {0};
    if (fd < 0 && errno != ENOENT)
        return content_failed(name);
    if (fd >= 0 && fstat(fd, &s)) {
        close(fd);
        return content_failed(name);
    }
    *ret = fd;
    if (ret_bytes)
        *ret_bytes = s.st_size;
    return NULL;
}

const struct err *content_create(const struct config *c, int *ret)
{
    int fd = new_file_open(c->media_store_path);
    if (fd < 0)
        return content_failed(c->media_store_path);
    *ret = fd;
    return NULL;
}

const struct err *content_create_scratch(const struct config *c, int *ret)
{
    int fd = new_file_open_scratch(c->media_store_path);
    if (fd < 0)
        return content_failed(c->media_store_path);
    *ret = fd;
    return NULL;
}

void content_sweep(const struct config *c)
{
    new_files_sweep(c->media_store_path, now_ms() / 1000 - LEFT_BEHIND_S);
}

/* Opens the folder of a name, making missing ones. */
static const struct err *open_folder(int root, const char *name, int *ret)
{
    int fd = dup(root);
    for (const char *slash; fd >= 0 && (slash = strchr(name, '/')); name = slash + 1) {
        char part[NAME_MAX + 1];
        snprintf(part, sizeof part, "%.*s", (int)(slash - name), name);
        fd_auto int parent = fd;
        if (mkdirat(parent, part, 0700) == 0) {
            if (fsync(parent))
                return content_failed(part);
        } else if (errno != EEXIST) {
            return content_failed(part);
        }
        fd = openat(parent, part, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    }
    if (fd < 0)
        return content_failed(name);
    *ret = fd;
    return NULL;
}

const struct err *content_link(const struct config *c, int fd, const char *name, bool *ret_new)
{
    fd_auto int root = -1, folder = -1;
    if (fsync(fd))
        return content_failed(name);
    TRY(open_root(c, &root));
    TRY(open_folder(root, name, &folder));
    bool is_new = new_file_link(fd, root, name);
    if (!is_new && errno != EEXIST)
        return content_failed(name);
    if (fsync(folder)) { /* also for the file of another upload that has not synced it yet */
        const struct err *e = content_failed(name);
        if (is_new)
            unlinkat(root, name, 0);
        return e;
    }
    *ret_new = is_new;
    return NULL;
}

const struct err *content_unlink(const struct config *c, const char *name)
{
    fd_auto int root = -1;
    TRY(open_root(c, &root));
    return unlinkat(root, name, 0) && errno != ENOENT ? content_failed(name) : NULL;
}
