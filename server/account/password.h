/* Password hashes: argon2id through libsodium, and bcrypt ($2a$, $2b$, $2y$) for accounts imported
 * from Synapse, which the caller re-hashes at the next login.
 *
 * Passwords are normalised (NFKC) before they are hashed, so that one with an accent is the same on
 * all keyboards. A hash of the form as typed is right too, and to be replaced.
 *
 * `cost` is password_hash_cost: 5 takes 64 MiB and two passes, each step doubles or halves the
 * memory; 1 is argon2id's minimum, for tests. Call from POOL_PASSWORD, whose workers bound how many
 * hashings run at once, so that a flood of logins neither fills the memory nor starves other work.
 */
#ifndef SERVER_ACCOUNT_PASSWORD_H
#define SERVER_ACCOUNT_PASSWORD_H

#include "base/arena.h"

#include <stdbool.h>
#include <stdint.h>

enum { PASSWORD_BYTES_MAX = 512 };

/* The form to hash, in the arena or the password itself. ERR_INVALID_PARAM when it, or the password
 * as typed, is longer than PASSWORD_BYTES_MAX. */
const struct err *password_normalise(struct arena *a, const char *password, const char **ret);

/* ret: the hash as text, in the arena. ERR_INVALID_PARAM as above. */
const struct err *password_hash(struct arena *a, int64_t cost, const char *password,
                                const char **ret);

/* hash: NULL for an account that has no password or does not exist: takes as long as a real one (so
 * that answers do not reveal which accounts exist), and is never right. ret_needs_rehash: right,
 * but of another kind, cost or form than password_hash makes. ERR_INTERNAL when there is no memory
 * or the hash is malformed. */
const struct err *password_verify(const char *hash, const char *password, int64_t cost,
                                  bool *ret_right, bool *ret_needs_rehash);

#endif
