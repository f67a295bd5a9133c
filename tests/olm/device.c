#include "device.h"

#include "http.h"

#include "base/mem.h"
#include "matrix/canonical_json.h"

#include <setjmp.h>
#include <sodium.h>
#include <stdarg.h>

#include <cmocka.h>

#define OLM "m.olm.v1.curve25519-aes-sha2"
#define MEGOLM "m.megolm.v1.aes-sha2"

static void *random_bytes(size_t n)
{
    void *p = mem_alloc(n);
    randombytes_buf(p, n);
    return p;
}

static void copy_text(char *into, size_t size, const json_t *o, const char *key)
{
    const char *text = json_string_value(json_object_get(o, key));
    assert_non_null(text);
    assert_true(strlen(text) < size);
    strcpy(into, text);
}

json_t *device_call(struct device *d, const char *method, const char *path, json_t *body)
{
    return http_call(d->token, method, path, body);
}

/* ---- account ---- */

static void check_account(const struct device *d, size_t result)
{
    if (result == olm_error())
        fail_msg("libolm: %s", olm_account_last_error(d->account));
}

static void read_identity_keys(struct device *d)
{
    size_t n = olm_account_identity_keys_length(d->account);
    char *text = mem_alloc(n);
    check_account(d, olm_account_identity_keys(d->account, text, n));
    json_auto_t *keys = json_loadb(text, n, 0, NULL);
    copy_text(d->ed25519, sizeof d->ed25519, keys, "ed25519");
    copy_text(d->curve25519, sizeof d->curve25519, keys, "curve25519");
    free(text);
}

void device_register(struct device *d, const char *name)
{
    *d = (struct device){.account = olm_account(mem_alloc(olm_account_size()))};
    size_t n = olm_create_account_random_length(d->account);
    void *random = random_bytes(n);
    check_account(d, olm_create_account(d->account, random, n));
    free(random);
    read_identity_keys(d);
    json_auto_t *r = http_call(NULL, "POST", "/register",
                               json_pack("{s:s, s:s, s:{s:s}}", "username", name, "password",
                                         "a long password", "auth", "type", "m.login.dummy"));
    copy_text(d->user_id, sizeof d->user_id, r, "user_id");
    copy_text(d->device_id, sizeof d->device_id, r, "device_id");
    copy_text(d->token, sizeof d->token, r, "access_token");
}

void device_finish(struct device *d)
{
    olm_clear_account(d->account);
    free(d->account);
}

/* ---- keys ---- */

static void key_name(const char *algorithm, const char *id, char ret[128])
{
    snprintf(ret, 128, "%s:%s", algorithm, id);
}

/* Canonical JSON without `signatures` and `unsigned`. */
static void signed_bytes(const json_t *object, struct buf *ret)
{
    json_auto_t *bare = json_copy((json_t *)object);
    json_object_del(bare, "signatures");
    json_object_del(bare, "unsigned");
    assert_null(canonical_json_add_tree(ret, CANONICAL_STRICT, bare));
}

static void sign(struct device *d, json_t *object)
{
    buf_auto struct buf b = {0};
    signed_bytes(object, &b);
    size_t n = olm_account_signature_length(d->account);
    char *signature = mem_alloc(n), name[128];
    check_account(d, olm_account_sign(d->account, b.p, b.n, signature, n));
    key_name("ed25519", d->device_id, name);
    json_object_set_new(object, "signatures",
                        json_pack("{s:{s:s%}}", d->user_id, name, signature, n));
    free(signature);
}

static void check_signature(const json_t *object, const struct device *by)
{
    buf_auto struct buf b = {0};
    char name[128];
    key_name("ed25519", by->device_id, name);
    const json_t *of_user = json_object_get(json_object_get(object, "signatures"), by->user_id);
    const char *signature = json_string_value(json_object_get(of_user, name));
    assert_non_null(signature);
    char *copy = mem_strdup(signature); /* libolm decodes in place */
    signed_bytes(object, &b);
    OlmUtility *u = olm_utility(mem_alloc(olm_utility_size()));
    size_t r =
        olm_ed25519_verify(u, by->ed25519, strlen(by->ed25519), b.p, b.n, copy, strlen(copy));
    if (r == olm_error())
        fail_msg("the signature of %s: %s", by->user_id, olm_utility_last_error(u));
    olm_clear_utility(u);
    free(u);
    free(copy);
}

