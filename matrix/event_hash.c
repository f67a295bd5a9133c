/* Hashes, ids made of them, and signatures of events (server-server-api, "Signing Events"). */
#include "matrix/event_internal.h"
#include "matrix/json_scan.h"
#include "matrix/redact.h"

void event_hash_content(struct str pdu, unsigned char ret[SHA256_BYTES])
{
    buf_auto struct buf b = {0};
    struct json_member m;
    buf_reserve(&b, pdu.n);
    buf_add_char(&b, '{');
    for (size_t pos = 0; json_scan_next(pdu, &pos, &m);) {
        if (str_is(m.key, "hashes") || str_is(m.key, "signatures") || str_is(m.key, "unsigned"))
            continue;
        buf_add_json_comma(&b);
        buf_add(&b, m.key.p - 1, (size_t)(m.value.p + m.value.n - m.key.p) + 1);
    }
    buf_add_char(&b, '}');
    sha256(buf_str(&b), ret);
}

void event_hash_reference(const struct room_version *v, struct str pdu,
                          unsigned char ret[SHA256_BYTES])
{
    buf_auto struct buf b = {0};
    redact_add(&b, v, pdu, true);
    sha256(buf_str(&b), ret);
}

void event_reference_hash(const struct event *e, unsigned char ret[SHA256_BYTES])
{
    event_hash_reference(e->version, e->json, ret);
}

bool event_content_hash_ok(const struct event *e)
{
    struct str raw = json_scan_path(e->json, "hashes", "sha256", NULL);
    unsigned char claimed[SHA256_BYTES], actual[SHA256_BYTES];
    size_t n;
    if (raw.n < 2 || !base64_decode(BASE64_STANDARD, (struct str){raw.p + 1, raw.n - 2}, claimed,
                                    sizeof claimed, &n))
        return false;
    event_hash_content(e->json, actual);
    return n == sizeof actual && memcmp(claimed, actual, n) == 0;
}

void event_signed_bytes(const struct event *e, struct buf *ret)
{
    redact_add(ret, e->version, e->json, true);
}

bool event_signature_ok(const struct event *e, const char *who, const char *key_id,
                        struct str public_key_base64)
{
    struct str raw = json_scan_path(e->json, "signatures", who, key_id, NULL);
    if (raw.n < 2 || raw.p[0] != '"')
        return false;
    buf_auto struct buf b = {0};
    event_signed_bytes(e, &b);
    return sign_check(public_key_base64, buf_str(&b), (struct str){raw.p + 1, raw.n - 2});
}

static enum base64_kind alphabet(const struct room_version *v)
{
    return v->event_id == EVENT_ID_HASH_STANDARD ? BASE64_STANDARD : BASE64_URL;
}

void event_id_from_hash(const struct room_version *v, char sigil,
                        const unsigned char hash[SHA256_BYTES], char ret[EVENT_HASH_ID_LENGTH + 1])
{
    buf_auto struct buf b = {0};
    buf_add_char(&b, sigil);
    buf_add_base64(&b, alphabet(v), hash, SHA256_BYTES);
    memcpy(ret, b.p, EVENT_HASH_ID_LENGTH + 1);
}

static bool hash_of_id(const struct room_version *v, char sigil, struct str id,
                       unsigned char ret[SHA256_BYTES])
{
    size_t n;
    /* The last character has two unused bits: only one spelling of a hash is its id. */
    return id.n == EVENT_HASH_ID_LENGTH && id.p[0] == sigil &&
           memchr("AEIMQUYcgkosw048", id.p[id.n - 1], 16) &&
           base64_decode(alphabet(v), (struct str){id.p + 1, id.n - 1}, ret, SHA256_BYTES, &n) &&
           n == SHA256_BYTES;
}

bool event_id_is_hash(const struct room_version *v, char sigil, struct str id)
{
    unsigned char hash[SHA256_BYTES];
    return hash_of_id(v, sigil, id, hash);
}

struct str event_id_to_bytes(struct arena *a, const struct room_version *v, const char *event_id)
{
    if (v->event_id == EVENT_ID_GIVEN)
        return str_of(arena_strdup(a, event_id));
    unsigned char *hash = arena_alloc(a, SHA256_BYTES);
    if (!hash_of_id(v, '$', str_of(event_id), hash))
        return (struct str){0};
    return (struct str){(const char *)hash, SHA256_BYTES};
}

char *event_id_from_bytes(struct arena *a, const struct room_version *v, struct str bytes)
{
    if (v->event_id == EVENT_ID_GIVEN || bytes.n != SHA256_BYTES)
        return str_dup(a, bytes);
    char *id = arena_alloc(a, EVENT_HASH_ID_LENGTH + 1);
    event_id_from_hash(v, '$', (const unsigned char *)bytes.p, id);
    return id;
}
