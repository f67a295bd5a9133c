#include "base/sha256.h"
#include "matrix/event_internal.h"
#include "matrix/id.h"
#include "matrix/json_scan.h"
#include "matrix/redact.h"

#include <assert.h>

/* The members in canonical order, without hashes and signatures: the input of the content hash. The
 * signed and the final form are assembled from its pieces. */
struct event_draft {
    struct buf b;
    size_t content, content_end; /* the content object */
    size_t hashes_at;            /* where `hashes` is inserted: after depth or event_id */
    size_t redacts, redacts_end; /* the member that redaction removes, with its comma */
    size_t signatures_at;        /* where `signatures` is inserted: after the sender */
};

static void event_build_add_text_member(struct buf *b, const char *key, const char *value)
{
    buf_add_text(b, key);
    buf_add_json_string(b, str_of(value));
}

static void event_build_add_ids(struct buf *b, const struct room_version *v, const char *const *ids,
                                const char *const *hashes, size_t n)
{
    buf_add_char(b, '[');
    for (size_t i = 0; i < n; i++) {
        buf_add_json_comma(b);
        if (v->event_id != EVENT_ID_GIVEN) {
            buf_add_json_string(b, str_of(ids[i]));
            continue;
        }
        event_build_add_text_member(b, "[", ids[i]);
        event_build_add_text_member(b, ",{\"sha256\":", hashes && hashes[i] ? hashes[i] : "");
        BUF_LIT(b, "}]");
    }
    buf_add_char(b, ']');
}

/* From version 11 on `redacts` is a member of the content. */
static const struct err *add_content_with_redacts(struct buf *b, struct str content,
                                                  const char *redacts)
{
    buf_auto struct buf merged = {0};
    struct json_member m;
    event_build_add_text_member(&merged, "{\"redacts\":", redacts);
    for (size_t pos = 0; json_scan_next(content, &pos, &m);)
        if (!str_is(m.key, "redacts"))
            buf_printf(&merged, ",\"%.*s\":%.*s", STR_FMT(m.key), STR_FMT(m.value));
    buf_add_char(&merged, '}');
    return canonical_json_add(b, CANONICAL_STRICT, buf_str(&merged));
}

/* Strict in every room version: all servers must read our events alike, also within a signed
 * request. */
static const struct err *event_build_add_content(struct event_draft *d,
                                                 const struct room_version *v,
                                                 const struct event_template *t)
{
    d->content = d->b.n;
    TRY(canonical_json_add(&d->b, CANONICAL_STRICT, t->content));
    if (d->b.p[d->content] != '{')
        return err(ERR_BAD_JSON, "The content of an event must be an object");
    if (t->redacts && v->redacts_in_content) {
        buf_auto struct buf plain = {0};
        buf_add(&plain, d->b.p + d->content, d->b.n - d->content);
        buf_truncate(&d->b, d->content);
        TRY(add_content_with_redacts(&d->b, buf_str(&plain), t->redacts));
    }
    d->content_end = d->b.n;
    return NULL;
}

static int64_t limit_depth(const struct room_version *v, int64_t depth)
{
    return v->canonical == CANONICAL_STRICT && depth > CANONICAL_INT_MAX ? CANONICAL_INT_MAX
                                                                         : depth;
}

static const struct err *write_draft(struct event_draft *d, const struct room_version *v,
                                     const struct event_template *t, const char *event_id)
{
    struct buf *b = &d->b;
    buf_reserve(b, t->content.n + 2048);
    BUF_LIT(b, "{\"auth_events\":");
    event_build_add_ids(b, v, t->auth_events, t->auth_hashes, t->auth_n);
    BUF_LIT(b, ",\"content\":");
    TRY(event_build_add_content(d, v, t));
    BUF_LIT(b, ",\"depth\":");
    buf_add_int(b, limit_depth(v, t->depth));
    if (event_id)
        event_build_add_text_member(b, ",\"event_id\":", event_id);
    d->hashes_at = b->n;
    BUF_LIT(b, ",\"origin_server_ts\":");
    buf_add_int(b, t->origin_server_ts);
    BUF_LIT(b, ",\"prev_events\":");
    event_build_add_ids(b, v, t->prev_events, t->prev_hashes, t->prev_n);
    d->redacts = b->n;
    if (t->redacts && !v->redacts_in_content)
        event_build_add_text_member(b, ",\"redacts\":", t->redacts);
    d->redacts_end = b->n;
    if (t->room_id)
        event_build_add_text_member(b, ",\"room_id\":", t->room_id);
    event_build_add_text_member(b, ",\"sender\":", t->sender);
    d->signatures_at = b->n;
    if (t->state_key)
        event_build_add_text_member(b, ",\"state_key\":", t->state_key);
    event_build_add_text_member(b, ",\"type\":", t->type);
    buf_add_char(b, '}');
    return NULL;
}