static json_t *identity_keys(struct device *d)
{
    char curve[128], ed[128];
    key_name("curve25519", d->device_id, curve);
    key_name("ed25519", d->device_id, ed);
    json_t *keys = json_pack("{s:s, s:s, s:[s, s], s:{s:s, s:s}}", "user_id", d->user_id,
                             "device_id", d->device_id, "algorithms", OLM, MEGOLM, "keys", curve,
                             d->curve25519, ed, d->ed25519);
    sign(d, keys);
    return keys;
}

/* libolm's {"curve25519": {id: key}} as signed keys for an upload. */
static json_t *signed_keys(struct device *d, const char *text, size_t n, bool fallback)
{
    json_auto_t *made = json_loadb(text, n, 0, NULL);
    json_t *out = json_object();
    const char *id;
    json_t *key;
    json_object_foreach (json_object_get(made, "curve25519"), id, key) {
        char name[128];
        key_name("signed_curve25519", id, name);
        json_t *o = json_pack("{s:O}", "key", key);
        if (fallback)
            json_object_set_new(o, "fallback", json_true());
        sign(d, o);
        json_object_set_new(out, name, o);
    }
    return out;
}

static json_t *make_one_time_keys(struct device *d, size_t count)
{
    size_t n = olm_account_generate_one_time_keys_random_length(d->account, count);
    void *random = random_bytes(n);
    check_account(d, olm_account_generate_one_time_keys(d->account, count, random, n));
    free(random);
    n = olm_account_one_time_keys_length(d->account);
    char *text = mem_alloc(n);
    check_account(d, olm_account_one_time_keys(d->account, text, n));
    json_t *keys = signed_keys(d, text, n, false);
    free(text);
    return keys;
}

static json_t *make_fallback_key(struct device *d)
{
    size_t n = olm_account_generate_fallback_key_random_length(d->account);
    void *random = random_bytes(n);
    check_account(d, olm_account_generate_fallback_key(d->account, random, n));
    free(random);
    n = olm_account_unpublished_fallback_key_length(d->account);
    char *text = mem_alloc(n);
    check_account(d, olm_account_unpublished_fallback_key(d->account, text, n));
    json_t *keys = signed_keys(d, text, n, true);
    free(text);
    return keys;
}

void device_upload(struct device *d, size_t one_time_keys, bool fallback)
{
    json_t *body = json_pack("{s:o, s:o}", "device_keys", identity_keys(d), "one_time_keys",
                             make_one_time_keys(d, one_time_keys));
    if (fallback)
        json_object_set_new(body, "fallback_keys", make_fallback_key(d));
    json_auto_t *r = device_call(d, "POST", "/keys/upload", body);
    json_t *counts = json_object_get(r, "one_time_key_counts");
    assert_int_equal(json_integer_value(json_object_get(counts, "signed_curve25519")),
                     one_time_keys);
    olm_account_mark_keys_as_published(d->account);
}

void device_check_keys(struct device *d, const struct device *other)
{
    json_auto_t *r = device_call(d, "POST", "/keys/query",
                                 json_pack("{s:{s:[]}}", "device_keys", other->user_id));
    json_t *of_user = json_object_get(json_object_get(r, "device_keys"), other->user_id);
    json_t *found = json_object_get(of_user, other->device_id);
    char name[128];
    assert_int_equal(json_object_size(of_user), 1);
    key_name("curve25519", other->device_id, name);
    json_t *keys = json_object_get(found, "keys");
    assert_string_equal(json_string_value(json_object_get(keys, name)), other->curve25519);
    check_signature(found, other);
}

/* ---- Olm ---- */

static void check_session(OlmSession *s, size_t result)
{
    if (result == olm_error())
        fail_msg("libolm: %s", olm_session_last_error(s));
}

static OlmSession *new_session(void)
{
    return olm_session(mem_alloc(olm_session_size()));
}

void session_free(OlmSession *s)
{
    olm_clear_session(s);
    free(s);
}

OlmSession *device_start_session(struct device *d, const struct device *other,
                                 bool *ret_was_fallback)
{
    json_auto_t *r = device_call(d, "POST", "/keys/claim",
                                 json_pack("{s:{s:{s:s}}}", "one_time_keys", other->user_id,
                                           other->device_id, "signed_curve25519"));
    json_t *of_user = json_object_get(json_object_get(r, "one_time_keys"), other->user_id);
    json_t *of_device = json_object_get(of_user, other->device_id);
    assert_int_equal(json_object_size(of_device), 1);
    json_t *key = json_object_iter_value(json_object_iter(of_device));
    check_signature(key, other);
    if (ret_was_fallback)
        *ret_was_fallback = json_is_true(json_object_get(key, "fallback"));

    OlmSession *s = new_session();
    const char *public_key = json_string_value(json_object_get(key, "key"));
    size_t n = olm_create_outbound_session_random_length(s);
    void *random = random_bytes(n);
    check_session(s, olm_create_outbound_session(s, d->account, other->curve25519,
                                                 strlen(other->curve25519), public_key,
                                                 strlen(public_key), random, n));
    free(random);
    return s;
}

