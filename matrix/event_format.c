/* Events in client format, and new events made from old ones. */
#include "matrix/event_internal.h"
#include "matrix/redact.h"

#include <assert.h>

static void event_format_add_text_member(struct buf *b, const char *key, const char *value)
{
    buf_add_text(b, key);
    buf_add_json_string(b, str_of(value));
}

/* Clients look for `redacts` at the top level or in the content, depending on their age. */
static void event_format_add_content(struct buf *b, const struct event *e)
{
    BUF_LIT(b, "{\"content\":");
    if (!e->redacts || e->version->redacts_in_content) {
        buf_add_str(b, e->content);
        return;
    }
    bool empty = e->content.n == 2;
    event_format_add_text_member(b, "{\"redacts\":", e->redacts);
    if (!empty)
        buf_add_char(b, ',');
    buf_add(b, e->content.p + 1, e->content.n - 1);
}

void event_add_client_format(struct buf *b, const struct event *e, bool with_room_id)
{
    buf_reserve(b, e->content.n + 512);
    event_format_add_content(b, e);
    event_format_add_text_member(b, ",\"event_id\":", e->event_id);
    BUF_LIT(b, ",\"origin_server_ts\":");
    buf_add_int(b, e->origin_server_ts);
    if (e->redacts)
        event_format_add_text_member(b, ",\"redacts\":", e->redacts);
    if (with_room_id)
        event_format_add_text_member(b, ",\"room_id\":", e->room_id);
    event_format_add_text_member(b, ",\"sender\":", e->sender);
    if (e->state_key)
        event_format_add_text_member(b, ",\"state_key\":", e->state_key);
    event_format_add_text_member(b, ",\"type\":", e->type);
}

void event_add_stripped(struct buf *b, const struct event *e)
{
    BUF_LIT(b, "{\"content\":");
    buf_add_str(b, e->content);
    BUF_LIT(b, ",\"origin_server_ts\":");
    buf_add_int(b, e->origin_server_ts);
    event_format_add_text_member(b, ",\"sender\":", e->sender);
    if (e->state_key)
        event_format_add_text_member(b, ",\"state_key\":", e->state_key);
    event_format_add_text_member(b, ",\"type\":", e->type);
    buf_add_char(b, '}');
}

/* Another event of the same id. */
static struct event *remake(const struct event *e, struct str pdu)
{
    struct event_fields f;
    event_fields_find(pdu, &f);
    struct event *other = event_create(e->version, e->event_id, pdu, &f);
    assert(other);
    return other;
}

struct event *event_redacted(const struct event *e)
{
    buf_auto struct buf b = {0};
    redact_add(&b, e->version, e->json, false);
    return remake(e, buf_str(&b));
}

const struct err *event_add_signature(const struct event *e, const char *who,
                                      const struct signing_key *k, struct event **ret)
{
    buf_auto struct buf bytes = {0}, pdu = {0};
    char signature[SIGNATURE_BASE64 + 1];
    event_signed_bytes(e, &bytes);
    sign_bytes(k, buf_str(&bytes), signature);

    struct event_fields f;
    event_fields_find(e->json, &f);
    json_auto_t *signatures = json_loadb(f.signatures.p, f.signatures.n, JSON_ALLOW_NUL, NULL);
    if (!json_is_object(signatures))
        return err_internal("the signatures of %s are malformed", e->event_id);
    sign_put_signature(signatures, who, k->id, signature);

    size_t before = (size_t)(f.signatures.p - e->json.p), behind = before + f.signatures.n;
    buf_add(&pdu, e->json.p, before);
    TRY(canonical_json_add_tree(&pdu, e->version->canonical, signatures));
    buf_add(&pdu, e->json.p + behind, e->json.n - behind);
    if (pdu.n > EVENT_SIZE_MAX)
        return err(ERR_TOO_LARGE, "An event is at most %d bytes", EVENT_SIZE_MAX);
    *ret = remake(e, buf_str(&pdu));
    return NULL;
}
