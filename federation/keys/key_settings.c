#include "federation/keys/key_settings.h"

#include "federation/keys/key_response.h"
#include "matrix/id.h"

/* Configured keys never expire. */
#define ALWAYS INT64_MAX

/* Cuts off the part before the separator; false if there is none. */
static bool key_settings_cut(struct str *rest, char separator, struct str *ret)
{
    const char *at = memchr(rest->p, separator, rest->n);
    if (!at)
        return false;
    *ret = (struct str){rest->p, (size_t)(at - rest->p)};
    *rest = (struct str){at + 1, rest->n - ret->n - 1};
    return true;
}

/* "ed25519:id:base64", followed by ":expired_ts" for old keys. */
static bool key_settings_read_key(struct arena *a, struct str text, bool is_old,
                                  struct server_key *ret)
{
    struct str algorithm, id, key = text;
    struct server_key k = {.valid_until_ts = ALWAYS};
    if (!key_settings_cut(&key, ':', &algorithm) || !str_is(algorithm, "ed25519") ||
        !key_settings_cut(&key, ':', &id))
        return false;
    if (is_old) {
        struct str rest = key;
        if (!key_settings_cut(&rest, ':', &key) || !str_to_int64(rest, &k.valid_until_ts))
            return false;
    }
    k.key_id = arena_printf(a, "ed25519:%.*s", STR_FMT(id));
    k.public_key = str_dup(a, key);
    *ret = k;
    return id_is_key(str_of(k.key_id)) && key_is_wellformed(k.public_key);
}

/* "server=ed25519:id:base64"; without needs_key the server alone suffices. */
static bool read_server(struct arena *a, const char *text, bool needs_key, struct server_key *ret)
{
    struct str server, key = str_of(text);
    bool has_key = key_settings_cut(&key, '=', &server);
    struct server_key k = {0};
    if (has_key ? !key_settings_read_key(a, key, false, &k) : needs_key)
        return false;
    k.server = has_key ? str_dup(a, server) : text;
    *ret = k;
    return id_is_server_name(str_of(k.server));
}

/* ---- reading ---- */

static void key_settings_add_own(struct arena *a, const struct config *config,
                                 const struct signing_key *k, struct server_key *ret)
{
    *ret = (struct server_key){
        .server = config->server_name,
        .key_id = k->id,
        .public_key = base64_encode(a, BASE64_STANDARD, k->public_, sizeof k->public_),
        .valid_until_ts = ALWAYS,
    };
}

static void read_own(struct arena *a, const struct config *config, const struct signing_keys *own,
                     struct key_settings *ret)
{
    const struct config_list *old = &config->old_signing_keys;
    struct server_key *keys = arena_alloc_array(a, 1 + own->further_n + old->n, sizeof *keys);
    size_t n = 0;
    key_settings_add_own(a, config, &own->current, &keys[n++]);
    for (size_t i = 0; i < own->further_n; i++)
        key_settings_add_own(a, config, &own->further[i], &keys[n++]);
    ret->own_in_use = n;
    for (size_t i = 0; i < old->n; i++) {
        if (!key_settings_read_key(a, str_of(old->items[i]), true, &keys[n]))
            continue;
        keys[n++].server = config->server_name;
    }
    ret->own = keys;
    ret->own_n = n;
}

static const struct server_key *key_settings_read_servers(struct arena *a,
                                                          const struct config_list *list,
                                                          bool needs_key, size_t *ret_n)
{
    struct server_key *keys = arena_alloc_array(a, list->n, sizeof *keys);
    size_t n = 0;
    for (size_t i = 0; i < list->n; i++)
        n += read_server(a, list->items[i], needs_key, &keys[n]);
    *ret_n = n;
    return keys;
}

void key_settings_read(struct arena *a, const struct config *config, const struct signing_keys *own,
                       struct key_settings *ret)
{
    read_own(a, config, own, ret);
    ret->pinned =
        key_settings_read_servers(a, &config->federation_pinned_keys, true, &ret->pinned_n);
    ret->notaries =
        key_settings_read_servers(a, &config->trusted_key_servers, false, &ret->notaries_n);
}

/* ---- finding ---- */

static bool keys_key_settings_find(const struct server_key *keys, size_t n, const char *server,
                                   const char *key_id, int64_t valid_at_ms, const char **ret_key)
{
    bool found = false;
    for (size_t i = 0; i < n; i++) {
        if (strcmp(keys[i].server, server) != 0)
            continue;
        found = true;
        if (strcmp(keys[i].key_id, key_id) == 0 && valid_at_ms <= keys[i].valid_until_ts)
            *ret_key = keys[i].public_key;
    }
    return found;
}

bool key_settings_find(const struct key_settings *k, const char *server, const char *key_id,
                       int64_t valid_at_ms, const char **ret_key)
{
    *ret_key = NULL;
    return keys_key_settings_find(k->own, k->own_n, server, key_id, valid_at_ms, ret_key) ||
           keys_key_settings_find(k->pinned, k->pinned_n, server, key_id, valid_at_ms, ret_key);
}

/* ---- checking ---- */

static void complain(const struct config *c, const char *key, const char *expected, const char *got,
                     struct buf *problems)
{
    config_complain(c, key, problems, "expected %s, got `%s`", expected, got);
}

void key_settings_check(const struct config *c, struct buf *ret_problems)
{
    arena_auto struct arena *a = arena_create();
    struct server_key k;
    for (size_t i = 0; i < c->old_signing_keys.n; i++)
        if (!key_settings_read_key(a, str_of(c->old_signing_keys.items[i]), true, &k))
            complain(c, "old_signing_keys",
                     "a list of ed25519:ID:BASE64:EXPIRED_TS (the public key, and when it was "
                     "replaced, in "
                     "milliseconds)",
                     c->old_signing_keys.items[i], ret_problems);
    for (size_t i = 0; i < c->federation_pinned_keys.n; i++)
        if (!read_server(a, c->federation_pinned_keys.items[i], true, &k))
            complain(c, "federation_pinned_keys", "a list of SERVER=ed25519:ID:BASE64",
                     c->federation_pinned_keys.items[i], ret_problems);
    for (size_t i = 0; i < c->trusted_key_servers.n; i++)
        if (!read_server(a, c->trusted_key_servers.items[i], false, &k))
            complain(c, "trusted_key_servers", "a list of SERVER or SERVER=ed25519:ID:BASE64",
                     c->trusted_key_servers.items[i], ret_problems);
}
