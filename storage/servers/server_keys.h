/* The signing keys of other servers, and the responses that contained them. */
#ifndef STORAGE_SERVERS_SERVER_KEYS_H
#define STORAGE_SERVERS_SERVER_KEYS_H

#include "storage/db/db.h"

struct server_key {
    const char *server, *key_id;
    const char *public_key; /* base64 */
    int64_t valid_until_ts; /* ms; of an old key: when it was replaced */
};

/* All keys of these servers. */
const struct err *server_keys_load(struct tx *tx, const char *const *servers, size_t n,
                                   const struct server_key **ret, size_t *ret_n);

struct server_key_response {
    const char *server;
    int64_t fetched_ts, valid_until_ts;
    struct str json;
};

/* Stores a response and its keys. One from a notary (direct: false) that is older than the stored
 * one only adds unknown keys; then *ret_newest is false. Only the server itself can change the key
 * of an id. */
const struct err *server_keys_put(struct tx *tx, const struct server_key_response *r, bool direct,
                                  const struct server_key *keys, size_t n, bool *ret_newest);

/* The stored responses of these servers, in no order. */
const struct err *server_key_responses_load(struct tx *tx, const char *const *servers, size_t n,
                                            const struct server_key_response **ret, size_t *ret_n);

#endif
