#include "matrix/device_keys.h"

#include "matrix/canonical_json.h"
#include "matrix/sign.h"

enum { PUBLIC_KEY_BYTES = 32, ALGORITHMS_MAX = 64, KEYS_MAX = 64 };

bool key_name_split(struct arena *a, const char *name, const char **ret_algorithm,
                    const char **ret_id)
{
    const char *colon = strchr(name, ':');
    if (!colon || colon == name || !colon[1] || strlen(name) > KEY_NAME_MAX)
        return false;
    *ret_algorithm = str_dup(a, (struct str){name, (size_t)(colon - name)});
    *ret_id = colon + 1;
    return true;
}

const struct err *key_signed_form(struct arena *a, const json_t *key, struct str *ret)
{
    json_auto_t *bare = json_copy((json_t *)key);
    json_object_del(bare, "signatures");
    json_object_del(bare, "unsigned");
    buf_auto struct buf b = {0};
    TRY(canonical_json_add_tree(&b, CANONICAL_LENIENT, bare));
    if (b.n > KEY_JSON_MAX)
        return err(ERR_BAD_JSON, "A key may have %d bytes at most", KEY_JSON_MAX);
    *ret = (struct str){arena_memdup(a, b.p, b.n), b.n};
    return NULL;
}

static bool decodes_to(const char *base64, size_t bytes)
{
    unsigned char decoded[SIGNATURE_BYTES];
    size_t n;
    return base64_decode(BASE64_STANDARD, str_of(base64), decoded, sizeof decoded, &n) &&
           n == bytes;
}

/* ---- devices ---- */

const char *device_keys_find(const json_t *keys, const char *algorithm, const char *device_id)
{
    const char *name;
    json_t *value;
    size_t n = strlen(algorithm);
    json_object_foreach (json_object_get(keys, "keys"), name, value)
        if (strncmp(name, algorithm, n) == 0 && name[n] == ':' &&
            strcmp(name + n + 1, device_id) == 0)
            return json_string_text(value);
    return NULL;
}

/* keys_upload: any error in the form of a key is M_BAD_JSON. */
static const struct err *device_keys_malformed(const struct err *e)
{
    bool is_form = e && (e->code == ERR_MISSING_PARAM || e->code == ERR_INVALID_PARAM);
    return is_form ? err(ERR_BAD_JSON, "%s", e->text) : e;
}

static const struct err *check_owner(const json_t *keys, const char *user_id)
{
    const char *owner;
    TRY(json_need_string(keys, "user_id", &owner));
    if (strcmp(owner, user_id) != 0)
        return err(ERR_INVALID_PARAM, "`user_id` is not the owner of the key");
    return NULL;
}

static const struct err *check_strings(const json_t *keys)
{
    const json_t *algorithms, *map;
    TRY(json_need_array(keys, "algorithms", &algorithms));
    TRY(json_need_object(keys, "keys", &map));
    if (json_array_size(algorithms) > ALGORITHMS_MAX || json_object_size(map) > KEYS_MAX)
        return err(ERR_INVALID_PARAM, "Too many keys or algorithms for one device");
    size_t i;
    const char *name;
    json_t *value;
    json_array_foreach (algorithms, i, value)
        if (!json_string_text(value))
            return err(ERR_BAD_JSON, "`algorithms` must be an array of strings");
    json_object_foreach ((json_t *)map, name, value)
        if (!json_string_text(value) || strlen(name) > KEY_NAME_MAX)
            return err(ERR_BAD_JSON, "`keys` must map key names to strings");
    return NULL;
}

/* Signatures are objects of objects of strings, as everywhere. */
static const struct err *device_keys_check_signatures(const json_t *key)
{
    const json_t *signatures;
    TRY(json_want_object(key, "signatures", &signatures));
    const char *who, *name;
    json_t *of_one, *signature;
    json_object_foreach ((json_t *)signatures, who, of_one) {
        if (!json_is_object(of_one) || json_object_size(of_one) > KEYS_MAX)
            return err(ERR_BAD_JSON, "`signatures` must map users to objects");
        json_object_foreach (of_one, name, signature)
            if (!json_string_text(signature) || strlen(name) > KEY_NAME_MAX ||
                json_string_length(signature) > KEY_NAME_MAX)
                return err(ERR_BAD_JSON, "`signatures` must map key names to signatures");
    }
    return NULL;
}

