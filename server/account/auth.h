/* From access tokens to callers: the authenticate hooks of http/server.h.
 *
 * A cache maps a token's SHA-256 to its caller, so that a request with a known token costs no SQL.
 * An entry is removed when the log has a change of the account (CHANGE_ACCOUNT: logout, new
 * password, lock, deactivation) by any node, and when there are too many. The times when devices
 * were last seen are collected in memory and stored by a thread, at most once a minute for each
 * device. */
#ifndef SERVER_ACCOUNT_AUTH_H
#define SERVER_ACCOUNT_AUTH_H

#include "http/server.h"
#include "storage/db/job.h"

struct change;

struct auth;

struct auth *auth_create(struct node *node);
void auth_destroy(struct auth *a); /* stores pending times; NULL-safe */
void auth_on_changes(void *auth, const struct change *changes,
                     size_t n); /* a listener (storage/db/feed.h) */

/* Sets the hooks for everything but WHO_SERVER. They find the auth in the job's node. */
void auth_set_hooks(struct http_hooks *hooks);

#endif
