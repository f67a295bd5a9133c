/* Notifies users' phones through push gateways (push-gateway-api; client-server-api, "Push
 * Notifications").
 *
 * Each pusher is a cursor on the log. One node at a time sends for a user: the one that holds the
 * lease of their slice ("pushes", lease_slice_of_id()). It evaluates each event once, when the log
 * brings it, for all its users in the room, without SQL; a pusher then has a short queue of events
 * to be sent, one after the other. A pusher whose queue is full is behind: the rest is found in the
 * database when there is space. Cursors are stored every PUSH_SAVE_MS: what was sent in that time
 * before a process was killed is sent once more, and nothing is lost.
 *
 * Nothing is sent that was read or redacted meanwhile, nor what is older than PUSH_AGE_MS. A
 * gateway that fails is asked again after a growing pause, for one pusher, and then for the
 * others. */
#ifndef SERVER_PUSH_PUSH_H
#define SERVER_PUSH_PUSH_H

#include "storage/db/job.h"

struct change;

enum { PUSH_SAVE_MS = 500, PUSH_AGE_MS = 24 * 3600 * 1000 };

struct pushes;
/* Sets node->server->pushes; leaves it NULL if pushes are switched off. */
const struct err *pushes_create(struct node *node);
void pushes_start(struct pushes *p); /* before leases_start(); these functions are NULL-safe */
/* Sends no more, waits a little for what is being sent, and stores the cursors: then the leases may
 * be given back. */
void pushes_drain(struct pushes *p, int within_ms);
void pushes_stop(struct pushes *p);
void pushes_destroy(struct pushes *p);

/* A listener (storage/db/feed.h). */
void pushes_on_changes(void *pushes, const struct change *changes, size_t n);
void pushes_on_settled(void *pushes);

void pushes_add_metrics(struct pushes *p, struct buf *out);

#endif
