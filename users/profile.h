/* The profiles of local users, and changing them (client-server API, "Profiles"): the log, and a
 * new member event in every room they are in. */
#ifndef USERS_PROFILE_H
#define USERS_PROFILE_H

#include "base/json.h"
#include "storage/db/job.h"
#include "storage/users/profiles.h"

enum { PROFILE_BYTES_MAX = 65535, PROFILE_KEY_MAX = 255 };

/* All fields of a user of this server, as an object. *ret is NULL when there is no such user. */
const struct err *profile_read(struct job *job, const char *user_id, const json_t **ret);

/* May a field have this name? M_KEY_TOO_LARGE, M_INVALID_PARAM. */
const struct err *profile_check_key(const char *key);

/* Sets a field; value NULL removes it, and so does an empty displayname or avatar_url. A change of
 * these two is then told to the rooms, which takes a commit a room: call from POOL_SLOW.
 * M_INVALID_PARAM, M_PROFILE_TOO_LARGE. */
const struct err *profile_set_field(struct job *job, int64_t user, const char *user_id,
                                    const char *key, const json_t *value);

/* A part of a write: removes all fields without telling the rooms (erasure). */
const struct err *profile_write_clear(struct job *job, struct write *w, int64_t user,
                                      const char *user_id);

#endif
