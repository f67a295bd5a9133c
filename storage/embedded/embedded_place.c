#include "storage/embedded/embedded_cluster.h"

#include "base/log.h"
#include "base/sha256.h"
#include "base/str.h"

#include <errno.h>
#include <libgen.h>
#include <pwd.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

/* ---- which user ---- */

static bool embedded_place_look_up(struct cluster *c, const struct passwd *p)
{
    if (!p || p->pw_uid == 0)
        return false;
    c->uid = p->pw_uid;
    c->gid = p->pw_gid;
    c->user = arena_strdup(c->arena, p->pw_name);
    return true;
}

/* PostgreSQL refuses to run as root. An existing cluster keeps its owner; a new one gets the owner
 * of the data directory, if that is not root. Start-up is single-threaded, so getpw* may be used.
 */
static const struct err *choose_user(struct cluster *c)
{
    struct stat s;
    bool exists = stat(c->dir, &s) == 0;
    c->other_user = geteuid() == 0;
    if (!c->other_user) {
        c->uid = geteuid();
        c->gid = getegid();
        c->user = "that";
        if (exists && s.st_uid != c->uid)
            return err(ERR_INTERNAL,
                       "%s belongs to another user (uid %d): start the server as that user", c->dir,
                       (int)s.st_uid);
        return NULL;
    }
    bool owned = exists || stat(dirname(arena_strdup(c->arena, c->dir)), &s) == 0;
    if (owned && s.st_uid != 0) {
        c->uid = s.st_uid;
        c->gid = s.st_gid;
        c->user = arena_printf(c->arena, "with uid %d", (int)s.st_uid);
        embedded_place_look_up(c, getpwuid(s.st_uid));
        return NULL;
    }
    if (embedded_place_look_up(c, getpwnam("postgres")) ||
        embedded_place_look_up(c, getpwnam("nobody")))
        return NULL;
    return err(ERR_INTERNAL, "PostgreSQL cannot run as root, and there is no user `postgres` or "
                             "`nobody`: start the server as an unprivileged user");
}

/* ---- directories ---- */

static bool may_use(const struct cluster *c, const struct stat *s)
{
    if (s->st_uid == c->uid)
        return s->st_mode & S_IXUSR;
    if (s->st_gid == c->gid)
        return s->st_mode & S_IXGRP;
    return s->st_mode & S_IXOTH;
}

/* The first directory, from the given one upwards, that the database's user cannot enter; NULL:
 * none. */
static const char *find_blocked(const struct cluster *c, const char *path)
{
    struct stat s;
    for (char *p = arena_strdup(c->arena, path);; p = dirname(p)) {
        if (stat(p, &s) != 0 || !may_use(c, &s))
            return p;
        if (strcmp(p, "/") == 0)
            return NULL;
    }
}

/* Lets the database's user enter, but not list, the data directory. */
static void open_data_dir(const struct cluster *c, const char *data)
{
    struct stat s;
    if (stat(data, &s) == 0 && !may_use(c, &s))
        chmod(data, (s.st_mode & 07777) | S_IXGRP | S_IXOTH);
}

/* For a data directory below one that the database's user cannot enter, such as /root: the cluster
 * is made in a directory elsewhere, and DATA/postgres becomes a link to it. */
static const struct err *place_elsewhere(struct cluster *c, const char *link, const char *blocked)
{
    const char *parent = access("/var/lib", W_OK) == 0 ? "/var/lib" : "/var/tmp";
    char *dir = arena_printf(c->arena, "%s/concorde-XXXXXX", parent);
    if (!mkdtemp(dir))
        return cluster_cannot("make", dir);
    if (symlink(dir, link) != 0) {
        rmdir(dir);
        return cluster_cannot("link", link);
    }
    log_warn("PostgreSQL runs as the user %s, which cannot enter %s: its files are in %s", c->user,
             blocked, dir);
    c->dir = dir;
    return NULL;
}

/* As root: the other user must be able to reach the cluster. */
static const struct err *make_reachable(struct cluster *c, const char *data, bool is_link)
{
    if (!is_link)
        open_data_dir(c, data);
    const char *parent = is_link ? dirname(arena_strdup(c->arena, c->dir)) : data;
    const char *blocked = find_blocked(c, parent);
    if (!blocked)
        return NULL;
    if (!is_link && access(c->dir, F_OK) != 0)
        return place_elsewhere(c, c->dir, blocked);
    return err(ERR_INTERNAL,
               "PostgreSQL runs as the user %s, which cannot enter %.80s: move %.80s, or start the "
               "server as an unprivileged user",
               c->user, blocked, c->dir);
}