/* ret: base64 text. */
static size_t encrypt(OlmSession *s, const char *plain, struct buf *ret)
{
    size_t type = olm_encrypt_message_type(s), n = olm_encrypt_random_length(s);
    size_t cap = olm_encrypt_message_length(s, strlen(plain));
    void *random = random_bytes(n);
    char *message = mem_alloc(cap);
    size_t written = olm_encrypt(s, plain, strlen(plain), random, n, message, cap);
    check_session(s, written);
    buf_add(ret, message, written);
    free(random);
    free(message);
    return type;
}

void device_send_olm(struct device *d, OlmSession *session, const struct device *to,
                     const char *type, json_t *content)
{
    static int txn;
    json_auto_t *event =
        json_pack("{s:s, s:o, s:s, s:s, s:{s:s}, s:{s:s}}", "type", type, "content", content,
                  "sender", d->user_id, "recipient", to->user_id, "recipient_keys", "ed25519",
                  to->ed25519, "keys", "ed25519", d->ed25519);
    char *plain = json_dumps(event, JSON_COMPACT), path[128];
    buf_auto struct buf message = {0};
    size_t message_type = encrypt(session, plain, &message);
    free(plain);
    snprintf(path, sizeof path, "/sendToDevice/m.room.encrypted/olm%d", ++txn);
    json_t *encrypted = json_pack("{s:s, s:s, s:{s:{s:i, s:s%}}}", "algorithm", OLM, "sender_key",
                                  d->curve25519, "ciphertext", to->curve25519, "type",
                                  (int)message_type, "body", message.p, message.n);
    json_decref(
        device_call(d, "PUT", path,
                    json_pack("{s:{s:{s:o}}}", "messages", to->user_id, to->device_id, encrypted)));
}

static OlmSession *accept_session(struct device *d, const struct device *from, const char *body)
{
    OlmSession *s = new_session();
    char *copy = mem_strdup(body);
    check_session(s, olm_create_inbound_session_from(s, d->account, from->curve25519,
                                                     strlen(from->curve25519), copy, strlen(copy)));
    check_account(d, olm_remove_one_time_keys(d->account, s));
    free(copy);
    return s;
}

static json_t *decrypt(OlmSession *s, size_t type, const char *body)
{
    char *copy = mem_strdup(body);
    size_t cap = olm_decrypt_max_plaintext_length(s, type, copy, strlen(copy));
    check_session(s, cap);
    free(copy);
    copy = mem_strdup(body);
    char *plain = mem_alloc(cap);
    size_t n = olm_decrypt(s, type, copy, strlen(copy), plain, cap);
    check_session(s, n);
    json_t *event = json_loadb(plain, n, 0, NULL);
    assert_non_null(event);
    free(copy);
    free(plain);
    return event;
}

json_t *device_receive_olm(struct device *d, const struct device *from, OlmSession **session)
{
    for (int tries = 0; tries < 10; tries++) {
        json_auto_t *r = device_sync(d);
        json_t *events = json_object_get(json_object_get(r, "to_device"), "events");
        if (!json_array_size(events))
            continue;
        assert_int_equal(json_array_size(events), 1);
        json_t *event = json_array_get(events, 0), *content = json_object_get(event, "content");
        assert_string_equal(json_string_value(json_object_get(event, "sender")), from->user_id);
        json_t *mine = json_object_get(json_object_get(content, "ciphertext"), d->curve25519);
        const char *body = json_string_value(json_object_get(mine, "body"));
        assert_non_null(body);
        size_t type = (size_t)json_integer_value(json_object_get(mine, "type"));
        if (!*session) {
            assert_int_equal(type, OLM_MESSAGE_TYPE_PRE_KEY);
            *session = accept_session(d, from, body);
        }
        return decrypt(*session, type, body);
    }
    fail_msg("no message came for %s", d->user_id);
    return NULL;
}

json_t *device_sync(struct device *d)
{
    char path[256];
    if (*d->since)
        snprintf(path, sizeof path, "/sync?timeout=10000&since=%s", d->since);
    else
        snprintf(path, sizeof path, "/sync");
    json_t *r = device_call(d, "GET", path, NULL);
    copy_text(d->since, sizeof d->since, r, "next_batch");
    return r;
}
