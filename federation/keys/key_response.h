/* Reads and checks what servers publish at /_matrix/key/v2/server (server-server-api, "Publishing
 * Keys"). Pure. */
#ifndef FEDERATION_KEYS_KEY_RESPONSE_H
#define FEDERATION_KEYS_KEY_RESPONSE_H

#include "base/json.h"
#include "storage/servers/server_keys.h"

enum { KEY_RESPONSE_MAX = 64 * 1024, KEY_RESPONSE_KEYS_MAX = 100 };
#define KEY_VALID_MAX_MS (INT64_C(7) * 24 * 3600 * 1000)

struct key_response {
    const char *server;
    int64_t valid_until_ts;        /* at most seven days ahead */
    const struct server_key *keys; /* those in use and old ones */
    size_t n;
};

/* Reads an answer into the arena. Checks the format, that at least one key in use has signed it,
 * and that no signature of such a key is wrong. server: the expected name; NULL: any. Keys of
 * algorithms other than ed25519 are ignored. ERR_BAD_STATUS with the reason. */
const struct err *key_response_read(struct arena *a, const json_t *answer, const char *server,
                                    int64_t now, struct key_response *ret);

/* Whether it is the base64 of an Ed25519 public key. */
bool key_is_wellformed(const char *public_key);

#endif
