/* Keys fixed by the configuration: our own (in use and old), those pinned for other servers, and
 * the notaries. Read once at start. */
#ifndef FEDERATION_KEYS_KEY_SETTINGS_H
#define FEDERATION_KEYS_KEY_SETTINGS_H

#include "storage/db/job.h"
#include "storage/servers/server_keys.h"

struct key_settings {
    const struct server_key *own;    /* the signing key is first; see own_in_use */
    size_t own_n, own_in_use;        /* own_in_use are first; the rest expired at valid_until_ts */
    const struct server_key *pinned; /* a server with pinned keys has no others */
    size_t pinned_n;
    const struct server_key *notaries; /* key_id NULL: any key that it publishes */
    size_t notaries_n;
};

/* The settings are well-formed: key_settings_check() has checked them. All in the arena. */
void key_settings_read(struct arena *a, const struct config *config, const struct signing_keys *own,
                       struct key_settings *ret);

/* Whether the server's keys are fixed. Then *ret_key is the wanted one, or NULL if there is none
 * that is valid at that time (0: at any). */
bool key_settings_find(const struct key_settings *k, const char *server, const char *key_id,
                       int64_t valid_at_ms, const char **ret_key);

/* Adds one line for each problem of old_signing_keys, federation_pinned_keys, trusted_key_servers.
 */
void key_settings_check(const struct config *c, struct buf *ret_problems);

#endif
