/* Server-server API, "Publishing keys" and "Server implementation".
 *
 * Every line of the signing key file is published as in use. The first one signs; the others allow
 * a change of keys without a gap (put the new one first, and once key_refresh_interval is over move
 * the old one to old_signing_keys). */
#include "base/clock.h"
#include "federation/keys/keyring.h"
#include "federation/routes.h"

static json_t *keys_in_use(const struct key_settings *k)
{
    json_t *keys = json_object();
    for (size_t i = 0; i < k->own_in_use; i++)
        json_object_set_new(keys, k->own[i].key_id,
                            json_pack("{s:s}", "key", k->own[i].public_key));
    return keys;
}

static json_t *old_keys(const struct key_settings *k)
{
    json_t *keys = json_object();
    for (size_t i = k->own_in_use; i < k->own_n; i++)
        json_object_set_new(keys, k->own[i].key_id,
                            json_pack("{s:s,s:I}", "key", k->own[i].public_key, "expired_ts",
                                      (json_int_t)k->own[i].valid_until_ts));
    return keys;
}

const struct err *federation_own_keys(struct job *job, json_t **ret)
{
    struct key_settings k;
    key_settings_read(job->arena, job->config, job->keys, &k);
    int64_t until = now_ms() + job->config->key_refresh_interval_ms;
    json_t *keys = json_keep(
        job->arena, json_pack("{s:s, s:I, s:o, s:o}", "server_name", job->config->server_name,
                              "valid_until_ts", (json_int_t)until, "verify_keys", keys_in_use(&k),
                              "old_verify_keys", old_keys(&k)));
    TRY(sign_json(keys, job->config->server_name, &job->keys->current));
    for (size_t i = 0; i < job->keys->further_n; i++)
        TRY(sign_json(keys, job->config->server_name, &job->keys->further[i]));
    *ret = keys;
    return NULL;
}

static const struct err *get_server_keys(struct request *rq, struct reply *rp)
{
    json_t *keys;
    TRY(federation_own_keys(rq->job, &keys));
    return reply_tree(rp, 200, json_incref(keys));
}

static const struct err *keys_get_version(struct request *rq, struct reply *rp)
{
    return reply_json(rp, 200, "{s:{s:s, s:s}}", "server", "name", "Concorde", "version",
                      CONCORDE_VERSION);
}

/* Not in POOL_FEDERATION, whose workers may be waiting for the keys of their callers: two servers
 * could wait for each other. */
const struct route federation_keys_routes[] = {
    {.method = GET,
     .path = "/_matrix/key/v2/server",
     .handler = get_server_keys,
     .pool = POOL_CLIENT,
     .spec = "publishing keys"},
    {.method = GET, /* before v1.6: for one key; replying with all is valid too */
     .path = "/_matrix/key/v2/server/{key}",
     .handler = get_server_keys,
     .pool = POOL_CLIENT,
     .spec = "publishing keys"},
    {.method = GET,
     .path = "/_matrix/federation/v1/version",
     .handler = keys_get_version,
     .pool = POOL_CLIENT,
     .spec = "server implementation"},
    {.path = NULL},
};
