/* Who calls: access tokens to callers, the authenticate hooks of http/server.h.
 *
 * What a token stands for is kept in memory, by the token's SHA-256, so that a request whose token
 * was seen before costs no SQL. An entry goes when the log says that the account changed
 * (CHANGE_ACCOUNT: logout, new password, lock, deactivation), whichever node did it, and when there
 * are too many. When devices were last seen is noted in memory and stored by a thread, at most once
 * a minute for each device. */
#ifndef SERVER_ACCOUNT_AUTH_H
#define SERVER_ACCOUNT_AUTH_H

#include "http/server.h"
#include "storage/db/job.h"

struct auth;

struct auth *auth_create(struct node *node); /* listens to the feed, starts the thread */
void auth_destroy(struct auth *a);           /* stores what was noted; NULL-safe */
void auth_add_metrics(struct auth *a, struct buf *out);

/* Sets the hooks for everything but WHO_SERVER. They find the auth in the job's store. */
void auth_set_hooks(struct http_hooks *hooks);

#endif
