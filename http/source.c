/* The origin of a request: its address, and the source in whose turn it is served.
 *
 * All requests of a user are one source, from any address, and so are those of an address. Before
 * its signature is checked, a server counts together with its address, so that a false name takes
 * nothing from its owner. An address is only a few sources, whatever names it claims; servers
 * behind one address mostly get different ones. */
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

enum { CLAIMS_MAX = 4 }; /* sources of one address, by the names that it claims */

static uint64_t source_key_of(enum source_kind kind, struct str a, struct str b)
{
    uint64_t parts[3] = {(uint64_t)kind, hash_bytes(a.p, a.n), hash_bytes(b.p, b.n)};
    return hash_bytes(parts, sizeof parts);
}

static uint64_t by_name(const char *name)
{
    return source_key_of(SOURCE_CALLER, str_of(name), (struct str){0});
}

static uint64_t by_address(const struct exchange *ex)
{
    return source_key_of(SOURCE_ADDRESS, address_subscriber(&ex->client), (struct str){0});
}

static uint64_t by_claim(const struct exchange *ex, const char *name)
{
    char share = (char)(hash_bytes(name, strlen(name)) % CLAIMS_MAX);
    return source_key_of(SOURCE_CLAIM, address_subscriber(&ex->client), (struct str){&share, 1});
}

static enum source_knowledge source_look(const struct exchange *ex, char ret_name[SOURCE_NAME_MAX])
{
    const struct http_hooks *hooks = &ex->server->hooks;
    source_hook *hook = hooks->source[ex->rq.route->who];
    return hook ? hook(hooks->ctx, &ex->rq, ret_name) : SOURCE_IS_ADDRESS;
}

uint64_t source_claimed(const struct exchange *ex)
{
    char name[SOURCE_NAME_MAX];
    enum source_knowledge known = source_look(ex, name);
    if (known == SOURCE_IS_CLAIMED)
        return by_claim(ex, name);
    return known == SOURCE_IS_KNOWN ? by_name(name) : by_address(ex);
}

uint64_t source_certain(const struct exchange *ex)
{
    char name[SOURCE_NAME_MAX];
    return source_look(ex, name) == SOURCE_IS_KNOWN ? by_name(name) : by_address(ex);
}

uint64_t source_proven(const struct exchange *ex)
{
    return ex->rq.caller_id ? by_name(ex->rq.caller_id) : by_address(ex);
}
