/* Access tokens and refresh tokens: random, and stored as SHA-256 only, so that reading the
 * database does not allow signing in.
 *
 * A device has one access token, or two for a short time if it has a refresh token: after a refresh
 * the old refresh token works until the new tokens are used (client-server API, "Refreshing access
 * tokens"). If it is used after that, it or its successor was stolen: all tokens of the device end
 * (RFC 9700, section 4.14.2). Expired access tokens are kept until the device has a newer one, so
 * that the client learns to refresh (soft_logout) instead of being logged out. */
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

/* A new random token. The prefix identifies its kind, should it be found in a log. */
#define TOKEN_ACCESS_PREFIX "cct_"
#define TOKEN_REFRESH_PREFIX "ccr_"
const char *token_make(struct arena *a, const char *prefix);

/* ---- sessions ---- */

/* The user and device of an access token. */
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

/* At the first use of an access token from a refresh: the previous refresh token ends. */
const struct err *tokens_settle(struct tx *tx, struct str hash, int64_t device);

struct token_pair {
    const char *access, *refresh; /* refresh NULL: the access token does not expire */
    int64_t expires_ts;           /* of the access token; 0: never */
};
/* Gives a device its tokens. */
const struct err *tokens_give(struct tx *tx, int64_t user, int64_t device,
                              const struct token_pair *pair);
/* A part of a write: all tokens of the device end. Needs users_write_changed. */
void tokens_write_end(struct write *w, int64_t device);

struct refresh_owner {
    int64_t user, device;
    const char *user_id;
    bool locked, has_ended; /* replaced by another that was used */
};
const struct err *tokens_find_refresh(struct tx *tx, struct str hash, bool *ret_found,
                                      struct refresh_owner *ret);
/* Gives the device of this refresh token a new pair; a repeated call before the pair is used gives
 * a pair again. Only the two newest of the device's refresh tokens work. False: the refresh token
 * has ended meanwhile. */
const struct err *tokens_refresh(struct tx *tx, const char *token, int64_t expires_ts,
                                 bool *ret_done, struct token_pair *ret);

#endif
