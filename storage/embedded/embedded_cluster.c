#include "storage/embedded/embedded_cluster.h"

#include "base/str.h"
#include "storage/embedded/embedded_process.h"

#include <errno.h>
#include <fcntl.h>
#include <locale.h>
#include <stdio.h>
#include <unistd.h>

const struct err *cluster_cannot(const char *what, const char *path)
{
    return err(ERR_INTERNAL, "Cannot %s %.180s: %s", what, path, strerror(errno));
}

const char *cluster_quote(struct arena *a, const char *s, const char *special, char mark)
{
    buf_auto struct buf b = {0};
    for (; *s; s++) {
        if (strchr(special, *s))
            buf_add_char(&b, mark ? mark : *s);
        buf_add_char(&b, *s);
    }
    return arena_strdup(a, buf_str(&b).p);
}

/* ---- settings ---- */

/* Replaces a file atomically. Does not follow a link that the other user may have made there. */
static const struct err *write_file(const struct cluster *c, const char *path, struct str text)
{
    const char *new = arena_printf(c->arena, "%s.new", path);
    unlink(new);
    int fd = open(new, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
    if (fd < 0)
        return cluster_cannot("write", new);
    bool good = write(fd, text.p, text.n) == (ssize_t)text.n && fsync(fd) == 0 &&
                (!c->other_user || fchown(fd, c->uid, c->gid) == 0);
    good = close(fd) == 0 && good && rename(new, path) == 0;
    return good ? NULL : cluster_cannot("write", path);
}

/* Full durability throughout; the rest is for many short statements on small, hot tables. */
static const char settings[] =
    "# Written by the server at every start. Put your own settings into local.conf.\n"
    "listen_addresses = ''\n"
    "port = 5432\n"
    "unix_socket_permissions = 0700\n"
    "max_connections = 100\n"
    "fsync = on\n"
    "synchronous_commit = on\n"
    "full_page_writes = on\n"
    "wal_buffers = 16MB\n"
    "min_wal_size = 256MB\n"
    "max_wal_size = 2GB\n"
    "checkpoint_timeout = 15min\n"
    "checkpoint_completion_target = 0.9\n"
    "huge_pages = try\n"
    "work_mem = 16MB\n"
    "maintenance_work_mem = 128MB\n"
    "jit = off\n"
    "max_parallel_workers_per_gather = 0\n"
    "random_page_cost = 1.1\n"
    "autovacuum_naptime = 15s\n"
    "autovacuum_vacuum_scale_factor = 0.05\n"
    "autovacuum_analyze_scale_factor = 0.05\n"
    "autovacuum_vacuum_insert_scale_factor = 0.1\n"
    "autovacuum_vacuum_cost_limit = 1000\n"
    "log_destination = 'stderr'\n"
    "logging_collector = off\n"
    "log_line_prefix = '%m [%p] '\n"
    "log_checkpoints = off\n"
    "log_autovacuum_min_duration = -1\n"
    "log_error_verbosity = terse\n" /* DETAIL would log keys, and so tokens */
    "log_timezone = 'UTC'\n"
    "timezone = 'UTC'\n";

static long memory_mb(void)
{
    return sysconf(_SC_PHYS_PAGES) / 1024 * (sysconf(_SC_PAGESIZE) / 1024);
}

static long embedded_cluster_between(long least, long value, long most)
{
    return value < least ? least : value > most ? most : value;
}

const struct err *cluster_configure(const struct cluster *c)
{
    struct arena *a = c->arena;
    buf_auto struct buf b = {0};
    buf_add_text(&b, settings);
    buf_printf(&b, "cluster_name = '%s'\n", c->name);
    /* A list of paths in double quotes, inside of single ones. */
    const char *path = cluster_quote(a, cluster_quote(a, c->socket_dir, "\"", 0), "'\\", 0);
    buf_printf(&b, "unix_socket_directories = '\"%s\"'\n", path);
    buf_printf(&b, "shared_buffers = %ldMB\n",
               embedded_cluster_between(128, memory_mb() / 16, 1024));
    buf_printf(&b, "effective_cache_size = %ldMB\n",
               embedded_cluster_between(256, memory_mb() / 2, 65536));
    return write_file(c, arena_printf(a, "%s/concorde.conf", c->pgdata), buf_str(&b));
}

/* ---- creation ---- */

static const char *program(const struct cluster *c, const char *name)
{
    return arena_printf(c->arena, "%s/%s", c->bin, name);
}

/* lz4 is a build option of PostgreSQL, and of its WAL only since version 15. */
static bool accepts(const struct cluster *c, const char *pgdata, const char *name,
                    const char *setting)
{
    const char *argv[] = {program(c, "postgres"), "-D", pgdata, "-C", name, "-c", setting, NULL};
    return cluster_run(c, argv) == NULL;
}

static const struct err *write_main_configuration(const struct cluster *c, const char *pgdata)
{
    buf_auto struct buf b = {0};
    bool wal = accepts(c, pgdata, "wal_compression", "wal_compression=lz4");
    buf_printf(&b, "wal_compression = %s\n", wal ? "lz4" : "on");
    if (accepts(c, pgdata, "default_toast_compression", "default_toast_compression=lz4"))
        BUF_LIT(&b, "default_toast_compression = lz4\n");
    BUF_LIT(&b, "include_if_exists = 'concorde.conf'\n"
                "include_if_exists = 'local.conf'\n");
    TRY(write_file(c, arena_printf(c->arena, "%s/local.conf", pgdata),
                   STR("# Your own settings; they win over the server's.\n")));
    return write_file(c, arena_printf(c->arena, "%s/postgresql.conf", pgdata), buf_str(&b));
}

/* The collation is C, which every index relies on; the character classes are Unicode's if the
 * system has them, for searches that ignore case. */
static const char *letters(void)
{
    locale_t l = newlocale(LC_CTYPE_MASK, "C.UTF-8", (locale_t)0);
    if (!l)
        return "--lc-ctype=C";
    freelocale(l);
    return "--lc-ctype=C.UTF-8";
}

static void sync_dir(const char *path)
{
    int fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd >= 0) {
        fsync(fd);
        close(fd);
    }
}

const struct err *cluster_create_if_missing(const struct cluster *c)
{
    if (access(c->pgdata, F_OK) == 0)
        return NULL;
    /* Created under another name, so that a cluster with the final name is complete. */
    const char *new = arena_printf(c->arena, "%s.new", c->pgdata);
    const char *clear[] = {"/bin/rm", "-rf", "--", new, NULL};
    TRY(cluster_run(c, clear));
    const char *initdb[] = {program(c, "initdb"),
                            "-D",
                            new,
                            "--username=postgres",
                            "--encoding=UTF8",
                            "--locale=C",
                            letters(),
                            "--auth-local=trust",
                            "--auth-host=reject",
                            "--data-checksums",
                            "--no-instructions",
                            NULL};
    TRY(cluster_run(c, initdb));
    TRY(write_main_configuration(c, new));
    if (rename(new, c->pgdata) != 0)
        return cluster_cannot("rename", new);
    sync_dir(c->dir);
    return NULL;
}
