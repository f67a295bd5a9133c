#include "federation/federation.h"

#include "base/mem.h"
#include "federation/discovery.h"
#include "http/client.h"

static const struct err *create_http(const struct config *c, struct http_client **ret)
{
    const struct http_client_config settings = {
        .ca_files = c->federation_custom_ca_list.items,
        .ca_files_n = c->federation_custom_ca_list.n,
        .verify = c->federation_verify_certificates,
        .only_tls13 = c->federation_client_minimum_tls > 0,
        .proxy = c->outbound_proxy,
        .denied = c->ip_range_denylist.items,
        .denied_n = c->ip_range_denylist.n,
        .allowed = c->ip_range_allowlist.items,
        .allowed_n = c->ip_range_allowlist.n,
        .dns_servers = c->dns_servers.items,
        .dns_servers_n = c->dns_servers.n,
    };
    return http_client_create(&settings, ret);
}

/* In the order in which they need each other. */
static const struct err *create_all(struct federation *f)
{
    TRY(create_http(f->store->config, &f->http));
    f->discovery = discovery_create(f->http);
    return NULL;
}

const struct err *federation_start(struct store *store, bool threads, struct federation **ret)
{
    struct federation *f = mem_zalloc(sizeof *f);
    f->store = store;
    const struct err *e = create_all(f);
    if (e) {
        federation_stop(f);
        return e;
    }
    *ret = f;
    return NULL;
}

void federation_drain(struct federation *f, int within_ms)
{
    if (f)
        http_client_drain(f->http, within_ms);
}

void federation_stop(struct federation *f)
{
    if (!f)
        return;
    http_client_stop(f->http); /* first: nobody waits for other servers any longer */
    discovery_destroy(f->discovery);
    http_client_destroy(f->http);
    free(f);
}

void federation_add_metrics(struct federation *f, struct buf *out)
{
    http_client_add_metrics(f->http, out);
    discovery_add_metrics(f->discovery, out);
}
