#include "server/check.h"

#include "federation/key_settings.h"
#include "matrix/id.h"
#include "matrix/room_version.h"

#include <errno.h>
#include <unistd.h>

static void check_file(const char *key, const char *path, struct buf *ret)
{
    if (path && access(path, R_OK))
        buf_printf(ret, "`%s`: %s: %s\n", key, path, strerror(errno));
}

static void check_servers(const char *key, struct config_list names, struct buf *ret)
{
    for (size_t i = 0; i < names.n; i++)
        if (!id_is_server_name(str_of(names.items[i])))
            buf_printf(ret, "`%s`: expected server names, got `%s`\n", key, names.items[i]);
}

void check_config(const struct config *c, struct buf *ret)
{
    if (!id_is_server_name(str_of(c->server_name)))
        buf_printf(ret,
                   "`server_name`: expected a host name such as example.org, with a port if need "
                   "be, got `%s`\n",
                   c->server_name);
    if (!room_version_find(c->default_room_version))
        buf_printf(ret, "`default_room_version`: expected a version from 1 to 12, got `%s`\n",
                   c->default_room_version);
    if (c->support_matrix_id && !id_is_user(str_of(c->support_matrix_id)))
        buf_printf(ret, "`support_matrix_id`: expected @user:server, got `%s`\n",
                   c->support_matrix_id);
    key_settings_check(c, ret);
    check_servers("federation_domain_whitelist", c->federation_domain_whitelist, ret);
    check_servers("prevent_media_downloads_from", c->prevent_media_downloads_from, ret);
    for (size_t i = 0; i < c->listen_n; i++) {
        check_file("listen", c->listen[i].tls_certificate, ret);
        check_file("listen", c->listen[i].tls_key, ret);
    }
    for (size_t i = 0; i < c->federation_custom_ca_list.n; i++)
        check_file("federation_custom_ca_list", c->federation_custom_ca_list.items[i], ret);
}
