#include "server/cli/check.h"

#include "federation/keys/key_settings.h"
#include "matrix/id.h"
#include "matrix/room_version.h"
#include "storage/db/db.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

/* ---- files ---- */

/* Why this process may not access the path; NULL: it may. */
static const char *refused(const char *path, int how)
{
    return faccessat(AT_FDCWD, path, how, AT_EACCESS) ? strerror(errno) : NULL;
}

static void check_file(const struct config *c, const char *key, const char *path, struct buf *ret)
{
    const char *why = path ? refused(path, R_OK) : NULL;
    struct stat s;
    if (path && !why && stat(path, &s) == 0 && S_ISDIR(s.st_mode))
        why = strerror(EISDIR);
    if (why)
        config_complain(c, key, ret, "%s: %s (a file that the server's user may read)", path, why);
}

/* The nearest existing directory above a path. */
static const char *nearest_parent(struct arena *a, const char *path)
{
    char *parent = arena_strdup(a, path);
    while (strcmp(parent, "/") != 0 && strcmp(parent, ".") != 0) {
        char *slash = strrchr(parent, '/');
        if (slash)
            slash[slash == parent] = '\0';
        else
            parent = arena_strdup(a, ".");
        if (access(parent, F_OK) == 0)
            break;
    }
    return parent;
}

static void check_dir(const struct config *c, const char *key, const char *path, struct buf *ret)
{
    arena_auto struct arena *a = arena_create();
    bool exists = access(path, F_OK) == 0;
    const char *dir = exists ? path : nearest_parent(a, path);
    struct stat s;
    const char *why = stat(dir, &s)         ? strerror(errno)
                      : !S_ISDIR(s.st_mode) ? strerror(ENOTDIR)
                                            : refused(dir, W_OK | X_OK);
    if (why)
        config_complain(c, key, ret,
                        "%s: %s (a directory in which the server's user may write, or may be made)",
                        dir, why);
}

/* A missing key will be made; if it is under data_dir, that is made first. */
static void check_signing_key(const struct config *c, struct buf *ret)
{
    arena_auto struct arena *a = arena_create();
    const char *path = c->signing_key_path;
    if (!config_is_set(c, "signing_key_path") && access(c->data_dir, F_OK))
        return;
    if (access(path, F_OK) == 0 || errno != ENOENT) {
        check_file(c, "signing_key_path", path, ret);
        return;
    }
    const char *parent = nearest_parent(a, path), *why = refused(parent, W_OK | X_OK);
    if (why)
        config_complain(c, "signing_key_path", ret, "%s: %s (the key must be made there)", parent,
                        why);
}

static void check_files(const struct config *c, struct buf *ret)
{
    for (size_t i = 0; i < c->listen_n; i++) {
        check_file(c, "listen", c->listen[i].tls_certificate, ret);
        check_file(c, "listen", c->listen[i].tls_key, ret);
    }
    for (size_t i = 0; i < c->federation_custom_ca_list.n; i++)
        check_file(c, "federation_custom_ca_list", c->federation_custom_ca_list.items[i], ret);
    check_dir(c, "data_dir", c->data_dir, ret);
    if (config_is_set(c, "media_store_path"))
        check_dir(c, "media_store_path", c->media_store_path, ret);
    check_signing_key(c, ret);
}

/* ---- rules of the protocol ---- */

static void check_servers(const struct config *c, const char *key, struct config_list names,
                          struct buf *ret)
{
    for (size_t i = 0; i < names.n; i++)
        if (!id_is_server_name(str_of(names.items[i])))
            config_complain(c, key, ret,
                            "expected a list of server names such as [one.example, two.example], "
                            "got `%s`",
                            names.items[i]);
}

static void check_server_name(const struct config *c, struct buf *ret)
{
    if (c->file && !config_is_set(c, "server_name"))
        buf_printf(ret,
                   "%s: `server_name` is missing: write `server_name: example.org`, the part of "
                   "your users' ids after the colon\n",
                   c->file);
    else if (!id_is_server_name(str_of(c->server_name)))
        config_complain(c, "server_name", ret,
                        "expected a host name such as example.org, with a port if need be, got "
                        "`%s`",
                        c->server_name);
}

static void check_database_uri(const struct config *c, const char *key, const char *uri,
                               struct buf *ret)
{
    if (uri && !db_uri_is_valid(uri))
        config_complain(c, key, ret,
                        "cannot be understood: write postgresql://USER:PASSWORD@HOST/NAME, with "
                        "%%40 for @, %%2F for / and %%25 for %% in the user's name and password");
}

void check_config(const struct config *c, struct buf *ret)
{
    check_server_name(c, ret);
    if (!room_version_find(c->default_room_version))
        config_complain(c, "default_room_version", ret,
                        "expected a version from 1 to 12, in quotes (\"12\"), got `%s`",
                        c->default_room_version);
    if (c->support_matrix_id && !id_is_user(str_of(c->support_matrix_id)))
        config_complain(c, "support_matrix_id", ret, "expected @user:server, got `%s`",
                        c->support_matrix_id);
    check_database_uri(c, "database", c->database, ret);
    check_database_uri(c, "database_replica", c->database_replica, ret);
    key_settings_check(c, ret);
    check_servers(c, "federation_domain_whitelist", c->federation_domain_whitelist, ret);
    check_servers(c, "prevent_media_downloads_from", c->prevent_media_downloads_from, ret);
    check_files(c, ret);
}
