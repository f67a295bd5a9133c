/* The profiles of local users, and changes of them (client-server API, "Profiles"): a change in the
 * log, and a new member event in every room that the user is in. */
#ifndef USERS_PROFILE_H
#define USERS_PROFILE_H

#include "base/json.h"
#include "storage/db/job.h"
#include "storage/users/profiles.h"

enum { PROFILE_BYTES_MAX = 65535, PROFILE_KEY_MAX = 255 };

/* All fields of one of our users, as an object. *ret is NULL if the user does not exist. */
const struct err *profile_read(struct job *job, const char *user_id, const json_t **ret);

/* Checks the name of a field. M_KEY_TOO_LARGE, M_INVALID_PARAM. */
const struct err *profile_check_key(const char *key);

/* Sets a field; value NULL, or an empty displayname or avatar_url, removes it. A change of these
 * two is then sent to the user's rooms, one commit each: call from POOL_SLOW. M_INVALID_PARAM,
 * M_PROFILE_TOO_LARGE. */
const struct err *profile_set_field(struct job *job, int64_t user, const char *user_id,
                                    const char *key, const json_t *value);

/* Adds to a write that all fields are removed, without new member events (erasure). */
const struct err *profile_write_clear(struct job *job, struct write *w, int64_t user,
                                      const char *user_id);

#endif
