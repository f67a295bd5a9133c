/* The Authorization header of our own requests. */
#include "federation/peer/xmatrix_sign.h"

static void add_text(struct buf *b, const char *before, const char *value)
{
    buf_add_text(b, before);
    buf_add_json_string(b, str_of(value));
}

/* The members in the order of canonical JSON. */
void xmatrix_signed_bytes(struct buf *ret, const struct xmatrix_request *r)
{
    buf_reserve(ret, r->content.n + 1024);
    buf_add_char(ret, '{');
    if (r->content.n) {
        BUF_LIT(ret, "\"content\":");
        buf_add_str(ret, r->content);
        buf_add_char(ret, ',');
    }
    add_text(ret, "\"destination\":", r->destination);
    add_text(ret, ",\"method\":", r->method);
    add_text(ret, ",\"origin\":", r->origin);
    add_text(ret, ",\"uri\":", r->target);
    buf_add_char(ret, '}');
}

const char *xmatrix_header(struct arena *a, const char *origin, const struct signing_key *key,
                           const char *server, enum http_method method, const char *target,
                           struct str content)
{
    const struct xmatrix_request r = {
        .method = http_method_names[method],
        .target = target,
        .origin = origin,
        .destination = server,
        .content = content,
    };
    char signature[SIGNATURE_BASE64 + 1];
    buf_auto struct buf b = {0};
    xmatrix_signed_bytes(&b, &r);
    sign_bytes(key, buf_str(&b), signature);
    return arena_printf(a, "X-Matrix origin=\"%s\",destination=\"%s\",key=\"%s\",sig=\"%s\"",
                        r.origin, r.destination, key->id, signature);
}
