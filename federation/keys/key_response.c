#include "federation/keys/key_response.h"

#include "matrix/id.h"
#include "matrix/sign.h"

enum { PUBLIC_KEY_BYTES = 32, KEY_ID_MAX = 128 };

bool key_is_wellformed(const char *public_key)
{
    unsigned char key[PUBLIC_KEY_BYTES];
    size_t n;
    return base64_decode(BASE64_STANDARD, str_of(public_key), key, sizeof key, &n) &&
           n == sizeof key;
}

static const struct err *wrong(const char *what)
{
    return err(ERR_BAD_STATUS, "The server's answer about its keys is invalid: %s", what);
}

static bool is_our_algorithm(const char *key_id)
{
    return strncmp(key_id, "ed25519:", 8) == 0 && id_is_key(str_of(key_id)) &&
           strlen(key_id) <= KEY_ID_MAX;
}

static bool key_response_has_key(const struct server_key *keys, size_t n, const char *key_id)
{
    for (size_t i = 0; i < n; i++)
        if (strcmp(keys[i].key_id, key_id) == 0)
            return true;
    return false;
}

/* valid_until < 0: each key has its own expiry. */
static const struct err *key_response_read_keys(struct arena *a, const json_t *answer,
                                                const char *member, int64_t valid_until,
                                                struct server_key *keys, size_t *n)
{
    const char *id;
    json_t *value;
    json_object_foreach (json_object_get(answer, member), id, value) {
        const char *key = json_text(value, "key");
        const json_t *expired = json_object_get(value, "expired_ts");
        if (!is_our_algorithm(id) ||
            key_response_has_key(keys, *n, id)) /* keys in use are not old */
            continue;
        if (!key || !key_is_wellformed(key) || (valid_until < 0 && !json_is_integer(expired)))
            return wrong("a key is malformed");
        if (*n == KEY_RESPONSE_KEYS_MAX)
            return wrong("it has too many keys");
        keys[(*n)++] = (struct server_key){
            .key_id = arena_strdup(a, id),
            .public_key = arena_strdup(a, key),
            .valid_until_ts = valid_until < 0 ? json_integer_value(expired) : valid_until,
        };
    }
    return NULL;
}

static const struct err *key_response_check_signatures(const json_t *answer, const char *server,
                                                       const struct server_key *keys, size_t n)
{
    size_t good = 0;
    for (size_t i = 0; i < n; i++) {
        if (!json_at(answer, "signatures", server, keys[i].key_id, NULL))
            continue;
        if (!sign_check_json(answer, server, keys[i].key_id, str_of(keys[i].public_key)))
            return wrong("a signature of its own is wrong");
        good++;
    }
    return good ? NULL : wrong("none of the keys in it has signed it");
}

const struct err *key_response_read(struct arena *a, const json_t *answer, const char *server,
                                    int64_t now, struct key_response *ret)
{
    const char *name = json_text(answer, "server_name");
    const json_t *until = json_object_get(answer, "valid_until_ts");
    if (!name || !id_is_server_name(str_of(name)) || (server && strcmp(name, server) != 0))
        return wrong("it is of another server");
    if (!json_is_integer(until) || json_integer_value(until) < 0)
        return wrong("valid_until_ts is missing or malformed");
    struct server_key *keys = arena_alloc_array(a, KEY_RESPONSE_KEYS_MAX, sizeof *keys);
    struct key_response r = {
        .server = arena_strdup(a, name), .valid_until_ts = json_integer_value(until), .keys = keys};
    if (r.valid_until_ts > now + KEY_VALID_MAX_MS)
        r.valid_until_ts = now + KEY_VALID_MAX_MS;
    TRY(key_response_read_keys(a, answer, "verify_keys", r.valid_until_ts, keys, &r.n));
    TRY(key_response_check_signatures(answer, name, keys, r.n));
    TRY(key_response_read_keys(a, answer, "old_verify_keys", -1, keys, &r.n));
    for (size_t i = 0; i < r.n; i++)
        keys[i].server = r.server;
    *ret = r;
    return NULL;
}