static void add_range(struct buf *b, const struct event_draft *d, size_t from, size_t to)
{
    buf_add(b, d->b.p + from, to - from);
}

static void add_hashes(struct buf *b, const struct event_draft *d)
{
    unsigned char hash[SHA256_BYTES];
    sha256(buf_str(&d->b), hash);
    BUF_LIT(b, ",\"hashes\":{\"sha256\":\"");
    buf_add_base64(b, BASE64_STANDARD, hash, sizeof hash);
    BUF_LIT(b, "\"}");
}

/* The redacted form, which is signed, and hashed for the event id. */
static void add_signed_form(struct buf *b, const struct event_draft *d,
                            const struct room_version *v, const char *type, struct str hashes)
{
    buf_reserve(b, d->b.n);
    add_range(b, d, 0, d->content);
    redact_add_content(b, v, str_of(type),
                       (struct str){d->b.p + d->content, d->content_end - d->content});
    add_range(b, d, d->content_end, d->hashes_at);
    buf_add_str(b, hashes);
    add_range(b, d, d->hashes_at, d->redacts);
    add_range(b, d, d->redacts_end, d->b.n);
}

static void event_build_add_signature(struct buf *b, struct str signed_form, const char *origin,
                                      const struct signing_key *k)
{
    char signature[SIGNATURE_BASE64 + 1];
    sign_bytes(k, signed_form, signature);
    event_build_add_text_member(b, ",\"signatures\":{", origin);
    event_build_add_text_member(b, ":{", k->id);
    event_build_add_text_member(b, ":", signature);
    BUF_LIT(b, "}}");
}

static const struct err *check_key(const char *name, const char *value)
{
    struct str s = str_of(value);
    if (s.n > EVENT_KEY_MAX)
        return err(ERR_TOO_LARGE, "The %s of an event is at most %d bytes", name, EVENT_KEY_MAX);
    if (!utf8_valid(s))
        return err(ERR_BAD_JSON, "The %s of an event must be UTF-8", name);
    return NULL;
}

static const struct err *check_template(const struct event_template *t)
{
    assert(t->prev_n <= EVENT_PREV_MAX && t->auth_n <= EVENT_AUTH_MAX);
    TRY(check_key("type", t->type));
    TRY(check_key("state_key", t->state_key));
    TRY(check_key("sender", t->sender));
    TRY(check_key("room_id", t->room_id));
    return check_key("redacts", t->redacts);
}

static const struct err *event_build_build(struct event_draft *d, const struct room_version *v,
                                           const struct event_template *t, const char *given_id,
                                           const char *origin, const struct signing_key *k,
                                           struct event **ret)
{
    buf_auto struct buf hashes = {0}, signed_form = {0}, pdu = {0};
    TRY(check_template(t));
    TRY(write_draft(d, v, t, given_id));
    add_hashes(&hashes, d);
    add_signed_form(&signed_form, d, v, t->type, buf_str(&hashes));
    buf_reserve(&pdu, d->b.n + 512);
    add_range(&pdu, d, 0, d->hashes_at);
    buf_add_str(&pdu, buf_str(&hashes));
    add_range(&pdu, d, d->hashes_at, d->signatures_at);
    event_build_add_signature(&pdu, buf_str(&signed_form), origin, k);
    add_range(&pdu, d, d->signatures_at, d->b.n);
    if (pdu.n > EVENT_SIZE_MAX)
        return err(ERR_TOO_LARGE, "An event is at most %d bytes", EVENT_SIZE_MAX);
    char hash_id[EVENT_HASH_ID_LENGTH + 1];
    if (!given_id) {
        unsigned char hash[SHA256_BYTES];
        sha256(buf_str(&signed_form), hash);
        event_id_from_hash(v, '$', hash, hash_id);
    }
    struct event_fields f;
    event_fields_find(buf_str(&pdu), &f);
    struct event *e = event_create(v, given_id ? given_id : hash_id, buf_str(&pdu), &f);
    assert(e);
    *ret = e;
    return NULL;
}

const struct err *event_build(const struct room_version *v, const struct event_template *t,
                              const char *origin, const struct signing_key *k, struct event **ret)
{
    struct event_draft d = {0};
    arena_auto struct arena *a = NULL;
    const char *given_id = NULL;
    if (v->event_id == EVENT_ID_GIVEN) {
        a = arena_create();
        given_id = id_make(a, '$', origin);
    }
    const struct err *e = event_build_build(&d, v, t, given_id, origin, k, ret);
    buf_finish(&d.b);
    return e;
}
