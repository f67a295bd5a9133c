/* Client-server API, "Well-known URIs", and server-server API, "Resolving server names": discovery
 * from settings. It contains only what the operator has configured. */
#include "server/account/caller.h"
#include "server/routes.h"

static const struct config *config_of(struct request *rq)
{
    return job_of(rq)->config;
}

static const struct err *not_configured(void)
{
    return err(ERR_NOT_FOUND, "Nothing is configured for this path");
}

static const struct err *get_client(struct request *rq, struct reply *rp)
{
    const char *url = config_of(rq)->public_baseurl;
    return url ? reply_json(rp, 200, "{s:{s:s}}", "m.homeserver", "base_url", url)
               : not_configured();
}

/* The host and port of an https:// URL: federation is on 443 when no port is given. */
static const char *federation_address(struct arena *a, const char *url)
{
    const char *host = strstr(url, "://") + 3;
    size_t n = strcspn(host, "/");
    const char *colon = memrchr(host, ':', n), *bracket = memrchr(host, ']', n);
    if (colon && (!bracket || colon > bracket))
        return arena_memdup(a, host, n);
    return arena_printf(a, "%.*s:443", (int)n, host);
}

static const struct err *get_server(struct request *rq, struct reply *rp)
{
    const char *url = config_of(rq)->public_baseurl;
    bool secure = url && strncmp(url, "https:", 6) == 0; /* servers speak TLS only */
    return secure ? reply_json(rp, 200, "{s:s}", "m.server", federation_address(rq->arena, url))
                  : not_configured();
}

static const struct err *get_support(struct request *rq, struct reply *rp)
{
    const struct config *c = config_of(rq);
    if (!c->support_page && !c->support_email && !c->support_matrix_id)
        return not_configured();
    json_t *o = json_object();
    if (c->support_email || c->support_matrix_id)
        json_object_set_new(o, "contacts",
                            json_pack("[{s:s, s:s*, s:s*}]", "role", c->support_role,
                                      "email_address", c->support_email, "matrix_id",
                                      c->support_matrix_id));
    if (c->support_page)
        json_object_set_new(o, "support_page", json_string(c->support_page));
    return reply_tree(rp, 200, o);
}

const struct route wellknown_routes[] = {
    {.method = GET,
     .path = "/.well-known/matrix/client",
     .handler = get_client,
     .spec = "well-known URI"},
    {.method = GET,
     .path = "/.well-known/matrix/support",
     .handler = get_support,
     .spec = "well-known URI"},
    {.method = GET,
     .path = "/.well-known/matrix/server",
     .handler = get_server,
     .pool = POOL_FEDERATION,
     .spec = "resolving server names"},
    {.path = NULL},
};