static const struct err *make_private_dir(const struct cluster *c, const char *path)
{
    if (mkdir(path, 0700) != 0 && errno != EEXIST)
        return cluster_cannot("make", path);
    struct stat s;
    if (lstat(path, &s) != 0 || !S_ISDIR(s.st_mode))
        return cluster_cannot("use", path);
    if (s.st_uid == 0 && c->other_user && lchown(path, c->uid, c->gid) != 0)
        return cluster_cannot("give to the database's user", path);
    if (s.st_uid != 0 && s.st_uid != c->uid)
        return err(ERR_INTERNAL, "%.180s belongs to another user (uid %d)", path, (int)s.st_uid);
    if ((s.st_mode & 0777) != 0700 && chmod(path, 0700) != 0)
        return cluster_cannot("make private", path);
    return NULL;
}

/* A comma would separate two of libpq's hosts. */
static bool fits_a_socket(const char *dir)
{
    return !strchr(dir, ',') &&
           strlen(dir) + strlen("/.s.PGSQL.5432") < sizeof((struct sockaddr_un *)0)->sun_path;
}

/* A short path, the same at every start. */
static const char *short_socket_dir(const struct cluster *c)
{
    const char *parent = access("/run", W_OK) == 0 ? "/run" : "/tmp";
    return arena_printf(c->arena, "%s/%s", parent, c->name);
}

/* ---- names ---- */

static const char *name_of(struct arena *a, const char *dir)
{
    unsigned char digest[SHA256_BYTES];
    sha256(str_of(dir), digest);
    return arena_printf(a, "concorde-%s", hex_encode(a, digest, 6));
}

const char *cluster_uri(const struct cluster *c, const char *role, const char *database)
{
    return arena_printf(c->arena, "host='%s' port=5432 user=%s dbname=%s",
                        cluster_quote(c->arena, c->socket_dir, "'\\", '\\'), role, database);
}

static int version_of_cluster(const char *pgdata)
{
    char path[4096];
    snprintf(path, sizeof path, "%s/PG_VERSION", pgdata);
    int version = 0;
    FILE *f = fopen(path, "re");
    if (!f)
        return 0;
    if (fscanf(f, "%d", &version) != 1)
        version = 0;
    fclose(f);
    return version;
}

static const struct err *find_programs(struct cluster *c)
{
    int version = version_of_cluster(c->pgdata);
    c->bin = cluster_find_programs(c->arena, version);
    if (c->bin)
        return NULL;
    if (version)
        return err(ERR_INTERNAL,
                   "%.120s was made by PostgreSQL %d, whose programs are not installed", c->pgdata,
                   version);
    return err(ERR_INTERNAL, "No PostgreSQL is installed here (looked in /usr/lib/postgresql, PATH "
                             "and pg_config): install it, or set `database`");
}

/* Resolved, in the arena; NULL when it does not exist. */
static const char *real_path(struct arena *a, const char *path)
{
    char *real = realpath(path, NULL);
    const char *copy = arena_strdup(a, real);
    free(real);
    return copy;
}

/* The cluster's directory: DATA/postgres, or the target of that link. */
static const struct err *choose_dir(struct cluster *c, const char *data)
{
    c->dir = arena_printf(c->arena, "%s/postgres", data);
    struct stat s;
    bool is_link = lstat(c->dir, &s) == 0 && S_ISLNK(s.st_mode);
    if (is_link) {
        const char *target = real_path(c->arena, c->dir);
        if (!target)
            return cluster_cannot("follow", c->dir);
        c->dir = target;
    }
    TRY(choose_user(c));
    if (c->other_user)
        TRY(make_reachable(c, data, is_link));
    return make_private_dir(c, c->dir);
}

const struct err *cluster_locate(struct arena *a, const char *data_dir, struct cluster *ret)
{
    if (mkdir(data_dir, 0711) != 0 && errno != EEXIST)
        return cluster_cannot("make", data_dir);
    const char *data = real_path(a, data_dir);
    if (!data)
        return cluster_cannot("find", data_dir);
    struct cluster c = {.arena = a};
    TRY(choose_dir(&c, data));
    c.pgdata = arena_printf(a, "%s/data", c.dir);
    c.log = arena_printf(a, "%s/log", c.dir);
    c.name = name_of(a, c.dir);
    c.socket_dir = fits_a_socket(c.dir) ? c.dir : short_socket_dir(&c);
    TRY(make_private_dir(&c, c.socket_dir));
    c.pid_file = arena_printf(a, "%s/postmaster.pid", c.pgdata);
    c.socket_lock = arena_printf(a, "%s/.s.PGSQL.5432.lock", c.socket_dir);
    c.uri = cluster_uri(&c, "concorde", "concorde");
    TRY(find_programs(&c));
    *ret = c;
    return NULL;
}