static const struct err *check_own_signature(const json_t *keys, const char *user_id,
                                             const char *device_id)
{
    const char *public_key = device_keys_find(keys, "ed25519", device_id);
    char name[KEY_NAME_MAX + 16];
    snprintf(name, sizeof name, "ed25519:%s", device_id);
    const char *signature = json_string_text(json_at(keys, "signatures", user_id, name, NULL));
    if (!public_key || !decodes_to(public_key, PUBLIC_KEY_BYTES) || !signature ||
        !decodes_to(signature, SIGNATURE_BYTES))
        return NULL;
    if (!sign_check_json(keys, user_id, name, str_of(public_key)))
        return err(ERR_INVALID_SIGNATURE, "The device's signature of its keys is not valid");
    return NULL;
}

static const struct err *check_device(const json_t *keys, const char *user_id,
                                      const char *device_id)
{
    TRY(check_owner(keys, user_id));
    const char *device;
    TRY(json_need_string(keys, "device_id", &device));
    if (strcmp(device, device_id) != 0)
        return err(ERR_INVALID_PARAM, "`device_id` is not the device that the keys are for");
    if (strlen(device) > KEY_NAME_MAX)
        return err(ERR_INVALID_PARAM, "`device_id` is too long");
    TRY(check_strings(keys));
    TRY(device_keys_check_signatures(keys));
    return check_own_signature(keys, user_id, device_id);
}

const struct err *device_keys_check(const json_t *keys, const char *user_id, const char *device_id)
{
    return device_keys_malformed(check_device(keys, user_id, device_id));
}

/* ---- users ---- */

static bool has_usage(const json_t *key, const char *usage)
{
    size_t i;
    json_t *one;
    json_array_foreach (json_object_get(key, "usage"), i, one)
        if (json_string_text(one) && strcmp(json_string_text(one), usage) == 0)
            return true;
    return false;
}

const struct err *cross_signing_key_check(const json_t *key, const char *user_id, const char *usage,
                                          const char **ret_public_key)
{
    TRY(check_owner(key, user_id));
    const json_t *keys;
    TRY(json_need_object(key, "keys", &keys));
    if (!has_usage(key, usage))
        return err(ERR_INVALID_PARAM, "`usage` must contain \"%s\"", usage);
    const char *name = NULL, *public_key = NULL;
    json_t *value;
    json_object_foreach ((json_t *)keys, name, value)
        public_key = json_string_text(value);
    name = json_object_iter_key(json_object_iter((json_t *)keys));
    if (json_object_size(keys) != 1 || !public_key || strncmp(name, "ed25519:", 8) != 0 ||
        strcmp(name + 8, public_key) != 0 || !decodes_to(public_key, PUBLIC_KEY_BYTES))
        return err(ERR_INVALID_PARAM, "`keys` must hold one Ed25519 key, named by itself");
    TRY(device_keys_check_signatures(key));
    *ret_public_key = public_key;
    return NULL;
}

/* ---- one-time keys ---- */

static const struct err *check_one_time_key(const char *name, const json_t *key)
{
    const char *colon = strchr(name, ':');
    if (!colon || colon == name || !colon[1] || strlen(name) > KEY_NAME_MAX)
        return err(ERR_INVALID_PARAM, "The name of a key is its algorithm, a colon and its id");
    if (json_is_string(key))
        return json_string_length(key) <= KEY_NAME_MAX
                   ? NULL
                   : err(ERR_INVALID_PARAM, "The key %.40s is too long", name);
    if (!json_is_object(key))
        return err(ERR_BAD_JSON, "A one-time key is a string or an object");
    const char *text;
    const json_t *signatures;
    TRY(json_need_string(key, "key", &text));
    TRY(json_need_object(key, "signatures", &signatures));
    if (strlen(text) > KEY_NAME_MAX)
        return err(ERR_INVALID_PARAM, "The key %.40s is too long", name);
    return device_keys_check_signatures(key);
}

const struct err *one_time_key_check(const char *name, const json_t *key)
{
    return device_keys_malformed(check_one_time_key(name, key));
}
