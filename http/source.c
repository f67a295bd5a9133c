/* Who is behind a request: the address it comes from, and the source in whose turn it is served.
 *
 * A user's requests have one source, wherever they come from, and so have those of an address. What
 * has not been proven yet, the server that signs a request, counts together with the address: who
 * uses another's name takes nothing from it. */
#include "http/internal.h"

#include <stdio.h>
#include <strings.h>

static enum MHD_Result add_forwarded(void *into, enum MHD_ValueKind kind, const char *name,
                                     const char *value)
{
    struct buf *b = into;
    if (strcasecmp(name, "X-Forwarded-For") == 0 && value) {
        if (b->n)
            buf_add_char(b, ',');
        buf_add_text(b, value);
    }
    return MHD_YES;
}

void source_identify(struct exchange *ex)
{
    struct http_server *s = ex->server;
    snprintf(ex->id, sizeof ex->id, "%04x-%lx", s->id_prefix & 0xffff,
             atomic_fetch_add_explicit(&s->next_id, 1, memory_order_relaxed));
    ex->client = ex->peer;
    ex->secure = ex->daemon->tls;
    if (ex->peer_is_local || address_is_within(s->proxies, &ex->peer)) {
        buf_auto struct buf forwarded = {0};
        MHD_get_connection_values(ex->mhd, MHD_HEADER_KIND, add_forwarded, &forwarded);
        ex->client = proxy_client(s->proxies, ex->peer, buf_str(&forwarded));
        const char *proto = request_header(&ex->rq, "X-Forwarded-Proto");
        if (proto)
            ex->secure = strcasecmp(proto, "https") == 0;
    }
    address_write(&ex->client, ex->address);
    ex->rq.id = ex->id;
    ex->rq.remote_address = ex->address;
}

enum source_kind { SOURCE_ADDRESS, SOURCE_CALLER, SOURCE_CLAIM };

static uint64_t key_of(enum source_kind kind, struct str a, struct str b)
{
    uint64_t parts[3] = {(uint64_t)kind, hash_bytes(a.p, a.n), hash_bytes(b.p, b.n)};
    return hash_bytes(parts, sizeof parts);
}

uint64_t source_claimed(const struct exchange *ex)
{
    const struct http_hooks *hooks = &ex->server->hooks;
    source_hook *look = hooks->source[ex->rq.route->who];
    struct str address = address_subscriber(&ex->client);
    char name[SOURCE_NAME_MAX];
    switch (look ? look(hooks->ctx, &ex->rq, name) : SOURCE_IS_ADDRESS) {
    case SOURCE_IS_KNOWN:
        return key_of(SOURCE_CALLER, str_of(name), (struct str){0});
    case SOURCE_IS_CLAIMED:
        return key_of(SOURCE_CLAIM, str_of(name), address);
    case SOURCE_IS_ADDRESS:
        break;
    }
    return key_of(SOURCE_ADDRESS, address, (struct str){0});
}

uint64_t source_certain(const struct exchange *ex)
{
    const struct http_hooks *hooks = &ex->server->hooks;
    source_hook *look = hooks->source[ex->rq.route->who];
    char name[SOURCE_NAME_MAX];
    if (look && look(hooks->ctx, &ex->rq, name) == SOURCE_IS_KNOWN)
        return key_of(SOURCE_CALLER, str_of(name), (struct str){0});
    return key_of(SOURCE_ADDRESS, address_subscriber(&ex->client), (struct str){0});
}

uint64_t source_proven(const struct exchange *ex)
{
    if (ex->rq.caller_id)
        return key_of(SOURCE_CALLER, str_of(ex->rq.caller_id), (struct str){0});
    return key_of(SOURCE_ADDRESS, address_subscriber(&ex->client), (struct str){0});
}
