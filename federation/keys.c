/* Server-server API, "Publishing keys" and "Server implementation". */
#include "base/clock.h"
#include "federation/routes.h"
#include "storage/job.h"

enum { KEYS_VALID_MS = 24 * 3600 * 1000 };

static const struct err *get_server_keys(struct request *rq, struct reply *rp)
{
    const struct job *job = rq->job;
    const struct store *s = job->store;
    const char *public_key = base64_encode(rq->arena, BASE64_STANDARD, s->signing_key.public_,
                                           sizeof s->signing_key.public_);
    json_t *keys =
        json_keep(rq->arena,
                  json_pack("{s:s, s:I, s:{s:{s:s}}, s:{}}", "server_name", s->config->server_name,
                            "valid_until_ts", (json_int_t)(now_ms() + KEYS_VALID_MS), "verify_keys",
                            s->signing_key.id, "key", public_key, "old_verify_keys"));
    TRY(sign_json(keys, s->config->server_name, &s->signing_key));
    return reply_tree(rp, 200, json_incref(keys));
}

static const struct err *get_version(struct request *rq, struct reply *rp)
{
    return reply_json(rp, 200, "{s:{s:s, s:s}}", "server", "name", "Concorde", "version",
                      CONCORDE_VERSION);
}

const struct route federation_keys_routes[] = {
    {.method = GET,
     .path = "/_matrix/key/v2/server",
     .handler = get_server_keys,
     .pool = POOL_FEDERATION,
     .spec = "publishing keys"},
    {.method = GET, /* before v1.6, when servers asked for one key; all of them are right too */
     .path = "/_matrix/key/v2/server/{key}",
     .handler = get_server_keys,
     .pool = POOL_FEDERATION,
     .spec = "publishing keys"},
    {.method = GET,
     .path = "/_matrix/federation/v1/version",
     .handler = get_version,
     .pool = POOL_FEDERATION,
     .spec = "server implementation"},
    {.path = NULL},
};
