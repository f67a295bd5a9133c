/* Access tokens and refresh tokens: random, and kept as SHA-256 only, so that one who reads the
 * database cannot sign in.
 *
 * A device has one access token, and with a refresh token for a short time two: after a refresh the
 * old refresh token works until the new tokens are used (client-server API, "Refreshing access
 * tokens"). One that is used after that was stolen, or its successor was: the device's tokens end
 * (RFC 9700, section 4.14.2). Access tokens that ran out stay until the device has a newer one, so
 * that the client is told to refresh rather than that it was logged out. */
#ifndef STORAGE_USERS_TOKENS_H
#define STORAGE_USERS_TOKENS_H

#include "base/sha256.h"
#include "storage/db/write.h"

struct token_hash {
    unsigned char bytes[SHA256_BYTES];
};

static inline struct token_hash token_hash(const char *token)
{
    struct token_hash h;
    sha256(str_of(token), h.bytes);
    return h;
}
static inline struct str token_bytes(const struct token_hash *h)
{
    return (struct str){(const char *)h->bytes, sizeof h->bytes};
}

/* A new random token: the prefix says what it is, should one be found in a log. */
#define TOKEN_ACCESS_PREFIX "cct_"
#define TOKEN_REFRESH_PREFIX "ccr_"
const char *token_make(struct arena *a, const char *prefix);

/* ---- sessions ---- */

/* What an access token stands for. */
struct token_owner {
    int64_t user, device;
    const char *user_id, *device_id;
    int64_t expires_ts; /* ms; 0: never */
    bool fresh;         /* tokens_settle is due */
    bool is_admin, is_guest, locked, suspended;
    int64_t last_seen_ts;
};
const struct err *tokens_find(struct tx *tx, struct str hash, bool *ret_found,
                              struct token_owner *ret);

/* At the first use of an access token that came from a refresh: the refresh token before it ends.
 */
const struct err *tokens_settle(struct tx *tx, struct str hash, int64_t device);

struct token_pair {
    const char *access, *refresh; /* refresh NULL: a token that lasts */
    int64_t expires_ts;           /* of the access token; 0: never */
};
/* Gives a device its tokens. */
const struct err *tokens_give(struct tx *tx, int64_t user, int64_t device,
                              const struct token_pair *pair);
/* A part of a write: the tokens that the device has end. Needs users_write_changed. */
void tokens_write_end(struct write *w, int64_t device);

struct refresh_owner {
    int64_t user, device;
    const char *user_id;
    bool locked, has_ended; /* another one took its place, and was used */
};
const struct err *tokens_find_refresh(struct tx *tx, struct str hash, bool *ret_found,
                                      struct refresh_owner *ret);
/* Gives the device of this refresh token a new pair, and the same one again when it is repeated
 * before the pair is used; only the two newest of the device's refresh tokens work. False: the
 * refresh token has ended meanwhile. */
const struct err *tokens_refresh(struct tx *tx, const char *token, int64_t expires_ts,
                                 bool *ret_done, struct token_pair *ret);

#endif
